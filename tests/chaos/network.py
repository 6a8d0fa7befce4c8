"""A network of our own that can be cut: as root, each Ray node is a host behind a virtual cable.

The harness runs in a network namespace of its own, which holds nothing but loopback and a bridge;
a node's process gets one that hangs on the bridge. Namespaces have no names: they are gone with
their processes, whatever ends those.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

#: set in the process that runs within a namespace of its own
INSIDE = "CHAOS_NETWORK"
BRIDGE = "chaos0"
HUB = "10.77.0.1"  # all are in 10.77.0.0/16


def possible() -> bool:
    """Whether namespaces can be made here."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "unshare", "nsenter"))):
        return False
    probe = ["unshare", "--net", "ip", "link", "add", BRIDGE, "type", "bridge"]
    return subprocess.run(probe, check=False, capture_output=True).returncode == 0


def inside() -> bool:
    """Whether this process is in a network of its own."""
    return os.environ.get(INSIDE) == "1"


def enter() -> None:
    """Runs this very command again within a network of its own; does not come back."""
    os.environ[INSIDE] = "1"
    unshare = shutil.which("unshare") or "unshare"
    words = ["--net", "--mount", sys.executable, "-m", "tests.chaos", *sys.argv[1:]]
    os.execv(unshare, [unshare, *words])  # noqa: S606 - ourselves


def lay() -> None:
    """Makes loopback and the bridge, once within."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "addr", "add", f"{HUB}/16", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


def plug(name: str, pid: int, ip: str) -> None:
    """Lays a cable from the bridge to the namespace of a process."""
    begin(pid)
    run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    run("ip", "link", "set", name, "master", BRIDGE, "up")
    within = ("nsenter", "--target", str(pid), "--net", "ip")
    run(*within, "link", "set", "lo", "up")
    run(*within, "addr", "add", f"{ip}/16", "dev", "eth0")
    run(*within, "link", "set", "eth0", "up")


def begin(pid: int, limit_s: float = 20.0) -> None:
    """Waits until a process that was started for a network of its own has entered it.

    A cable laid before would end in the network that it is about to leave.
    """
    deadline = time.monotonic() + limit_s
    mine = Path("/proc/self/ns/net").readlink()
    while Path(f"/proc/{pid}/ns/net").readlink() == mine:
        if time.monotonic() > deadline:
            raise OSError(f"process {pid} has no network of its own after {limit_s} s")
        time.sleep(0.01)


def cut(name: str) -> None:
    """No packet passes any more, and neither end is told."""
    run("ip", "link", "set", name, "nomaster")


def mend(name: str) -> None:
    """Packets pass again; where the node has gone meanwhile, so has its cable."""
    words = ["ip", "link", "set", name, "master", BRIDGE]
    subprocess.run(words, check=False, capture_output=True)


def run(*words: str) -> None:
    """A command that must succeed."""
    found = subprocess.run(words, check=False, capture_output=True, text=True)
    if found.returncode:
        raise OSError(f"{' '.join(words)}: {found.stderr.strip()}")

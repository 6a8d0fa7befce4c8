"""Safe from the first day, seen from outside a running service: loopback, tokens, no pickle."""

import ast
import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx
import psutil
import pytest

from tests.e2e.conftest import Running, Serve

ROOT = Path(__file__).parents[2]
T = TypeVar("T")
ASK = """
import sys
from ray._raylet import GcsClient
print(GcsClient(address=sys.argv[1]).internal_kv_keys(b"", None, 5))
"""


def family(running: Running) -> list[psutil.Process]:
    """The service and all that it started: Ray's own processes and the workers."""
    process = psutil.Process(running.process.pid)
    return [process, *process.children(recursive=True)]


def asked(processes: list[psutil.Process], question: Callable[[psutil.Process], T]) -> list[T]:
    """What those answer that have not ended meanwhile, as Ray's helpers do now and then."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(question(process))
    return found


def listening(processes: list[psutil.Process]) -> dict[tuple[str, int], str]:
    """(address, port) -> name of the process that listens there."""

    def places(process: psutil.Process) -> dict[tuple[str, int], str]:
        return {
            (c.laddr.ip, c.laddr.port): process.name()
            for c in process.net_connections(kind="inet")
            if c.status == psutil.CONN_LISTEN
        }

    return {place: name for found in asked(processes, places) for place, name in found.items()}


def token(processes: list[psutil.Process]) -> str:
    """Ray's token as its raylet was given it."""

    def given(process: psutil.Process) -> str | None:
        return process.environ()["RAY_AUTH_TOKEN"] if process.name() == "raylet" else None

    # a child of the raylet's has its name, and its variables, until it becomes what it is to be
    [found] = {one for one in asked(processes, given) if one is not None}
    return found


def ask_ray(address: str, **environment: str) -> int:
    """A stranger's question to Ray; 0 if it was answered."""
    bare = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    command = [sys.executable, "-c", ASK, address]
    done = subprocess.run(
        command, env=bare | environment, capture_output=True, timeout=120, check=False
    )
    return done.returncode


@pytest.mark.service
@pytest.mark.ray
@pytest.mark.timeout(600)
def test_everything_listens_on_loopback_and_ray_answers_only_its_token(serve: Serve) -> None:
    """One service, then another."""
    tokens = []
    for _ in range(2):
        running = serve(SEEDBED_WORKERS="1")
        processes = family(running)
        places = listening(processes)
        assert {"gcs_server", "raylet"} <= set(places.values())
        assert {ip.removeprefix("::ffff:") for ip, _ in places} <= {"127.0.0.1", "::1"}
        words = dict(asked(processes, lambda p: (p, p.cmdline())))
        pages = [p for p in words if any("dashboard.py" in word for word in words[p])]
        assert listening(pages) == {}  # Ray's dashboard
        assert 8265 not in [port for _, port in places]
        tokens.append(token(processes))
        if len(tokens) == 1:
            [port] = [p for (_, p), name in places.items() if name == "gcs_server"]
            address = f"127.0.0.1:{port}"
            known = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": tokens[0]}
            assert ask_ray(address, **known) == 0
            assert ask_ray(address) != 0
            assert ask_ray(address, **known | {"RAY_AUTH_TOKEN": "0" * 64}) != 0
            check_pickle_refused(running.url)
        assert running.stop() == 0
    assert len(tokens[0]) >= 32
    assert tokens[0] != tokens[1]


def check_pickle_refused(url: str) -> None:
    """Whatever type it claims to be."""
    body = pickle.dumps({"name": "x", "spec": [1, 2, 3]})
    for kind, status in (("application/octet-stream", 415), ("application/json", 422)):
        reply = httpx.post(
            f"{url}/api/v1/sweeps", content=body, headers={"Content-Type": kind}, trust_env=False
        )
        assert reply.status_code == status


@pytest.mark.parametrize("package", ["service", "workers", "models"])
def test_no_module_of_ours_reads_a_pickle_or_unsafe_yaml(package: str) -> None:
    """Ray pickles between its own processes, which the token guards; nothing else does."""
    banned = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = {a.name.partition(".")[0] for a in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").partition(".")[0]}
            else:
                names = set()
            assert not names & banned, path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called = ast.unparse(node.func)
                words = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert called not in ("torch.load", "yaml.load", "yaml.unsafe_load"), path
                if called in ("np.load", "numpy.load"):
                    assert words.get("allow_pickle") == "False", path

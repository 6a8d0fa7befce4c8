"""What the drill asks of docker: containers of this project, and how they are ended and cut off."""

import json
import subprocess
from collections.abc import Mapping
from typing import Any


class EngineError(Exception):
    """docker said no."""


def docker(*words: str) -> str:
    """What a docker command prints.

    Raises:
        EngineError: it ended badly; its last words are in the message.
    """
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise EngineError(f"docker {' '.join(words)}: {done.stderr.strip()[-800:]}")
    return done.stdout.strip()


def compose(*words: str) -> str:
    """What a docker compose command of this project prints."""
    return docker("compose", *words)


def containers(service: str) -> list[str]:
    """The ids of a service's containers, whether they run or not."""
    return compose("ps", "--all", "--quiet", service).split()


def inspect(container: str) -> Mapping[str, Any]:
    """Everything that docker knows of a container."""
    found: list[Mapping[str, Any]] = json.loads(docker("inspect", container))
    return found[0]


def healthy(service: str) -> bool:
    """Whether every container of a service runs and passes its health check."""
    found = [inspect(each)["State"] for each in containers(service)]
    return bool(found) and all(
        state["Running"] and state.get("Health", {}).get("Status") == "healthy" for state in found
    )


def restarts(container: str) -> int:
    """How often its restart policy has brought it back."""
    count: int = inspect(container)["RestartCount"]
    return count


def shoot(container: str) -> None:
    """SIGKILL to its first process from outside, as the kernel deals it: the policy must answer.

    `docker kill` will not do: a container that was killed by hand is left alone.
    """
    state, image = inspect(container)["State"], inspect(container)["Config"]["Image"]
    docker(
        "run", "--rm", "--pid=host", "--network=none", "--user=0", "--entrypoint=/bin/sh", image,
        "-c", f"kill -9 {state['Pid']}",
    )  # fmt: skip


def network(name: str) -> str:
    """The full name of one of the project's networks."""
    found = json.loads(compose("config", "--format", "json"))["networks"][name]["name"]
    return str(found)


def query(sql: str) -> str:
    """What PostgreSQL answers, unaligned."""
    words = ("psql", "--username=seedbed", "--no-align", "--tuples-only", "--command", sql)
    return compose("exec", "--no-TTY", "postgres", *words)

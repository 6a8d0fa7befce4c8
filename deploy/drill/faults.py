"""The drill's faults: each service killed by hand and by the kernel, a worker cut off, frozen."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from deploy.drill.engine import compose, containers, docker, network, restarts, shoot

SERVICES = ("postgres", "redis", "ray-head", "ray-worker", "api", "dispatcher")
#: so long a service that was killed by hand stays away, and a worker is cut off or frozen
AWAY_S, CUT_S = 5.0, 45.0
#: a restart policy answers within this
POLICY_S = 60.0


class NoReturnError(Exception):
    """A container that died by itself was not brought back."""


@dataclass(frozen=True)
class Fault:
    """What is done, and how it is dealt.

    Attributes:
        service: whom it strikes; of several containers the first.
        said: what is done to it, for the log.
        deal: does it, and undoes what no policy undoes.
    """

    service: str
    said: str
    deal: Callable[[], None]


def faults() -> list[Fault]:
    """All of them, in the order in which they are dealt."""
    killed = [Fault(s, "docker compose kill, then up", _kill(s)) for s in SERVICES]
    died = [Fault(s, "its first process killed; the policy restarts it", _die(s)) for s in SERVICES]
    return [
        *killed,
        *died,
        Fault("ray-worker", f"cut off from the network ray for {CUT_S:.0f} s", _cut),
        Fault("ray-worker", f"frozen for {CUT_S:.0f} s", _freeze),
    ]


def _kill(service: str) -> Callable[[], None]:
    def deal() -> None:
        compose("kill", "--signal", "SIGKILL", service)
        time.sleep(AWAY_S)
        compose("up", "--detach", "--no-recreate", "--no-deps", service)

    return deal


def _die(service: str) -> Callable[[], None]:
    def deal() -> None:
        struck = containers(service)[0]
        before = restarts(struck)
        shoot(struck)
        deadline = time.monotonic() + POLICY_S
        while restarts(struck) == before:
            if time.monotonic() > deadline:
                raise NoReturnError(f"{service}: not restarted within {POLICY_S:.0f} s")
            time.sleep(0.2)

    return deal


def _cut() -> None:
    struck = containers("ray-worker")[0]
    docker("network", "disconnect", network("ray"), struck)
    try:
        time.sleep(CUT_S)
    finally:
        docker("network", "connect", "--alias", "ray-worker", network("ray"), struck)


def _freeze() -> None:
    struck = containers("ray-worker")[0]
    docker("pause", struck)
    try:
        time.sleep(CUT_S)
    finally:
        docker("unpause", struck)

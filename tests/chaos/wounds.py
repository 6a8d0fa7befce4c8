"""How each kind of fault is dealt to a site, and how what it took away comes back."""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import psutil

from tests.chaos import network
from tests.chaos.cluster import Node
from tests.chaos.parts import START_S, Part, tree
from tests.chaos.schedule import Fault, Kind
from tests.chaos.site import Site, await_store, clock_of, pick

P = TypeVar("P", bound=Part)
#: a node that says nothing for so long was given up, if anybody needed it
GIVEN_UP_S = 30.0
#: a fault whose effect nobody noticed by then is healed all the same
LONGEST_S = 120.0


@dataclass
class Wound:
    """A fault that was dealt.

    Attributes:
        target: what it was dealt to.
        part: the part that is away meanwhile; no other fault is dealt to it.
        over: whether it is time to heal it.
        heal: brings back what was taken away, and says what was seen.
        began: when it was dealt.
        recorded: outcomes at that moment.
        seen: what came of it.
        next_s: seconds until the next outcome was recorded.
    """

    fault: Fault
    target: str
    part: Part | None
    over: Callable[[], bool]
    heal: Callable[[], str]
    began: float = field(default_factory=time.monotonic)
    recorded: int = 0
    seen: str = ""
    next_s: float | None = None

    @property
    def age_s(self) -> float:
        """How long ago it was dealt."""
        return time.monotonic() - self.began

    @property
    def due(self) -> bool:
        """Whether to heal it now."""
        return self.over() or self.age_s > LONGEST_S


def wound(site: Site, fault: Fault, away: set[str]) -> Wound | None:
    """Deals a fault; None if nothing that it could be dealt to is there at the moment.

    Args:
        away: names of parts that another fault has taken away.
    """
    return _DEALERS[fault.kind](site, fault, away)


def _after(began: float, while_s: float) -> Callable[[], bool]:
    return lambda: time.monotonic() - began >= while_s


def _worker_killed(site: Site, fault: Fault, away: set[str]) -> Wound | None:
    workers = site.workers()
    if not workers:
        return None
    target, before = workers[fault.which % len(workers)], site.logged("worker_lost")
    target.kill()
    return Wound(
        fault,
        f"worker {target.pid}",
        None,
        lambda: site.logged("worker_lost") > before,
        lambda: _noticed(site.logged("worker_lost") > before, "the loss"),
    )


def _worker_frozen(site: Site, fault: Fault, away: set[str]) -> Wound | None:
    workers = [w for w in site.workers() if w.status() != psutil.STATUS_STOPPED]
    if not workers:
        return None
    target, before = workers[fault.which % len(workers)], site.logged("no answer for")
    target.suspend()

    def over() -> bool:
        return site.logged("no answer for") > before or not target.is_running()

    def heal() -> str:
        noticed = _noticed(site.logged("no answer for") > before, "its silence")
        with contextlib.suppress(psutil.NoSuchProcess):
            target.resume()
            return f"{noticed}; then it went on, and whatever it sent was nobody's"
        return f"{noticed}; it was ended while it slept"

    return Wound(fault, f"worker {target.pid}", None, over, heal)


def _noticed(was: bool, what: str) -> str:
    return f"the dispatcher noticed {what}" if was else f"no dispatcher noticed {what}"


def _killed(
    fault: Fault, part: Part | None, back: Callable[[], object] = lambda: None
) -> Wound | None:
    """A part is killed, and started again after a while."""
    if part is None or not part.alive:
        return None
    began = time.monotonic()
    target = f"{part.name} (pid {part.pid})"
    part.kill()

    def heal() -> str:
        part.start()
        back()
        return f"started again after {time.monotonic() - began:.1f} s"

    return Wound(fault, target, part, _after(began, fault.while_s), heal, began)


def _there(parts: Sequence[P], away: set[str]) -> list[P]:
    return [part for part in parts if part.alive and part.name not in away]


def _standby_killed(site: Site, fault: Fault, away: set[str]) -> Wound | None:
    part = pick(fault.which, _there(site.standbys(), away))
    return _killed(fault, part if site.active() else None)


def _node_killed(site: Site, fault: Fault, away: set[str]) -> Wound | None:
    return _killed(fault, pick(fault.which, _there(site.nodes, away)))


def _node_frozen(site: Site, fault: Fault, away: set[str]) -> Wound | None:
    node = pick(fault.which, _there(site.nodes, away))
    if node is None:
        return None
    frozen, before = tree(node.pid), site.logged("worker_lost")
    for process in frozen:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()

    def heal() -> str:
        noticed = _noticed(site.logged("worker_lost") > before, "its silence")
        for process in frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        return f"{noticed}; then all of it went on"

    return _given_up(site, fault, node, before, heal)


def _node_cut_off(site: Site, fault: Fault, away: set[str]) -> Wound | None:
    node = pick(fault.which, _there(site.nodes, away))
    if node is None:
        return None
    before, cable, began = site.logged("worker_lost"), node.cable, time.monotonic()
    network.cut(cable)

    def heal() -> str:
        network.mend(cable)
        noticed = _noticed(site.logged("worker_lost") > before, "the cut")
        return f"{noticed}; mended after {time.monotonic() - began:.1f} s"

    return _given_up(site, fault, node, before, heal)


def _given_up(site: Site, fault: Fault, node: Node, before: int, heal: Callable[[], str]) -> Wound:
    """Every other time for long enough that its worker is given up, else for a short while."""
    began, long = time.monotonic(), fault.which % 2 == 0

    def over() -> bool:
        aged = time.monotonic() - began
        lost = site.logged("worker_lost") > before
        return aged >= (GIVEN_UP_S if long and not lost else fault.while_s)

    target = f"{node.name} (pid {node.pid}), {'for long' if long else 'for a moment'}"
    return Wound(fault, target, node, over, heal, began)


def _clock_jumps(site: Site, fault: Fault, away: set[str]) -> Wound | None:
    part = _active(site, away)
    if part is None:
        return None
    hours = (fault.which % 12 + 1) * (-1) ** fault.which
    clock, before = clock_of(part), site.logged("lease_lost")
    clock.write_text(str(hours))

    def heal() -> str:
        clock.write_text("0")
        kept = site.logged("lease_lost") == before
        return "it was right again" + (", no lease had been lost" if kept else "")

    began = time.monotonic()
    return Wound(
        fault, f"{part.name}, by {hours:+d} h", None, _after(began, fault.while_s), heal, began
    )


def _storage_full(site: Site, fault: Fault, away: set[str]) -> Wound | None:
    if site.storage is None:
        return None
    ballast = site.storage / "ballast"
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    began = time.monotonic()

    def heal() -> str:
        ballast.unlink(missing_ok=True)
        return f"there was room again after {time.monotonic() - began:.1f} s"

    over = _after(began, fault.while_s)
    return Wound(fault, "checkpoints' disk", None, over, heal, began)


def _api_killed(site: Site, fault: Fault, away: set[str]) -> Wound | None:
    return _killed(fault, pick(fault.which, _there(site.apis, away)))


def _postgres_killed(site: Site, fault: Fault, away: set[str]) -> Wound | None:
    part = pick(0, _there([site.postgres], away))
    return _killed(fault, part, lambda: await_store(site))


def _redis_killed(site: Site, fault: Fault, away: set[str]) -> Wound | None:
    parts = [] if site.redis is None else [site.redis]
    return _killed(fault, pick(0, _there(parts, away)))


def _active(site: Site, away: set[str]) -> Part | None:
    part = site.active()
    return None if part is None or part.name in away else part


def _active_killed(site: Site, fault: Fault, away: set[str]) -> Wound | None:
    part = _active(site, away)
    if part is None:
        return None
    began, pid = time.monotonic(), part.pid
    part.kill()
    taken: list[float] = []

    def over() -> bool:
        _note_successor(site, pid, began, taken)
        return bool(taken) and time.monotonic() - began >= fault.while_s

    def heal() -> str:
        part.start()
        return _succession(taken)

    return Wound(fault, f"{part.name} (pid {pid})", part, over, heal, began)


def _active_frozen(site: Site, fault: Fault, away: set[str]) -> Wound | None:
    """Until its successor has recorded something, with workers of its own."""
    part = _active(site, away)
    if part is None or not _there(site.standbys(), away):
        return None
    began, pid, lost = time.monotonic(), part.pid, site.logged("lease_lost")
    part.stop()
    taken, recorded = list[float](), list[int]()

    def over() -> bool:
        _note_successor(site, pid, began, taken)
        found = site.recorded()
        if taken and found is not None:
            recorded.append(found)
        return bool(recorded) and recorded[-1] > recorded[0]

    def heal() -> str:
        worked = bool(recorded) and recorded[-1] > recorded[0]
        part.go_on()
        deadline = time.monotonic() + START_S
        while taken and site.logged("lease_lost") == lost and time.monotonic() < deadline:
            time.sleep(0.1)
        told = site.logged("lease_lost") > lost
        woke = "it woke, saw that its lease was lost and wrote nothing" if told else "it woke"
        did = "recorded outcomes" if worked else "recorded nothing while it slept"
        return f"{_succession(taken)} and {did}; {woke}"

    return Wound(fault, f"{part.name} (pid {pid})", part, over, heal, began)


def _note_successor(site: Site, pid: int, began: float, taken: list[float]) -> None:
    holder = site.holder()
    if not taken and holder is not None and holder.split(":")[1] != str(pid):
        taken.append(time.monotonic() - began)


def _succession(taken: list[float]) -> str:
    return f"another took over after {taken[0]:.1f} s" if taken else "nobody took over meanwhile"


_DEALERS: dict[Kind, Callable[[Site, Fault, set[str]], Wound | None]] = {
    Kind.WORKER_KILLED: _worker_killed,
    Kind.WORKER_FROZEN: _worker_frozen,
    Kind.NODE_KILLED: _node_killed,
    Kind.NODE_FROZEN: _node_frozen,
    Kind.NODE_CUT_OFF: _node_cut_off,
    Kind.CLOCK_JUMPS: _clock_jumps,
    Kind.STORAGE_FULL: _storage_full,
    Kind.ACTIVE_KILLED: _active_killed,
    Kind.ACTIVE_FROZEN: _active_frozen,
    Kind.STANDBY_KILLED: _standby_killed,
    Kind.API_KILLED: _api_killed,
    Kind.POSTGRES_KILLED: _postgres_killed,
    Kind.REDIS_KILLED: _redis_killed,
}

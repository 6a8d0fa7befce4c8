"""The fleet: which workers there are and should be; it starts, misses and lets them go."""

import time
from collections import deque
from collections.abc import Mapping, Sequence

import structlog

from service.dispatch.patience import patience_s
from service.dispatch.peers import Peer, Workers
from service.dispatch.scale import Demand, Member, change, target
from service.dispatch.turn import Rules
from service.dispatch.unfit import Unfit, unfit
from workers.pool import ClusterLostError, Reply

log = structlog.get_logger()

#: a worker that has not described itself yet is waited for so long: its part of a small sweep is
#: left to it
STARTING_S = 30.0
#: a worker that waits for its place is let go once it was wanted at no time in so long
CALM_S = 10.0
_MOST_REST_S = 60.0
_MOST_DOUBLINGS = 6
#: attempts in a row to start a worker that may fail, where none is left, before this is given up
MOST_UNSTARTED = 6


class Fleet:
    """The workers of a dispatcher, beside what its turns know of them.

    Args:
        workers: the pool.
        rules: how many at least, and the patience.

    Attributes:
        wanted: how many there should be.
    """

    def __init__(self, workers: Workers, rules: Rules) -> None:
        self._workers = workers
        self._rules = rules
        self._asked: dict[str, float] = {}
        self._born: dict[str, float] = {}
        self._idle: dict[str, float] = {}
        self._pending: frozenset[str] = frozenset()
        self._asks: deque[tuple[float, int]] = deque()
        self._useless: frozenset[str] = frozenset()
        self._stillborn = 0
        self._unstarted = 0
        self._spawn_at = 0.0
        self._unfit: set[Unfit] = set()
        self.wanted = self._least

    @property
    def elastic(self) -> bool:
        """Whether how many there are depends on what there is to do."""
        return self._least < self._workers.size

    @property
    def _least(self) -> int:
        least = self._rules.least
        return self._workers.size if least is None else min(least, self._workers.size)

    def look(self) -> None:
        """Sees which wait for a place.

        Raises:
            ClusterLostError: there is no cluster any more.
        """
        self._pending = self._workers.pending()
        moment = time.monotonic()
        self._asked.update(dict.fromkeys(self._pending & self._asked.keys(), moment))

    def want(self, demand: Demand) -> None:
        """So many could be kept busy now."""
        self._asks.append((time.monotonic(), demand.workers))
        self._useless = demand.useless

    def adjust(self, peers: Mapping[str, Peer]) -> dict[str, Peer]:
        """Starts those that are missing and lets go who is not needed; the workers after that.

        One that cannot be started is tried again later, and those that were started before it stay.

        Raises:
            ClusterLostError: no worker is left, and again and again none could be started.
        """
        moment = time.monotonic()
        found = dict(peers)
        self._rest(found, moment)
        while self._asks and moment - self._asks[0][0] > CALM_S and len(self._asks) > 1:
            self._asks.popleft()
        need = target(max((n for _, n in self._asks), default=0), self._least, self._workers.size)
        self.wanted = need
        members = [
            Member(
                name,
                name in self._pending,
                moment - self._idle[name] if name in self._idle else None,
                name in self._useless and name in self._idle,
            )
            for name in found
        ]
        todo = change(members, need, self._rules.idle_s, self._workers.size)
        for name in todo.go:
            log.info("worker_let_go", worker=name, pending=name in self._pending)
            del found[name]
            self._forget(name)
            self._workers.discard(name)
        if moment >= self._spawn_at:
            for name in self._started(todo.more, alone=not found):
                found[name] = Peer()
                self._asked[name] = self._born[name] = moment
        return found

    def _started(self, more: int, *, alone: bool) -> list[str]:
        """New workers: so many, or those before one that could not be started.

        Args:
            alone: there is no worker beside them.
        """
        names: list[str] = []
        try:
            while len(names) < more:
                names.append(self._workers.spawn())
                self._unstarted = 0
        except Exception as error:
            self._unstarted += 1
            if alone and self._unstarted >= MOST_UNSTARTED:
                raise ClusterLostError(
                    f"no worker is left and none could be started {self._unstarted} times in a "
                    f"row, at last because of {type(error).__name__}: {error}; mend Ray (its own "
                    "log says more) and start the dispatcher again: its trials were handed back"
                ) from error
            again_s = _rest_s(self._unstarted)
            self._spawn_at = time.monotonic() + again_s
            log.exception("worker_not_started", times=self._unstarted, again_s=again_s)
        return names

    def _rest(self, peers: Mapping[str, Peer], moment: float) -> None:
        """Since when each has had nothing to do."""
        resting = [n for n, p in peers.items() if p.description and not p.busy and not p.held]
        self._idle = {name: self._idle.get(name, moment) for name in resting}

    def starting(self, peers: Mapping[str, Peer]) -> frozenset[str]:
        """Workers that should soon be there; none while those that start die."""
        since = time.monotonic() - STARTING_S
        new = [name for name, peer in peers.items() if peer.description is None]
        young = frozenset(name for name in new if self._born.get(name, since) > since)
        return frozenset() if self._stillborn else young

    def missed(self, peers: Mapping[str, Peer]) -> list[Reply]:
        """Those that have said nothing for too long since they had a place: lost."""
        lost = []
        for worker, since in self._asked.items():
            if worker not in peers:
                continue
            longest_s = peers[worker].longest_s
            limit_s = patience_s(self._rules.patience_s, self._rules.slice_s, longest_s)
            if time.monotonic() - since > limit_s:
                why = f"no answer for {limit_s:.0f} s: it hangs, or SEEDBED_PATIENCE_S is too short"
                lost.append(Reply(worker, lost=why))
        return lost

    def asked(self, worker: str) -> None:
        """A call to it began."""
        self._asked[worker] = time.monotonic()

    def answered(self, worker: str) -> None:
        """Its call ended."""
        self._asked.pop(worker, None)

    def introduced(self) -> None:
        """One described itself: those that start live."""
        self._stillborn = 0
        self._unfit.clear()

    def lost(self, worker: str, why: str, *, was_known: bool) -> None:
        """One is gone; those that die before they are known are not started at once again."""
        if not was_known:
            self._stillborn += 1
            self._spawn_at = time.monotonic() + _rest_s(self._stillborn)
            reason = unfit(why)
            if reason is not None and reason not in self._unfit:
                self._unfit.add(reason)
                log.error("worker_unfit", why=reason.why, cure=reason.cure)
        self._forget(worker)
        self._workers.discard(worker)

    def forget(self, workers: Sequence[str]) -> None:
        """Ends these workers: what they hold is another dispatcher's to run again."""
        for worker in workers:
            self._forget(worker)
            self._workers.discard(worker)
        self._asks.clear()

    def _forget(self, worker: str) -> None:
        for known in (self._asked, self._born, self._idle):
            known.pop(worker, None)


def _rest_s(times: int) -> float:
    """Seconds until a worker is started again after so many that came to nothing: 2, 4 ... 60."""
    return min(_MOST_REST_S, 2.0 ** min(times, _MOST_DOUBLINGS))

"""Pacing: a turn's part that foretells when sweeps will have ended, and writes it down at marks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from service.dispatch.peers import Peer
from service.dispatch.tempo import Running, Tempo, recorded, running, trained
from service.store import forecasts, speeds
from service.store.locks import Locks
from service.store.widths import structure_hash
from workers.messages import Return


class Pacing:
    """One turn's.

    Args:
        tempos: sweep -> its pace as it stands before the turn.
        now: the turn's time.
        most_s: the longest that may lie between two turns.
        locks: the turn's; what is due of a sweep that somebody else has locked is marked later.

    Attributes:
        tempos: as they stand after it.
    """

    def __init__(
        self,
        session: Session,
        tempos: Mapping[str, Tempo],
        now: datetime,
        most_s: float,
        locks: Locks,
    ) -> None:
        self._session = session
        self._locks = locks
        self._now = now
        self.tempos = {sweep: tempo.passed(now, most_s) for sweep, tempo in tempos.items()}

    def answered(self, peer: Peer, answer: Return) -> None:
        """Counts what an answer brought; `peer` is the worker as it stood before it."""
        if peer.pack is None:
            return
        structure = structure_hash(peer.pack)
        for sweep, did in trained(peer, answer).items():
            if sweep in self.tempos:
                self.tempos[sweep] = self.tempos[sweep].trained(did, structure)

    def end(self, peers: Iterable[Peer]) -> None:
        """Marks what is due of sweeps that workers hold; the turn is over.

        A sweep that nobody held before is written down too: from now on its time runs again. When
        one is held no more, those that have ended are forgotten; an extension recalls them.
        """
        held = running(peers)
        idle = {s: tempo for s, tempo in self.tempos.items() if s not in held}
        if any(tempo.since is not None for tempo in idle.values()):
            for sweep in set(idle) - forecasts.going(self._session, idle):
                del self.tempos[sweep], idle[sweep]
        self.tempos |= {s: replace(tempo, since=None) for s, tempo in idle.items()}
        found = {sweep: self.tempos.get(sweep) or self._recalled(sweep) for sweep in held}
        known = {sweep: tempo for sweep, tempo in found.items() if tempo is not None}
        self._locks.free(s for s, tempo in known.items() if _is_due(tempo, held[s]))  # all at once
        for sweep, tempo in known.items():
            self.tempos[sweep] = self._marked(sweep, tempo, held[sweep])

    def _recalled(self, sweep: str) -> Tempo | None:
        """As an earlier dispatcher wrote it down; None of a sweep that was deleted meanwhile."""
        size = forecasts.size_of(self._session, sweep)
        if size is None:
            return None
        return recorded(forecasts.recall(self._session, sweep), size.trials)

    def _marked(self, sweep: str, tempo: Tempo, mine: Sequence[Running]) -> Tempo:
        going = replace(tempo, since=self._now)
        if not _is_due(tempo, mine):
            return going
        if not self._locks.has(sweep):  # one that was idle is written down first, then goes on
            return going if tempo.since is not None else tempo
        size = forecasts.size_of(self._session, sweep)
        if size is None:
            return going
        tempo = tempo.sized(size.trials)
        share = tempo.due(mine)
        tempo = tempo if share is None else tempo.marked(share)
        waiting = forecasts.waiting(self._session, sweep)
        known = speeds.of_experiment(self._session, size.experiment)
        found = tempo.end(mine, waiting, known)
        forecasts.keep(self._session, sweep, tempo.record(), found, self._now)
        return replace(tempo, since=self._now)


def _is_due(tempo: Tempo, mine: Sequence[Running]) -> bool:
    """Whether something of a sweep is to be written down."""
    return tempo.since is None or tempo.due(mine) is not None

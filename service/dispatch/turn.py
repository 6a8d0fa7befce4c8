"""A turn: what came back is recorded and what is next is claimed, in one transaction.

Nothing outside the transaction changes here: the peers are copied, orders and notes are gathered,
and the loop adopts them once the transaction is committed. A turn that fails leaves no trace.

It waits for no sweep. One that somebody else has locked is passed: nothing is claimed of it, and
what workers told of it is deferred to a later turn.
"""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy.orm import Session

from service.dispatch.absence import Absence
from service.dispatch.decide import Slot, Take, Waiting, offered, replayed, stranded
from service.dispatch.deferred import Ended, Lost, News, Replayed, ReplayLost, ended, lost
from service.dispatch.filling import decide
from service.dispatch.pacing import Pacing
from service.dispatch.peers import Peer, installed, slots
from service.dispatch.scale import Demand, runnable, useless, wanted
from service.dispatch.shares import Ledger
from service.dispatch.telemetry import ended_steps
from service.dispatch.tempo import Tempo
from service.dispatch.unfit import unfit
from service.store import (
    claims,
    classes,
    completion,
    exclusion,
    failing,
    places,
    release,
    replays,
    speeds,
    sweeps,
    widths,
)
from service.store.errors import StateConflictError, UnknownSweepError
from service.store.locks import Locks
from workers.messages import (
    Assignment,
    Failure,
    Order,
    Outcome,
    PackSpec,
    Return,
    StorageRule,
    WorkerDescription,
)
from workers.pool import Reply
from workers.storage import checkpoint_name

_MOST_WHY = 500


@dataclass(frozen=True)
class Rules:
    """The service's options that steer dispatching; a least of None is all workers, always."""

    lanes: int
    slice_s: float
    max_attempts: int
    patience_s: float = 600.0
    user_trials: int = 0
    storage: StorageRule | None = None
    drain_s: float = 20.0
    least: int | None = None
    idle_s: float = 120.0


@dataclass(frozen=True)
class Note:
    """A line of the log, written once what it says is true."""

    level: str
    event: str
    fields: Mapping[str, Any]


class Turn:
    """One turn.

    Args:
        peers: the workers as they stand before it.
        rules: lanes, slice and attempts.
        now: its time.
        tempos: sweep -> its pace as it stands before it.
        ledger: what everybody has had of the workers before it.
        absence: the classes that sweeps wait for as it stands before it.
        moment: its time by a clock that is never set.
        starting: workers that should soon have described themselves.
        deferred: what earlier turns could not record.
        passed: sweeps that the turn before has passed.

    Attributes:
        peers: the workers as they stand after it.
        pacing: the paces, and what is told of sweeps' ends.
        ledger: what everybody has had after it.
        absence: the classes that sweeps wait for after it.
        unknown: sweep -> its experiment, which is not installed here.
        introduced: whether a worker described itself.
        lost: workers that are gone: why, and whether they had described themselves.
        orders: what to send, by worker.
        ended_steps: sweep -> steps of its trials that ended.
        needless: files in storage that nobody needs once the turn is committed.
        troubles: what workers said of storage that fails.
        deferred: what is left to a later turn.
        reconciled: whether nothing was passed that `reconcile` should have handed back or offered.
    """

    def __init__(
        self,
        session: Session,
        peers: Mapping[str, Peer],
        rules: Rules,
        now: datetime,
        tempos: Mapping[str, Tempo],
        ledger: Ledger,
        absence: Absence,
        moment: float,
        starting: frozenset[str] = frozenset(),
        deferred: Sequence[News] = (),
        passed: Collection[str] = (),
    ) -> None:
        self._session = session
        self._locks = Locks(session, passed)
        self._rules = rules
        self._now = now
        self.peers = dict(peers)
        self.pacing = Pacing(session, tempos, now, rules.patience_s, self._locks)
        self.ledger = ledger.charged(slots(peers, now), now)
        self.absence = absence.met(slots(peers, now))
        self._moment = moment
        self._starting = starting
        self.unknown: dict[str, str] = {}
        self.introduced = False
        self.lost: dict[str, tuple[str, bool]] = {}
        self.orders: dict[str, Order] = {}
        self.ended_steps: Counter[str] = Counter()
        self.notes: list[Note] = []
        self.needless: list[str] = []
        self.troubles: list[str] = []
        self.deferred = list(deferred)
        self.reconciled = True
        self._pins: dict[tuple[str, str], bool] = {}

    @property
    def passed(self) -> frozenset[str]:
        """Sweeps that somebody else had locked."""
        return frozenset(self._locks.passed)

    def reconcile(self) -> None:
        """Hands back what runs in the store but is held by no worker: only this one claims."""
        waits = [d.replay for d in self.deferred if isinstance(d, Replayed | ReplayLost)]
        mine = waits + [p.replay for p in self.peers.values() if p.replay]
        replays.hand_back(self._session, mine, self._locks)
        held = {pair for peer in self.peers.values() for pair in peer.held}
        held |= {pair for news in self.deferred for pair in news.pairs}
        count = release.release_all(self._session, now=self._now, keep=held, locks=self._locks)
        if count:
            self._note("warning", "trials_taken_over", trials=count)
        self.reconciled = not self._locks.passed
        self._offer()

    def receive(self, replies: Sequence[Reply], due: Sequence[News] | None = None) -> None:
        """Records everything that came back, and what was deferred.

        Args:
            due: of what was deferred, that which is tried now; None: all.
        """
        news = list(self.deferred if due is None else due)
        self.deferred = [] if due is None else [d for d in self.deferred if d not in due]
        for reply in replies:
            peer = self.peers.get(reply.worker)
            if peer is None:
                continue  # of no worker that is known: it holds nothing
            if isinstance(reply.value, WorkerDescription):
                self.peers[reply.worker] = peer.introduced(reply.value)
                self.introduced = True
                places.know(self._session, self._place(reply.worker), reply.value.device, self._now)
                self._note("info", "worker_ready", worker=reply.worker, node=reply.value.node)
            elif isinstance(reply.value, Return) and peer.replay is not None:
                news += self._reran(reply.worker, peer.replay, reply.value)
            elif isinstance(reply.value, Return):
                assert peer.pack is not None  # noqa: S101 - a worker answers only an order
                name = peer.classes[peer.pack.experiment]
                news += ended(reply.worker, name, peer.sweeps, reply.value)
                self._answered(reply.worker, reply.value)
                found = reply.value.widths
                widths.remember(self._session, peer.pack, name, found, self._now)
                took = reply.value.lane_steps, reply.value.seconds
                speeds.add(self._session, peer.pack, name, *took, self._now)
            else:
                news += self._lose(reply.worker, reply.lost or reply.error or "no answer")
        free = self._locks.free(d.sweep for d in news)
        self.deferred += [d for d in news if d.sweep not in free]
        self._record([d for d in news if d.sweep in free])
        if self.introduced:
            self.absence = self.absence.met(self._slots())
            self._offer()

    def _offer(self) -> None:
        """Workers may be others since sweeps paused for changed code.

        A sweep goes on once one is of its own class; else it is offered what they are of now.
        """
        for asked in classes.asked(self._session):
            slot = offered(asked.pinned, asked.experiment, self._slots())
            own = slot is not None and slot.classes[asked.experiment] == asked.pinned
            if slot is None or (slot.classes[asked.experiment] == asked.offered and not own):
                continue
            if not self._locks.has(asked.sweep):
                self.reconciled = False  # so that the next turn offers again
                continue
            with contextlib.suppress(UnknownSweepError):  # a user was faster
                if not own:
                    numerics = self.peers[slot.name].numerics[asked.experiment]
                    classes.offer(self._session, asked.sweep, numerics)
                elif classes.back(self._session, asked.sweep):
                    self._note("info", "sweep_resumed", sweep=asked.sweep, numerics=asked.pinned)

    def _answered(self, worker: str, answer: Return) -> None:
        """What an answer changes outside the store."""
        peer = self.peers[worker]
        self._resumed(worker, answer)
        self.ended_steps += ended_steps(peer.sweeps, answer)
        self.pacing.answered(peer, answer)
        self.peers[worker] = peer.returned(answer)

    def _record(self, news: Sequence[News]) -> None:
        """What workers told of sweeps that are locked by this turn."""
        returned: dict[str, list[Ended]] = defaultdict(list)
        for found in news:
            if isinstance(found, Ended):
                returned[found.numerics_id].append(found)
            elif isinstance(found, Lost):
                together = found.together
                release.lose(self._session, found.pairs, now=self._now, together=together)
                self._judge([found.sweep])
            elif isinstance(found, Replayed):
                self._replayed(found)
            else:
                replays.lose(self._session, found.replay, self._now)
        for numerics_id, some in returned.items():
            self._complete(numerics_id, some)

    def _complete(self, numerics_id: str, some: Sequence[Ended]) -> None:
        """What ended on workers of one numerics class."""
        done = completion.complete(
            self._session,
            outcomes=[o for found in some for o in found.outcomes],
            failures=[f for found in some for f in found.failures],
            dropped=[pair for found in some for pair in found.dropped],
            numerics_id=numerics_id,
            max_attempts=self._rules.max_attempts,
            now=self._now,
        )
        late = {trial for trial, _ in done.refused}  # the checkpoint is then another attempt's
        of = {t: found.sweep for found in some if found.sweep for t in found.checkpointed}
        self.needless += [checkpoint_name(s, t) for t, s in of.items() if t not in late]
        for trial, attempt in done.refused:
            self._note("warning", "late_write_refused", trial=trial, attempt=attempt)
        for sweep in done.ended_sweeps:
            self._note("info", "sweep_ended", sweep=sweep)
        self._judge({found.sweep for found in some if found.failures})

    def _judge(self, fallen: Iterable[str]) -> None:
        """Pauses sweeps of which all that was tried first died the same way."""
        for sweep in sorted(fallen):
            error = failing.judge(self._session, sweep, self._rules.lanes)
            if error is not None:
                fields = {"sweep": sweep, "reason": sweeps.FAILING, "why": error[:_MOST_WHY]}
                self._note("warning", "sweep_paused", **fields)

    def _resumed(self, worker: str, answer: Return) -> None:
        """Says where trials that were tried before began, and what storage does."""
        self.troubles += answer.storage
        if answer.resumptions:
            back = sum(r.step > 0 for r in answer.resumptions)
            why = next((r.why for r in answer.resumptions if r.why), None)
            anew = len(answer.resumptions) - back
            level = "warning" if why else "info"
            self._note(level, "trials_resumed", worker=worker, trials=back, anew=anew, why=why)

    def _lose(self, worker: str, why: str) -> Iterable[News]:
        """A worker died, or its trainer broke: its trials run again from the same streams."""
        peer = self.peers.pop(worker)
        self.lost[worker] = why, peer.description is not None
        if peer.description is not None or unfit(why) is None:  # else the fleet says so, and once
            short = why.strip()[-_MOST_WHY:]
            self._note("warning", "worker_lost", worker=worker, trials=len(peer.held), why=short)
        if peer.replay is not None:
            sweep = replays.sweep_of(self._session, peer.replay)
            return [] if sweep is None else [ReplayLost(sweep, worker, peer.replay)]
        return lost(worker, peer.held, peer.sweeps)

    def order(self) -> None:
        """Claims what idle workers should train next, and says what they should drop."""
        idle = [name for name, peer in self.peers.items() if not peer.busy]
        if not idle:
            return
        unwanted = self._unwanted(idle)
        before = {name: peer.pack for name, peer in self.peers.items()}
        added: dict[str, list[Assignment]] = defaultdict(list)
        chosen = self._takes()
        for _, same in groupby(chosen, lambda take: (take.sweep, take.structure, take.suspects)):
            for take, found in self._claim(list(same)):
                added[take.worker] += found
                self.peers[take.worker] = self.peers[take.worker].took(take, found, self._now)
        for name, task in self._replays():
            added[name].append(task)
        for name in idle:
            peer = self.peers[name]
            if peer.held and peer.pack is not None:
                self.peers[name] = replace(peer, busy=True)
                self.orders[name] = Order(
                    pack=peer.pack,
                    add=tuple(added[name]),
                    cancel=tuple(sorted(peer.held & unwanted)),
                    lanes=self._rules.lanes,
                    slice_s=self._rules.slice_s,
                    widths=self._widths(before.get(name), peer),
                    storage=self._rules.storage,
                )

    def park(self, limit_s: float) -> None:
        """Has idle workers checkpoint what they hold and return it; it goes on elsewhere."""
        for name, peer in self.peers.items():
            if not peer.busy and peer.held and peer.pack is not None and peer.replay is None:
                self.peers[name] = replace(peer, busy=True)
                self.orders[name] = Order(
                    pack=peer.pack,
                    lanes=self._rules.lanes,
                    storage=self._rules.storage,
                    park=True,
                    park_s=limit_s,
                )

    def demand(self) -> Demand:
        """How many workers what there is to do could keep busy."""
        rules, slots, found = self._rules, self._slots(), self._waiting()
        asked = replays.asked(self._session)
        alone = runnable(asked, slots, self.absence.seen)
        count = wanted(slots, found, rules.lanes, most=rules.user_trials, replays=alone)
        return Demand(count, useless(slots, found, asked))

    def _takes(self) -> list[Take]:
        """What idle workers should claim, by who has had least, of sweeps that can be locked."""
        rules, slots, queues = self._rules, self._slots(), self._queues()
        limits = {"most": rules.user_trials, "starting": self._young()}
        while True:
            open_ = [queue for queue in queues if queue.sweep not in self._locks.passed]
            found = decide(slots, open_, rules.lanes, self.ledger, **limits)
            named = {take.sweep for take in found.takes}
            if self._locks.free(named) == named:
                self.ledger = found.ledger
                return found.takes

    def _young(self) -> int:
        """How many workers should soon have described themselves."""
        return sum(n in self.peers and not self.peers[n].description for n in self._starting)

    def _slots(self) -> list[Slot]:
        return slots(self.peers, self._now)

    def _unwanted(self, idle: Sequence[str]) -> set[tuple[int, int]]:
        """What idle workers should drop; of replays those whose sweep is gone."""
        training = [self.peers[n] for n in idle if self.peers[n].replay is None]
        found = release.unwanted(self._session, [pair for peer in training for pair in peer.held])
        running = {p.replay: p.held for n in idle if (p := self.peers[n]).replay is not None}
        wanted = replays.alive(self._session, [r for r in running if r is not None])
        return found.union(*(held for r, held in running.items() if r not in wanted))

    def _replays(self) -> list[tuple[str, Assignment]]:
        """Replays begun by workers for which nothing else was found."""
        free = [p for p in self.peers.values() if not p.busy and not p.held]
        idle = {pair for p in free for pair in p.classes.items()}
        asked = replays.waiting(self._session, idle, self.passed) if idle else []
        while (named := {replay.sweep for replay in asked}) != self._locks.free(named):
            asked = replays.waiting(self._session, idle, self.passed)
        found = []
        for name, replay in replayed(self._slots(), asked):
            task = replays.begin(self._session, replay.id, self._place(name))
            if task is None:
                continue
            self.peers[name] = self.peers[name].replaying(replay.id, replay.pack, task)
            found.append((name, task))
        return found

    def _reran(self, worker: str, replay: int, answer: Return) -> Iterable[News]:
        """What a worker tells of a replay."""
        came: tuple[Outcome | Failure, ...] = (*answer.outcomes, *answer.failures)
        sweep = replays.sweep_of(self._session, replay) if came else None
        self.peers[worker] = self.peers[worker].returned(answer)
        return [Replayed(sweep, worker, replay, came, self._place(worker))] if sweep else []

    def _replayed(self, found: Replayed) -> None:
        """What a replay came to; nothing of it reaches the trial."""
        for came in found.came:
            replay, place = found.replay, found.place
            equal = replays.record(self._session, replay, came, place, self._now)
            if equal is False:
                self._note("warning", "replay_differs", trial=came.trial, worker=place)

    def _widths(self, before: PackSpec | None, peer: Peer) -> dict[int, int]:
        """What is known of a pack that is new to its worker."""
        if peer.pack is None or peer.pack == before:
            return {}
        return widths.recall(self._session, peer.pack, peer.classes[peer.pack.experiment])

    def _queues(self) -> list[Waiting]:
        """What waits for workers that there are; a sweep whose numerics class is gone pauses."""
        slots, queues = self._slots(), self._waiting()
        lost = stranded(slots, queues)
        self.absence = self.absence.after(slots, queues, self._moment)
        gone = [] if self._young() else [q for q in lost if self.absence.gone(q, self._moment)]
        for sweep, experiment in {q.sweep: q.pack.experiment for q in gone}.items():
            if not self._locks.has(sweep):
                continue  # it is still gone in the next turn
            other = next(p.numerics[experiment] for p in self.peers.values() if p.description)
            name = classes.know(self._session, other)
            reason = sweeps.CODE_CHANGED
            with contextlib.suppress(StateConflictError, UnknownSweepError):  # a user was faster
                sweeps.pause(self._session, sweep, reason=reason, offered_class=name)
                self._note("warning", "sweep_paused", sweep=sweep, reason=reason)
        return [queue for queue in queues if queue not in lost]

    def _waiting(self) -> list[Waiting]:
        """What waits, of experiments that are installed here."""
        found = claims.queues(self._session)
        banned = exclusion.banned(self._session) if found else {}
        known = installed()
        self.unknown |= {q.sweep: name for q in found if (name := q.pack.experiment) not in known}
        some = [q for q in found if q.sweep not in self.unknown]
        return [waiting(q, banned.get(q.sweep, frozenset())) for q in some]

    def _claim(self, group: Sequence[Take]) -> list[tuple[Take, list[Assignment]]]:
        """What takes of one queue got; nothing for workers of another class than the sweep's."""
        sweep, structure = group[0].sweep, group[0].structure
        with contextlib.suppress(UnknownSweepError):  # deleted since the queues were read
            mine = [take for take in group if self._pinned(take)]
            shares = [claims.Share(self._place(take.worker), take.limit) for take in mine]
            if group[0].suspects:
                found = [
                    claims.claim_suspects(
                        self._session, sweep, structure, limit, worker=worker, now=self._now
                    )
                    for worker, limit in shares
                ]
            else:
                found = claims.claim_shares(self._session, sweep, structure, shares, now=self._now)
            return list(zip(mine, found, strict=True))
        return []

    def _pinned(self, take: Take) -> bool:
        """Whether the sweep keeps to the class of this worker."""
        peer = self.peers[take.worker]
        name = take.sweep, peer.classes[take.pack.experiment]
        if name not in self._pins:
            numerics = peer.numerics[take.pack.experiment]
            self._pins[name] = classes.pin(self._session, take.sweep, numerics)
        return self._pins[name]

    def _place(self, worker: str) -> str:
        return self.peers[worker].node or worker

    def _note(self, level: str, event: str, **fields: Any) -> None:
        self.notes.append(Note(level, event, fields))


def waiting(queue: claims.Queue, excluded: frozenset[str] = frozenset()) -> Waiting:
    """A queue as the decisions see it."""
    return Waiting(**vars(queue), excluded=excluded)

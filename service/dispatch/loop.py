"""The dispatcher's edge: store on one side, workers on the other, one transaction a turn."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

import structlog
from sqlalchemy.orm import Session, sessionmaker

from service.dispatch.absence import Absence
from service.dispatch.announcing import announcement
from service.dispatch.announcing import due as is_due
from service.dispatch.deferred import Ended, News, Replayed
from service.dispatch.faults import MOST_FAILED, pause_s, trouble, unreachable
from service.dispatch.fleet import Fleet
from service.dispatch.leadership import (
    LEASE,
    RENEW_S,
    LeaseLostError,
    await_lease,
    hold,
    now,
)
from service.dispatch.passed import TELL_S, Passed
from service.dispatch.peers import Peer, Workers
from service.dispatch.shares import Ledger
from service.dispatch.telemetry import Telemetry, telemetry
from service.dispatch.tempo import Tempo
from service.dispatch.troubles import Troubles
from service.dispatch.turn import Rules, Turn
from service.dispatch.watch import Unwatched, Watch, turned
from service.store import lease, release
from service.store.announcements import Announcement, announce
from service.store.locks import Locks
from workers.pool import ClusterLostError, Reply

__all__ = ["LEASE", "Dispatcher", "LeaseLostError", "Rules", "Workers", "await_lease", "now"]

log = structlog.get_logger()

#: what runs in the store is compared with what workers hold this often, and after every error
RECONCILE_S = 60.0
#: how many workers there should be is asked this often
DEMAND_S = 1.0
#: a dispatcher that stops looks this often whether a sweep can be locked by now, and for so long
#: once no worker trains: its successor has the other sweeps to go on with
DEFERRED_S = 0.1
DEFERRED_MOST_S = 2.0
_LOCKED = (
    "another transaction has locked it, so nothing of it is claimed or recorded; a large sweep to "
    "which criteria are added is free by itself, else see pg_blocking_pids and pg_stat_activity"
)


class Dispatcher:
    """Claims trials for workers and records what they return.

    Whatever stands in memory here can be lost: its first turn hands every trial that an earlier
    dispatcher left running back to the queue, and a late write of an earlier attempt is refused by
    the store. A turn that fails is repeated: replies are kept until they are committed. Should one
    never be recorded, it is not the others' fault: each then gets a turn of its own, and a worker
    whose answer the store refuses is lost.

    No turn waits for a sweep that somebody else has locked. What workers told of it is kept, beside
    their next answers, until a turn can lock it.

    Args:
        sessions: opens store sessions; the loop commits once a turn.
        workers: the pool.
        rules: lanes, slice and attempts.
        holder: this dispatcher's name in the lease.
        discard: told the names of files in storage that nobody needs any more; does not wait.
        watch: counts what it does; nobody unless given.
        tell: called after every round with the workers as they stand.
    """

    def __init__(
        self,
        sessions: sessionmaker[Session],
        workers: Workers,
        rules: Rules,
        holder: str,
        discard: Callable[[Sequence[str]], None] = lambda _: None,
        watch: Watch | None = None,
        tell: Callable[[Collection[Peer]], None] = lambda _: None,
    ) -> None:
        self._sessions = sessions
        self._workers = workers
        self._rules = rules
        self._holder = holder
        self._discard = discard
        self._troubles = Troubles()
        self._watch = watch or Unwatched()
        self._tell = tell
        self._peers: dict[str, Peer] = {}
        self._replies: dict[str, Reply] = {}
        self._deferred: list[News] = []
        self._passed = Passed()
        self._locked = frozenset[str]()
        self._fleet = Fleet(workers, rules)
        self._demanded = 0.0
        self._wake = threading.Event()
        self._one_by_one = False
        self._reconciled: float | None = None
        self._ended_steps: Counter[str] = Counter()
        self._tempos = dict[str, Tempo]()
        self._ledger = Ledger()
        self._absence = Absence(self._fleet.elastic)
        self._unknown: set[str] = set()
        self._renewed = 0.0
        self._said: Announcement | None = None
        self._said_at = 0.0

    def announcement(self) -> Announcement:
        """What is known of the workers; safe to call from any thread."""
        storage = self._troubles.lasting(time.monotonic())
        return announcement(list(self._peers.values()), storage, on_demand=self._fleet.elastic)

    def telemetry(self, sweep: str) -> Telemetry:
        """How far a sweep's running trials are; safe to call from any thread."""
        return telemetry(list(self._peers.values()), sweep, self._ended_steps[sweep])

    def wake(self) -> None:
        """Says that the queue may have changed."""
        self._wake.set()

    def run(
        self,
        stop: threading.Event,
        timeout_s: float = 0.5,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """Ticks until told to stop, then drains, and hands what still runs back to the queue.

        A store that cannot be reached is waited for. Any other error is logged with its traceback,
        and the turn repeated; after `MOST_FAILED` in a row it is raised.

        Args:
            beat: called at every tick, failed ones too.

        Raises:
            LeaseLostError: another dispatcher is active; this one has forgotten its workers.
            ClusterLostError: its workers are lost to it; what they held was handed back.
        """
        failed, faults = 0, 0
        while not stop.is_set():
            beat()
            try:
                if time.monotonic() - self._renewed > RENEW_S:
                    self._renew()
                self.tick(timeout_s)
                failed, faults = 0, 0
            except LeaseLostError:
                self._forget()
                raise
            except ClusterLostError:
                self._hand_back()
                raise
            except Exception as error:
                failed += 1
                self._watch.failed(unreachable=unreachable(error))
                if unreachable(error):
                    log.warning(trouble(error), error=str(error))
                else:
                    faults += 1
                    if faults >= MOST_FAILED:
                        raise
                    log.exception("turn_failed", times=faults)
                stop.wait(pause_s(failed))
        self._drain(beat)
        self._hand_back()

    def tick(self, timeout_s: float) -> None:
        """One round: spawn what is missing, record what came back, order what is next.

        Raises:
            LeaseLostError: another dispatcher took over; nothing was written.
        """
        self._fleet.look()
        self._peers = self._fleet.adjust(self._peers)
        if any(peer.busy for peer in self._peers.values()):
            for reply in self._workers.wait(timeout_s):
                self._replies.setdefault(reply.worker, reply)
        else:
            self._wake.wait(timeout_s)
        self._wake.clear()
        for lost in self._fleet.missed(self._peers):
            self._replies.setdefault(lost.worker, lost)
        idle = not all(peer.busy for peer in self._peers.values())
        waits = self._replies or self._deferred
        if self._in_doubt() or waits or idle or self._demand_due():
            self._turns()
        self._watch.stands(self._peers.values(), self._fleet.wanted, self._rules.lanes)
        self._tell(self._peers.values())

    def _in_doubt(self) -> bool:
        """Whether the store may say of trials that they run though no worker holds them."""
        return self._reconciled is None or time.monotonic() - self._reconciled > RECONCILE_S

    def _demand_due(self) -> bool:
        """Whether it is time to ask how many workers there should be."""
        return self._fleet.elastic and time.monotonic() - self._demanded > DEMAND_S

    def _turns(self) -> None:
        """One turn for all that came back; after one that failed one for each, then one to order.

        Of a sweep that is locked then, only the first thing that was deferred is tried.
        """
        try:
            if self._one_by_one:
                locked = set[str]()
                for news in list(self._deferred):
                    if news.sweep not in locked:
                        self._single_deferred(news)
                        locked |= self._locked
                for reply in list(self._replies.values()):
                    self._single(reply)
            self._turn(list(self._replies.values()))
        except Exception as error:
            self._reconciled = None
            self._one_by_one = not unreachable(error)
            raise
        self._one_by_one = False

    def _single(self, reply: Reply) -> None:
        """Records one reply; a worker whose answer cannot be recorded is lost instead."""
        try:
            self._turn([reply], order=False, due=())
        except LeaseLostError:
            raise
        except Exception as error:
            if unreachable(error) or reply.value is None:
                raise
            log.exception("answer_refused", worker=reply.worker)
            why = f"its answer could not be recorded: {error}"
            self._replies[reply.worker] = Reply(reply.worker, error=why)

    def _single_deferred(self, news: News) -> None:
        """The same for what was deferred: what cannot be recorded counts as lost."""
        try:
            self._turn((), order=False, due=[news])
        except LeaseLostError:
            raise
        except Exception as error:
            if unreachable(error) or not isinstance(news, Ended | Replayed):
                raise
            log.exception("answer_refused", worker=news.worker)
            refused = news.refused()
            self._deferred = [refused if d == news else d for d in self._deferred]

    def _turn(
        self,
        replies: Sequence[Reply],
        *,
        order: bool = True,
        park_s: float | None = None,
        due: Sequence[News] | None = None,
    ) -> None:
        """Replies are forgotten, and orders sent, only once the turn is committed.

        A commit that fails may have reached the store before the connection broke. Trials that it
        claimed then run there and are held by nobody, so the next turn hands them back.

        Args:
            due: of what was deferred, that which is tried now; None: all.
        """
        doubt = self._in_doubt()
        began = time.monotonic()
        with self._sessions.begin() as session:
            hold(session, self._holder)
            world = self._peers, self._rules, now(), self._tempos, self._ledger
            starting = self._fleet.starting(self._peers)
            before = self._deferred, self._locked
            turn = Turn(session, *world, self._absence, began, starting, *before)
            if doubt:
                turn.reconcile()
            turn.receive(replies, due)
            if order:
                turn.order()
            if park_s is not None and self._rules.storage is not None:
                turn.park(park_s)
            demand = turn.demand() if order and self._demand_due() else None
            turn.pacing.end(turn.peers.values())
            storage = self._troubles.lasting(time.monotonic())
            news = announcement(turn.peers.values(), storage, on_demand=self._fleet.elastic)
            saying = is_due(self._said, news, time.monotonic() - self._said_at)
            if saying:
                announce(session, LEASE, self._holder, news, lease.clock(session, now()))
            if time.monotonic() - began > RENEW_S:
                hold(session, self._holder)  # or it would have run out at the commit
        self._renewed = time.monotonic()
        if saying:
            self._said, self._said_at = news, time.monotonic()
        if not turn.reconciled:
            self._reconciled = None
        elif doubt:
            self._reconciled = time.monotonic()
        if demand is not None:
            self._fleet.want(demand)
            self._demanded = time.monotonic()
        done = turned(turn, replies, self._peers, self._renewed - began)
        self._adopt(turn, replies)
        self._watch.turned(done)

    def _adopt(self, turn: Turn, replies: Sequence[Reply]) -> None:
        """Makes true outside the store what a committed turn decided."""
        for reply in replies:
            del self._replies[reply.worker]
            self._fleet.answered(reply.worker)
        self._peers = turn.peers
        self._deferred, self._locked = turn.deferred, turn.passed
        self._tempos = turn.pacing.tempos
        self._ledger = turn.ledger
        self._absence = turn.absence
        self._warn(turn.unknown)
        for sweep in self._passed.heard(self._locked, time.monotonic()):
            log.warning("sweep_locked", sweep=sweep, for_s=TELL_S, cure=_LOCKED)
        self._ended_steps += turn.ended_steps
        if turn.introduced:
            self._fleet.introduced()
        for worker, (why, was_known) in turn.lost.items():
            self._fleet.lost(worker, why, was_known=was_known)
        for worker, order in turn.orders.items():
            self._fleet.asked(worker)
            try:
                self._workers.send(worker, order)
            except Exception as error:
                log.exception("order_not_sent", worker=worker)
                self._replies[worker] = Reply(worker, lost=f"its order could not be sent: {error}")
        self._discard(turn.needless)
        trouble = self._troubles.heard(turn.troubles, time.monotonic())
        if trouble is not None:
            log.warning("storage_failing", why=trouble, lost="only work since the last checkpoint")
        for note in turn.notes:
            getattr(log, note.level)(note.event, **note.fields)

    def _warn(self, unknown: Mapping[str, str]) -> None:
        """Says once of each sweep that its experiment is not installed here."""
        for sweep in unknown.keys() - self._unknown:
            name = unknown[sweep]
            cure = (
                f"install the package that has {name!r}, at the version that began the sweep, for "
                f"the dispatcher and its workers and restart them, or `seedbed cancel {sweep}`"
            )
            log.warning("experiment_not_installed", sweep=sweep, experiment=name, cure=cure)
        self._unknown |= unknown.keys()

    def _drain(self, beat: Callable[[], None]) -> None:
        """Lets calls in flight end their segment and records what they return; claims nothing.

        Where there is storage, lanes that do not end are checkpointed and returned. A
        KeyboardInterrupt, a second signal, cuts it short, and so does an error: what is not
        recorded then runs again.
        """
        deadline = time.monotonic() + self._rules.drain_s
        log.info("draining", at_most_s=self._rules.drain_s, calls=len(self._training()))
        try:
            self._turn(list(self._replies.values()), order=False, park_s=self._rules.drain_s)
            while self._unrecorded() and (left_s := deadline - time.monotonic()) > 0:
                beat()
                if time.monotonic() - self._renewed > RENEW_S:
                    self._renew()
                if not self._replies:  # else an order of the last turn could not be sent
                    self._replies |= {r.worker: r for r in self._heard(left_s)}
                if self._replies or self._deferred:
                    self._turn(list(self._replies.values()), order=False, park_s=left_s)
                if not self._training():
                    deadline = min(deadline, time.monotonic() + DEFERRED_MOST_S)
        except KeyboardInterrupt:
            log.warning("drain_cut_short", calls=len(self._training()))
        except LeaseLostError as error:
            log.warning("lease_lost", error=str(error))
        except Exception:
            log.exception("drain_failed")

    def _unrecorded(self) -> bool:
        """Whether something is to be waited for before this dispatcher stops."""
        return bool(self._training() or self._deferred)

    def _heard(self, left_s: float) -> Sequence[Reply]:
        """What workers answer soon; where none trains any more it only waits."""
        least_s = DEFERRED_S if self._deferred else RENEW_S
        if self._training():
            return self._workers.wait(min(left_s, least_s))
        self._wake.wait(min(left_s, least_s))
        self._wake.clear()
        return []

    def _training(self) -> list[str]:
        """Workers that train and have not answered yet."""
        return [name for name, peer in self._peers.items() if peer.busy and peer.held]

    def _renew(self) -> None:
        with self._sessions.begin() as session:
            hold(session, self._holder)
        self._renewed = time.monotonic()

    def _forget(self) -> None:
        """Ends the workers: what they hold is another dispatcher's to run again."""
        self._watch.rests()
        self._fleet.forget(list(self._peers))
        self._peers, self._replies, self._tempos, self._deferred = {}, {}, {}, []
        self._reconciled, self._said = None, None
        self._absence = Absence(self._fleet.elastic)

    def _record_deferred(self) -> None:
        """What ended and can be recorded by now need not run again."""
        if not self._deferred:
            return
        try:
            self._turn((), order=False)
        except LeaseLostError:
            pass  # whoever hands back finds out too, and says so
        except Exception as error:
            if not unreachable(error):
                log.exception("deferred_not_recorded")

    def _hand_back(self) -> None:
        """Hands what runs back to the queue and gives the lease up, if it is still held.

        What runs of sweeps that somebody else has locked is left to the next dispatcher.
        """
        self._watch.rests()
        self._record_deferred()
        try:
            with self._sessions.begin() as session:
                hold(session, self._holder)
                locks = Locks(session)
                count = release.release_all(session, now=now(), locks=locks)
                lease.drop(session, LEASE, self._holder)
        except LeaseLostError as error:
            log.warning("lease_lost", error=str(error))
        except Exception as error:
            if not unreachable(error):
                raise
            log.warning("not_handed_back", error=str(error), cure="the next start takes it over")
        else:
            log.info("dispatcher_stopped", handed_back=count, locked=sorted(locks.passed))

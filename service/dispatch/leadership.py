"""Leadership: one dispatcher a store, by a lease that every transaction of it renews."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from sqlalchemy.orm import Session, sessionmaker

from service.dispatch.faults import trouble, unreachable
from service.store import lease
from service.store.lease import LEASE

__all__ = ["LEASE", "LEASE_TTL_S", "RENEW_S", "LeaseLostError", "await_lease", "hold", "now"]

log = structlog.get_logger()

#: a standby takes over so long after the last renewal of a dispatcher that was killed
LEASE_TTL_S = 6.0
#: the lease is renewed this often, and again at the end of a turn that took longer
RENEW_S = 2.0
#: a standby looks this often
LOOK_S = 0.5


class LeaseLostError(Exception):
    """Another dispatcher took over; this one must not write any more."""


def now() -> datetime:
    """The time, with its zone."""
    return datetime.now(UTC)


def hold(session: Session, holder: str) -> None:
    """Takes or renews the lease, so that nobody else has it before this transaction ends.

    Raises:
        LeaseLostError: another holder has it; the transaction must write nothing.
    """
    if not lease.acquire(session, LEASE, holder, LEASE_TTL_S, lease.clock(session, now())):
        raise LeaseLostError(
            "another dispatcher holds the lease of this store, and only one may claim trials; "
            "this one stops writing: what it held is the other's to run again"
        )


def await_lease(
    sessions: sessionmaker[Session],
    holder: str,
    stop: threading.Event,
    say: Callable[[str], None],
    beat: Callable[[], None] = lambda: None,
) -> bool:
    """Waits until this holder has the dispatcher's lease; False if told to stop before.

    It looks first and takes only then: taking would wait for the active one's transaction.

    Args:
        say: told once that another is active.
        beat: called at every look.
    """
    told = False
    while not stop.is_set():
        beat()
        try:
            if _take(sessions, holder):
                return True
        except Exception as error:
            if not unreachable(error):
                raise
            log.warning(trouble(error), error=str(error))
        else:
            if not told:
                say("another dispatcher is active on this store; waiting for its lease to end")
                told = True
        stop.wait(LOOK_S)
    return False


def _take(sessions: sessionmaker[Session], holder: str) -> bool:
    with sessions.begin() as session:
        moment = lease.clock(session, now())
        if lease.taken(session, LEASE, holder, moment):
            return False
        return lease.acquire(session, LEASE, holder, LEASE_TTL_S, moment)

"""Leadership: one dispatcher a store, by a lease that every transaction of it renews."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from sqlalchemy.orm import Session, sessionmaker

from service.dispatch.faults import unreachable
from service.store import lease

log = structlog.get_logger()

LEASE = "dispatcher"
LEASE_TTL_S = 15.0


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
    sessions: sessionmaker[Session], holder: str, stop: threading.Event, say: Callable[[str], None]
) -> bool:
    """Waits until this holder has the dispatcher's lease; False if told to stop before."""
    told = False
    while not stop.is_set():
        try:
            with sessions.begin() as session:
                hold(session, holder)
        except LeaseLostError:
            if not told:
                say("another dispatcher is active on this store; waiting for its lease to end")
                told = True
        except Exception as error:
            if not unreachable(error):
                raise
            log.warning("store_unreachable", error=str(error))
        else:
            return True
        stop.wait(1.0)
    return False

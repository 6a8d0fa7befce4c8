"""Locks: the sweeps that one transaction may change, of which it waits for none.

Whoever changes a sweep locks its row until the transaction ends (`service.store.sweeps.lock`). One
that changes many at once would stand still, with all that it has locked, for as long as anybody has
one of them. This one goes past a sweep that somebody else has locked, and who never waits is part
of no deadlock.
"""

import time
from collections.abc import Collection, Iterable

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from service.store.batch import dialect_of
from service.store.tables import sweeps

#: whoever changes one thing of a sweep has let it go by then
AGAIN_S = 0.02


class Locks:
    """Of one transaction. On SQLite it has the lock of the whole file, and goes past nobody.

    What is locked for a moment only is looked at again after `AGAIN_S`, once in the transaction.

    Args:
        known: sweeps that were passed just before; for them alone it does not look again.

    Attributes:
        passed: sweeps that somebody else had locked; they stay passed until the transaction ends.
    """

    def __init__(self, session: Session, known: Collection[str] = ()) -> None:
        self._session = session
        self._known = frozenset(known)
        self._patient = True
        self._mine: set[str] = set()
        self.passed: set[str] = set()

    def free(self, wanted: Iterable[str]) -> set[str]:
        """Locks these sweeps but those that somebody else has locked; waits `AGAIN_S` at most.

        Of one that is not there nothing is locked; it counts as free.
        """
        found = set(wanted)
        asked = sorted(found - self._mine - self.passed)
        if asked and dialect_of(self._session) == "postgresql":
            self._take(asked)
        return found - self.passed

    def has(self, sweep: str) -> bool:
        """The same for one."""
        return bool(self.free([sweep]))

    def _take(self, asked: list[str]) -> None:
        left = set(asked) - set(self._session.scalars(_TAKE, {"of": asked}))
        if left - self._known and self._patient:
            self._patient = False
            time.sleep(AGAIN_S)
            left -= set(self._session.scalars(_TAKE, {"of": sorted(left)}))
        if left:  # one that somebody is deleting is there until that is committed
            self.passed |= set(self._session.scalars(_THERE, {"of": sorted(left)}))
        self._mine |= set(asked) - self.passed


_THERE = select(sweeps.c.id).where(sweeps.c.id.in_(bindparam("of", expanding=True)))
_TAKE = _THERE.order_by(sweeps.c.id).with_for_update(skip_locked=True)

"""Locks: the sweeps that one transaction may change, of which it waits for none.

Whoever changes a sweep locks its row until the transaction ends (`service.store.sweeps.lock`). One
that changes many at once would stand still, with all that it has locked, for as long as anybody has
one of them. This one goes past a sweep that somebody else has locked, and who never waits is part
of no deadlock.
"""

from collections.abc import Iterable

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from service.store.batch import dialect_of
from service.store.tables import sweeps


class Locks:
    """Of one transaction. On SQLite it has the lock of the whole file, and goes past nobody.

    Attributes:
        passed: sweeps that somebody else had locked; they stay passed until the transaction ends.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._mine: set[str] = set()
        self.passed: set[str] = set()

    def free(self, wanted: Iterable[str]) -> set[str]:
        """Locks these sweeps but those that somebody else has locked; never waits.

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
        got = set(self._session.scalars(_TAKE, {"of": asked}))
        left = set(asked) - got
        if left:  # one that somebody is deleting is there until that is committed
            self.passed |= set(self._session.scalars(_THERE, {"of": sorted(left)}))
        self._mine |= set(asked) - self.passed


_THERE = select(sweeps.c.id).where(sweeps.c.id.in_(bindparam("of", expanding=True)))
_TAKE = _THERE.order_by(sweeps.c.id).with_for_update(skip_locked=True)

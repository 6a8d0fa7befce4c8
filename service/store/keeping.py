"""Which final weights a sweep's workers keep, as its spec was submitted."""

import json
from functools import cached_property

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.progress import criteria_of
from service.store.tables import arms, settings
from workers.messages import Keep, Rule


class Keeping:
    """The rule of one sweep; the store is asked only where weights are kept.

    A criterion that was added later keeps nothing: trials that ended before it left no weights, and
    a sweep's trials are treated alike.

    Args:
        keep: what the spec says: none, successes or all.
    """

    def __init__(self, session: Session, sweep: str, keep: str | None) -> None:
        self._session = session
        self._sweep = sweep
        self._keep = keep

    def of(self, arm: int, setting: int) -> Keep | None:
        """What is kept of a cell's trials, and what their files say of the cell."""
        if self._keep not in ("successes", "all"):
            return None
        rules = None if self._keep == "all" else self._rules
        return Keep(rules, {"arm": self._arms[arm], "setting": self._settings[setting]})

    @cached_property
    def _rules(self) -> tuple[Rule, ...]:
        return tuple(
            Rule(c.metric, c.comparison, c.threshold, c.at)
            for c in criteria_of(self._session, self._sweep)
            if c.version == 1
        )

    @cached_property
    def _arms(self) -> dict[int, str]:
        query = select(arms.c.index, arms.c.name).where(arms.c.sweep == self._sweep)
        return dict(self._session.execute(query).all())

    @cached_property
    def _settings(self) -> dict[int, str]:
        query = select(settings.c.index, settings.c["values"]).where(
            settings.c.sweep == self._sweep
        )
        rows = self._session.execute(query)
        return {index: json.dumps(values, sort_keys=True) for index, values in rows}

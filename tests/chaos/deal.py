"""Deals a schedule to a site while its sweep runs, and heals what it wounds."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from service.store.engine import reading_factory
from service.store.progress import progress
from tests.chaos.schedule import Fault
from tests.chaos.site import Site
from tests.chaos.wounds import Wound, wound

#: no more faults than these at once: something must be left to train
AT_ONCE = 3


class TooLateError(Exception):
    """The sweep ended before all faults were dealt, or not at all."""


@dataclass(frozen=True)
class Fire:
    """What was done to a sweep.

    Attributes:
        wounds: every fault that was dealt, in order.
        began: monotonic time at which the first outcome could have come.
        seconds: how long the sweep took.
    """

    wounds: Sequence[Wound]
    began: float
    seconds: float


class Battle:
    """A sweep under fire: faults still to deal, wounds still open."""

    def __init__(
        self, site: Site, sweep: str, schedule: Sequence[Fault], say: Callable[[str], None]
    ) -> None:
        self.began = time.monotonic()
        self.left = list(schedule)
        self.wounds: list[Wound] = []
        self.open: list[Wound] = []
        self._site, self._sweep, self._say = site, sweep, say

    def round(self) -> bool:
        """Looks, heals, restarts and deals once; False when the sweep is over."""
        recorded = self._site.recorded()
        self._heal()
        for name in supervise(self._site, self._away()):
            self._tell(f"{name} had ended by itself; started again")
        if recorded is not None:
            for each in self.wounds:
                if each.next_s is None and recorded > each.recorded:
                    each.next_s = each.age_s
            if len(self.open) < AT_ONCE:
                self._deal(recorded)
        return bool(self.open) or not ended(self._site, self._sweep)

    def _away(self) -> set[str]:
        return {wound.part.name for wound in self.open if wound.part is not None}

    def _heal(self) -> None:
        for each in [w for w in self.open if w.due]:
            each.seen = each.heal()
            self.open.remove(each)
            self._tell(f"healed: {each.fault.kind}: {each.seen}")

    def _deal(self, recorded: int) -> None:
        """The first fault that is due and finds something to hit."""
        away = self._away()
        for fault in [f for f in self.left if f.after <= recorded]:
            found = wound(self._site, fault, away)
            if found is not None:
                found.recorded = recorded
                self.left.remove(fault)
                self.wounds.append(found)
                self.open.append(found)
                what = f"fault {len(self.wounds)}: {fault.kind}"
                self._tell(f"{what}: {found.target}, at {recorded} outcomes")
                return

    def _tell(self, line: str) -> None:
        self._say(f"{time.monotonic() - self.began:7.1f} s  {line}")


def fire(
    site: Site, sweep: str, schedule: Sequence[Fault], limit_s: float, say: Callable[[str], None]
) -> Fire:
    """Deals every fault at its moment until the sweep has ended.

    Raises:
        TooLateError: the sweep ended early or did not end in time.
    """
    battle = Battle(site, sweep, schedule, say)
    while battle.round():
        if time.monotonic() - battle.began > limit_s:
            raise TooLateError(
                f"the sweep has not ended after {limit_s:.0f} s, with {site.recorded()} outcomes "
                f"recorded and {len(battle.left)} faults still to deal"
            )
        time.sleep(0.05)
    if battle.left:
        raise TooLateError(
            f"the sweep ended before {len(battle.left)} faults were dealt; each has to meet work; "
            "ask for more trials, more steps or fewer faults"
        )
    return Fire(battle.wounds, battle.began, time.monotonic() - battle.began)


def supervise(site: Site, away: set[str]) -> list[str]:
    """Starts again what ended by itself, as a restart policy would; names of those."""
    found = [p for p in site.parts() if p.name not in away and not p.alive]
    for part in found:
        site.restarts[part.name] += 1
        part.start()
    return [part.name for part in found]


def ended(site: Site, sweep: str) -> bool:
    """Whether the sweep is over; False while the store is away."""
    try:
        with reading_factory(site.engine)() as session:
            return progress(session, sweep).state == "finished"
    except DBAPIError:
        return False

"""The audit: does the place where a trial ran tell whether it succeeded? It must not.

A trial's result is a function of its spec, so its chance of success depends on its cell alone. A
worker, device, pack, lane or hour that succeeds more or less often than its trials' cells do is
broken, or was. Levels are compared within cells, so that what differs between arms or settings
flags nobody. A place is taken as it was before the outcome: the row and the hour that a trial began
in, since trials that end early leave other rows and other hours to those that do not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.evidence.hypergeometric import Ints, Tails, tails

ALPHA = 0.05
#: levels that are taken out one after another before the audit gives up on the rest
_MOST_PEELED = 20


@dataclass(frozen=True)
class Place:
    """A factor: where trials ran.

    Attributes:
        of: (N,) index of each trial's level; -1 where it is not known.
        levels: their names.
    """

    of: NDArray[np.int32]
    levels: Sequence[str]


@dataclass(frozen=True)
class Ran:
    """Trials with an outcome, and where they ran; N rows of one or more that agree in all of it.

    Attributes:
        cell: (N,) any number that names a trial's cell.
        success: (N,) whether it met the criterion.
        times: (N,) how many trials the row stands for.
        places: factor -> where.
    """

    cell: Ints
    success: NDArray[np.bool_]
    times: Ints
    places: Mapping[str, Place]


@dataclass(frozen=True)
class Level:
    """One level of one factor against what its trials' cells lead one to expect.

    Attributes:
        p: exact, two-sided, given each cell's trials and successes.
        q: the smallest rate of false flags at which this one is flagged; None where so few trials
            are compared that no count of successes could be flagged.
    """

    factor: str
    level: str
    trials: int
    observed: int
    expected: float
    p: float
    q: float | None


@dataclass(frozen=True)
class Factor:
    """One factor.

    Attributes:
        levels: how many there are.
        tested: of those, how many could be flagged at all.
        same_as: an earlier factor that parts the trials alike, and is tested in its place.
    """

    name: str
    levels: int
    tested: int
    same_as: str | None = None


@dataclass(frozen=True)
class Audit:
    """What the audit found.

    Attributes:
        flags: levels that stand out, in the order in which they were taken out.
        levels: all others, compared without the flagged ones' trials; smallest p first.
    """

    alpha: float
    trials: int
    factors: tuple[Factor, ...]
    flags: tuple[Level, ...]
    levels: tuple[Level, ...]


def audit(ran: Ran, alpha: float = ALPHA) -> Audit:
    """Every level of every factor, with the rate of false flags held at alpha.

    Each level's successes are compared with their exact law given all margins, within cells (the
    conditional test of stratified tables: Mantel & Haenszel 1959). Over all levels and factors
    Benjamini & Hochberg's procedure (1995, JRSS B 57:289) holds the rate, weighted so that every
    factor has the same share whatever its number of levels (Genovese, Roeder & Wasserman 2006,
    Biometrika 93:509). Levels, and factors, that no count could flag take no share from the others
    (Gilbert 2005, JRSS C 54:143). If nothing is wrong, some flag has a chance of about alpha.

    One bad worker makes the others look bad in the other direction, and the hours in which it
    worked. So the level that stands out most is flagged, its trials are taken out, and the rest is
    audited anew, until nothing stands out.
    """
    first = found = _look(ran, alpha)
    flags: list[Level] = []
    kept = np.ones(ran.cell.size, bool)
    while found.levels and len(flags) < _MOST_PEELED:
        worst = min(found.levels, key=_prominence)
        if worst.q is None or worst.q > alpha:
            break
        flags.append(worst)
        place = ran.places[worst.factor]
        kept &= place.of != list(place.levels).index(worst.level)
        found = _look(_only(ran, kept), alpha)
    ordered = sorted(found.levels, key=lambda level: (level.p, level.factor, level.level))
    return replace(first, alpha=alpha, flags=tuple(flags), levels=tuple(ordered))


def _prominence(level: Level) -> tuple[float, float, str, str]:
    """What stands out most comes first; among equals names decide, not the order of rows."""
    q = 1.0 if level.q is None else level.q
    return (q, level.p, level.factor, level.level)


def _only(ran: Ran, kept: NDArray[np.bool_]) -> Ran:
    places = {name: Place(place.of[kept], place.levels) for name, place in ran.places.items()}
    return Ran(ran.cell[kept], ran.success[kept], ran.times[kept], places)


@dataclass(frozen=True)
class _Row:
    factor: str
    level: str
    trials: int
    observed: int
    found: Tails


def _look(ran: Ran, alpha: float) -> Audit:
    """One round, without flags."""
    rows: dict[str, list[_Row]] = {}
    same: dict[str, str | None] = {}
    for name, place in ran.places.items():
        same[name] = next((other for other in rows if _alike(place, ran.places[other])), None)
        if same[name] is None:
            rows[name] = _rows(name, place, ran)
    able = [name for name, found in rows.items() if _tested(found, alpha / len(rows))]
    tested = {name: _tested(rows[name], alpha / len(able)) for name in able}
    q = _rates(tested, len(able))
    levels = [
        Level(
            row.factor,
            row.level,
            row.trials,
            row.observed,
            row.found.expected,
            row.found.p,
            q.get((row.factor, row.level)),
        )
        for found in rows.values()
        for row in found
    ]
    factors = (
        Factor(name, _size(place), len(tested.get(name, ())), same[name])
        for name, place in ran.places.items()
    )
    return Audit(alpha, int(ran.times.sum()), tuple(factors), (), tuple(levels))


def _rates(tested: Mapping[str, Sequence[_Row]], shares: int) -> dict[tuple[str, str], float]:
    """(factor, level) -> q, by the weighted procedure."""
    ranked = sorted(
        ((row.found.p * shares * len(mine), row) for mine in tested.values() for row in mine),
        key=lambda pair: pair[0],
    )
    found: dict[tuple[str, str], float] = {}
    smallest = 1.0
    for rank in range(len(ranked), 0, -1):
        weighted, row = ranked[rank - 1]
        smallest = min(smallest, weighted / rank)
        found[row.factor, row.level] = smallest
    return found


def _size(place: Place) -> int:
    return int(np.unique(place.of[place.of >= 0]).size)


def _alike(a: Place, b: Place) -> bool:
    """Whether two factors part the trials alike, whatever they call the parts."""
    if ((a.of < 0) != (b.of < 0)).any():
        return False
    pairs = np.unique(np.stack([a.of, b.of]), axis=1)
    return bool(pairs.shape[1] == np.unique(pairs[0]).size == np.unique(pairs[1]).size)


def _rows(name: str, place: Place, ran: Ran) -> list[_Row]:
    known = place.of >= 0
    if not known.any():
        return []
    cells, cell = np.unique(ran.cell[known], return_inverse=True)
    times, level = ran.times[known], place.of[known].astype(np.int64)
    won = times * ran.success[known]
    whole, wins = _totals(cell, times, cells.size), _totals(cell, won, cells.size)
    both, inverse = np.unique(level * cells.size + cell, return_inverse=True)
    mine, mine_won = _totals(inverse, times, both.size), _totals(inverse, won, both.size)
    at, where = both // cells.size, both % cells.size
    parts: Ints = np.stack([whole[where], wins[where], mine], axis=1)
    starts = np.flatnonzero(np.diff(at, prepend=-1))
    found = []
    for low, high in zip(starts, [*starts[1:], both.size], strict=True):
        observed = int(mine_won[low:high].sum())
        trials = int(mine[low:high].sum())
        chance = tails(observed, parts[low:high])
        found.append(_Row(name, place.levels[at[low]], trials, observed, chance))
    return found


def _totals(of: Ints, counts: Ints, size: int) -> Ints:
    """Sums of counts by index; exact, since doubles hold every whole number below 2^53."""
    return np.bincount(of, counts, size).astype(np.int64)


def _tested(rows: Sequence[_Row], alpha: float) -> list[_Row]:
    """Levels that some count could flag, were they alone with the others that are tested."""
    for size in range(1, len(rows) + 1):
        able = [row for row in rows if row.found.least_p <= alpha / size]
        if len(able) <= size:
            return able
    return list(rows)

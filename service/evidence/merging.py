"""Evidence of several sweeps: e-values are multiplied, and only over pairs that they do not share.

The product of e-values of independent pairs is an e-value against all of their nulls at once
(Vovk & Wang 2021, Annals of Statistics 49:1736, section 4). Pairs are the same, and would be
counted twice, where root, setting's hash and seed agree: streams are keyed by nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True)
class Part:
    """The evidence of one sweep.

    Attributes:
        name: how an error names it.
        log_e: logarithm of its e-value.
        root: 32 hex digits.
        seeds: hash of each setting -> the seeds whose pairs the e-value counts.
    """

    name: str
    log_e: float
    root: str
    seeds: Mapping[str, range]


class SharedPairsError(ValueError):
    """Two parts count the same pairs."""

    def __init__(self, one: Part, other: Part, ranges: Mapping[str, range]) -> None:
        setting, seeds = next(iter(ranges.items()))
        self.pairs = sum(map(len, ranges.values()))
        super().__init__(
            f"{one.name} and {other.name} share root {one.root}, and {self.pairs} pairs, such as "
            f"in setting {setting} the seeds {seeds.start} to {seeds.stop - 1}; e-values are "
            "multiplied over disjoint pairs only; leave one of the two out, or run one on another "
            "root"
        )


def shared(one: Part, other: Part) -> dict[str, range]:
    """Seeds of the pairs that both count, by setting's hash; settings without any are left out."""
    if one.root != other.root:
        return {}
    found = {}
    for setting in sorted(one.seeds.keys() & other.seeds.keys()):
        a, b = one.seeds[setting], other.seeds[setting]
        seeds = range(max(a.start, b.start), min(a.stop, b.stop))
        if seeds:
            found[setting] = seeds
    return found


def merged(parts: Sequence[Part]) -> float:
    """Logarithm of the e-value of all parts together: the sum of theirs; 0 of none.

    Raises:
        SharedPairsError: two of them count the same pair.
    """
    for one, other in combinations(parts, 2):
        ranges = shared(one, other)
        if ranges:
            raise SharedPairsError(one, other, ranges)
    return sum((part.log_e for part in parts), 0.0)

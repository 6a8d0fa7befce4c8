"""E-values multiply over disjoint pairs, and over no others."""

import itertools
import math

import pytest

from service.evidence.merging import Part, SharedPairsError, merged
from service.evidence.sequential import log_e_paired

ROOT, OTHER = "a" * 32, "b" * 32


def part(log_e: float = 1.0, root: str = ROOT, **seeds: range) -> Part:
    """Evidence of a sweep named by its seeds."""
    return Part(f"{root[0]}{seeds}", log_e, root, seeds)


def test_disjoint_parts_multiply() -> None:
    parts = [
        part(0.5, x=range(10)),
        part(1.5, x=range(10, 20)),  # other seeds
        part(-0.25, y=range(10)),  # another setting
        part(2.0, OTHER, x=range(10)),  # another root
    ]
    assert merged(parts) == 3.75
    assert merged([]) == 0.0
    assert merged([part(0.5, x=range(5, 5)), part(0.5, x=range(10))]) == 1.0  # no pair of its own


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (part(x=range(10)), part(x=range(10))),
        (part(x=range(10)), part(x=range(9, 30))),
        (part(x=range(30)), part(x=range(12, 13))),
        (part(x=range(10), y=range(3)), part(z=range(5), y=range(2, 4))),
    ],
)
def test_a_pair_that_is_counted_twice_is_refused_and_named(one: Part, other: Part) -> None:
    with pytest.raises(SharedPairsError, match=r"share root a{32}.*setting [xy].*another root"):
        merged([one, part(root=OTHER, x=range(99)), other])


def test_a_product_is_an_e_value_and_shared_pairs_would_make_none_of_it() -> None:
    """Exact expectations under the null, over all that n discordant pairs can do."""
    n = 6
    law = [math.comb(n, a) / 2**n for a in range(n + 1)]
    e = [math.exp(log_e_paired(a, n - a)) for a in range(n + 1)]
    apart = sum(
        law[a]
        * law[b]
        * math.exp(
            merged(
                [
                    part(log_e_paired(a, n - a), x=range(n)),
                    part(log_e_paired(b, n - b), x=range(n, 2 * n)),
                ]
            )
        )
        for a, b in itertools.product(range(n + 1), repeat=2)
    )
    assert apart == pytest.approx(1.0, abs=1e-12)
    assert sum(p * x * x for p, x in zip(law, e, strict=True)) > 1.5

"""Paired comparison of a metric: enumeration, a published example, and what no value means."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from service.evidence.pairs import Pairs, Sided
from service.evidence.prefer import Preference, prefer, signed_rank
from service.evidence.values import Better

NAN = math.nan
finals = st.sampled_from([NAN, 0.0, 0.25, 0.5, 1.0, 3.0])
pairs = st.lists(st.tuples(finals, finals), min_size=1, max_size=9)


def columns(rows: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.array(rows, np.float64).reshape(-1, 2).T
    return a, b


def enumerated(a: np.ndarray, b: np.ndarray, sided: Sided) -> float:
    """The exact p: of all ways to sign the observed sizes, those with a rank sum as extreme.

    Lower is better; zeros are ranked and left out (Pratt); a missing member is infinitely worse.
    """
    gap = [
        0.0 if (math.isnan(x) and math.isnan(y)) or x == y
        else -math.inf if math.isnan(x) else math.inf if math.isnan(y) else y - x
        for x, y in zip(a.tolist(), b.tolist(), strict=True)
    ]  # fmt: skip
    ranks = [r for r, g in zip(rankdata(np.abs(gap)), gap, strict=True) if g]
    observed = sum(r for r, g in zip(ranks, (g for g in gap if g), strict=True) if g > 0)
    sums = [sum(r for r, s in zip(ranks, signs, strict=True) if s)
            for signs in product((0, 1), repeat=len(ranks))]  # fmt: skip
    above = sum(s >= observed for s in sums) / len(sums)
    below = sum(s <= observed for s in sums) / len(sums)
    return {"two": min(1.0, 2 * min(above, below)), "greater": above, "less": below}[sided]


@settings(deadline=None, max_examples=60)
@given(pairs, st.sampled_from(["two", "greater", "less"]))
def test_wilcoxons_p_is_the_enumerated_one_with_ties_zeros_and_missing_values(
    rows: list[tuple[float, float]], sided: Sided
) -> None:
    a, b = columns(rows)
    found = signed_rank(a, b, "lower", sided)
    if prefer(a, b, "lower").ties == len(rows):
        assert (found.p, bool(found.reason)) == (None, True)
        return
    assert found.p == pytest.approx(enumerated(a, b, sided), abs=1e-12)
    assert "exact" in found.method


#: test images that 15 pairs got wrong, of 320
WRONG = np.array([
    [46, 31, 62, 55, 40, 37, 71, 28, 66, 49, 33, 58, 44, 39, 52],
    [44, 35, 58, 60, 37, 41, 66, 30, 60, 46, 38, 52, 47, 37, 46],
], float)  # fmt: skip


@pytest.mark.parametrize("n", [3, 7, 320, 1000, 10_000])
@pytest.mark.parametrize("better", ["lower", "higher"])
def test_fractions_have_the_p_of_their_counts(n: int, better: Better) -> None:
    """0.3 - 0.2 is not 0.2 - 0.1 in doubles, and is the same difference all the same."""
    for seed in range(20):
        a, b = np.random.default_rng(seed).integers(0, 100, (2, 15)) if seed else WRONG
        counts = signed_rank(a.astype(float), b.astype(float), better)
        assert signed_rank(a / n, b / n, better) == counts
        assert signed_rank(1 - a / n, 1 - b / n, better).p == pytest.approx(
            signed_rank(-a.astype(float), -b.astype(float), better).p
        )


def test_one_wild_value_ties_no_others() -> None:
    """What rounding can do depends on a pair's own values, not on the largest of all."""
    a = np.array([0.1, 0.2, 0.35, 0.4, 0.7, 1e12])
    assert signed_rank(a, np.zeros(6), "higher").p == pytest.approx(2 / 64)
    assert prefer(a, np.zeros(6), "higher") == Preference(6, 0, 0)
    assert signed_rank(a, np.zeros(6), "higher").statistic == 21
    tamed = np.append(a[:5], 1.0)
    mixed = tamed * [1, -1, 1, -1, 1, -1]
    wild = np.append(mixed[:5], -1e12)
    assert signed_rank(wild, np.zeros(6), "higher") == signed_rank(mixed, np.zeros(6), "higher")


def test_up_to_fifty_pairs_with_ties_and_zeros_are_counted_not_enumerated() -> None:
    """2^50 ways of signing them; the count of sums is right where it can be checked by halves."""
    a = np.repeat([0.0, 0.25, 0.5, 1.0, -0.25], 10)
    found = signed_rank(a, np.zeros(50), "higher")
    assert found.method == "Wilcoxon signed-rank, exact"
    ranks = rankdata(np.abs(a))[a != 0]
    half = [
        np.unique([sum(s) for s in product(*((0, 2 * r) for r in part[:10]))], return_counts=True)
        for part in (ranks[:10], ranks[10:20], ranks[20:30], ranks[30:])
    ]
    law = {0.0: 1}
    for sums, counts in half:
        law = add(law, dict(zip(sums.tolist(), counts.tolist(), strict=True)))
    observed = 2 * (found.statistic or 0)
    above = sum(c for s, c in law.items() if s >= observed) / 2**40
    below = sum(c for s, c in law.items() if s <= observed) / 2**40
    assert found.p == pytest.approx(2 * min(above, below), rel=1e-12)
    assert signed_rank(np.append(a, 0.5), np.zeros(51), "higher").method.endswith("approximation")


def add(one: dict[float, int], other: dict[float, int]) -> dict[float, int]:
    """The law of a sum, in counts."""
    found: dict[float, int] = {}
    for (x, m), (y, n) in product(one.items(), other.items()):
        found[x + y] = found.get(x + y, 0) + m * n
    return found


def test_wilcoxons_test_has_its_published_value() -> None:
    """Heights of maize, Darwin 1876: T = 96 of 120, p = 0.0413 (as in scipy's documentation)."""
    darwin = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    found = signed_rank(np.array(darwin, float), np.zeros(15), "higher")
    assert found.statistic == 96
    assert found.p == pytest.approx(0.0413, abs=5e-5)


def test_beyond_fifty_pairs_the_normal_approximation_is_near_the_exact_p() -> None:
    rng = np.random.default_rng(2)
    for shift in (0.0, 0.2, 0.4):
        a = rng.normal(shift, 1, 60)
        ranks = rankdata(np.abs(a)).astype(int)
        ways = np.zeros(60 * 61 // 2 + 1)
        ways[0] = 1.0
        for r in ranks:  # the exact law of the sum of ranks, by convolution
            ways[r:] = (ways[r:] + ways[:-r]) / 2 if r else ways
            ways[:r] /= 2
        total = int(ranks[a > 0].sum())
        exact = min(1.0, 2 * min(ways[total:].sum(), ways[: total + 1].sum()))
        found = signed_rank(a, np.zeros(60), "higher")
        assert found.statistic == total
        assert "normal" in found.method
        assert found.p == pytest.approx(exact, abs=0.005)


@settings(deadline=None, max_examples=20)
@given(pairs, st.sampled_from(["lower", "higher"]), st.randoms(use_true_random=False))
def test_no_order_of_rows_shows_and_swapping_the_arms_mirrors(
    rows: list[tuple[float, float]],
    better: Better,
    random,  # noqa: ANN001
) -> None:
    a, b = columns(rows)
    one, other = prefer(a, b, better), prefer(b, a, better)
    assert (one.wins, one.ties, one.losses) == (other.losses, other.ties, other.wins)
    assert one.wins + one.ties + one.losses == len(rows)
    assert signed_rank(a, b, better, "greater").p == signed_rank(b, a, better, "less").p
    many = rows * 8  # enough for the normal approximation
    shuffled = list(many)
    random.shuffle(shuffled)
    assert signed_rank(*columns(shuffled), better) == signed_rank(*columns(many), better)


def test_what_was_not_measured_is_worst_and_equal_to_its_like() -> None:
    a, b = columns([(NAN, 9.0), (9.0, NAN), (NAN, NAN), (math.inf, NAN), (1.0, 2.0), (2.0, 2.0)])
    assert prefer(a, b, "lower") == Preference(2, 3, 1, 2)
    assert prefer(a, b, "higher") == Preference(1, 3, 2, 2)


def test_where_no_pair_has_a_value_nothing_is_estimated_and_the_reason_is_one() -> None:
    """Not 50 % with a narrow interval: nothing was measured."""
    none = np.full(2000, NAN)
    found = prefer(none, none, "lower")
    assert found == Preference(0, 2000, 0, 2000)
    share, wilcoxon, sign = found.share(), signed_rank(none, none, "lower"), found.sign_test()
    assert (share.value, share.low, share.high, wilcoxon.p, sign.p) == (None,) * 5
    assert share.reason == wilcoxon.reason == sign.reason == "no pair has a value"
    some = prefer(np.append(none, 1.0), np.append(none, 2.0), "lower")
    assert some == Preference(1, 2000, 0, 2000)
    assert some.share().value == pytest.approx(0.5 + 0.5 / 2001)


def test_a_share_counts_ties_half_and_its_interval_is_tangos() -> None:
    """Newcombe's example 36, 12, 2, 0 of 1998: a tie is a concordant pair, whichever of the two."""
    found, tango = Preference(12, 36, 2).share(), Pairs(36, 12, 2, 0).tango()
    assert found.value == pytest.approx(0.6)
    assert tango.low is not None
    assert tango.high is not None
    assert found.interval == pytest.approx(((1 + tango.low) / 2, (1 + tango.high) / 2))
    mirrored = Preference(2, 36, 12).share()
    assert mirrored.interval == pytest.approx((1 - found.high, 1 - found.low))  # type: ignore[operator]
    alike = Preference(0, 40, 0).share()
    assert alike.value == 0.5
    assert alike.interval == pytest.approx((1 - alike.high, alike.high))  # type: ignore[operator]
    assert Preference(0, 0, 0).share().value is None
    assert Preference(0, 0, 0).share().reason


@pytest.mark.parametrize("shares", [(0.3, 0.4), (0.02, 0.95), (0.5, 0.0), (0.004, 0.99)])
@pytest.mark.parametrize("n", [20, 80])
def test_a_shares_interval_holds_it_by_exact_sums(shares: tuple[float, float], n: int) -> None:
    """Over all (wins, ties) of n pairs; a score interval may miss by a little at small n."""
    win, tie = shares
    loss = 1 - win - tie
    held = 0.0
    for wins, losses in product(range(n + 1), repeat=2):
        if wins + losses > n:
            continue
        logs = [math.lgamma(n + 1)]
        for count, share in ((wins, win), (losses, loss), (n - wins - losses, tie)):
            if count and share == 0:
                break
            logs.append((count * math.log(share) if count else 0.0) - math.lgamma(count + 1))
        else:
            chance = math.exp(math.fsum(logs))
            if chance < 1e-9:
                continue
            low, high = Preference(wins, n - wins - losses, losses).share().interval or (1.0, 0.0)
            held += chance * (low <= win + tie / 2 <= high)
    assert held >= 0.93


def test_the_sign_test_is_mcnemars_of_who_was_better() -> None:
    assert Preference(10, 80, 3).sign_test("greater").p == pytest.approx(
        sum(math.comb(13, i) for i in range(10, 14)) / 2**13
    )
    assert Preference(0, 5, 0).sign_test().p is None


def test_no_pairs_and_a_million() -> None:
    none = np.array([])
    assert signed_rank(none, none, "lower").reason
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 1_000_000)).round(3)
    a[:1000] = NAN
    found = signed_rank(a - 0.005, b, "lower", "greater")
    assert found.p is not None
    assert 0 < found.p < 0.01
    huge = np.array([1.7e308, -1.7e308]), np.array([-1.7e308, 1.7e308])
    assert signed_rank(*huge, "lower").p == 1.0

"""Paired score intervals, mid-p, odds and savings: published values, a second route, and laws."""

import math
import time
from math import comb

import mpmath as mp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.evidence.pairs import Pairs
from tests.service.evidence import second_route

Z2 = float(second_route.Z2)
#: published by Fagerland, Lydersen & Laake 2014, Statistics in Medicine 33:2850: airway
#: hyper-responsiveness (Bentur et al. 2009), complete response (Cavo et al. 2012)
BENTUR, CAVO = Pairs(1, 1, 7, 12), Pairs(59, 6, 16, 80)

count = st.integers(0, 60)
tables = st.builds(Pairs, count, count, count, count).filter(lambda pairs: pairs.n > 0)
large = st.integers(0, 250_000)
any_tables = st.one_of(tables, st.builds(Pairs, large, large, large, large)).filter(
    lambda pairs: pairs.n > 0
)


def test_tangos_interval_has_its_published_values() -> None:
    """Also in their R package contingencytables: -0.1240 to -0.0054 of the second."""
    assert BENTUR.tango().interval == pytest.approx((-0.517, -0.026), abs=5.1e-4)
    assert CAVO.tango().interval == pytest.approx((-0.1240, -0.0054), abs=5.1e-5)


def test_the_paired_ratios_interval_has_its_published_values() -> None:
    assert BENTUR.ratio().value == pytest.approx(0.25)
    assert BENTUR.ratio().interval == pytest.approx((0.065, 0.907), abs=5.1e-4)
    assert CAVO.ratio().interval == pytest.approx((0.7476, 0.9876), abs=5.1e-5)


def test_mid_p_has_its_published_values() -> None:
    """Fagerland, Lydersen & Laake 2013: 0.0391 beside an exact p of 0.0703."""
    assert BENTUR.mcnemar() == pytest.approx(0.0703, abs=5.1e-5)
    assert BENTUR.mid_p() == pytest.approx(0.0391, abs=5.1e-5)
    assert CAVO.mid_p() == pytest.approx(0.034690, abs=5.1e-7)


def test_the_paired_odds_ratio_has_its_published_value() -> None:
    """Ezra et al. 2010 in Fagerland, Lydersen & Laake 2017, table 8.15."""
    found = Pairs(0, 25, 2, 3).odds_ratio()
    assert found.value == 12.5
    assert found.interval == pytest.approx((3.1169, 108.8892), abs=5.1e-5)


TABLES = [
    BENTUR,
    CAVO,
    Pairs(1, 1, 1, 0),
    Pairs(3, 0, 5, 2),
    Pairs(2, 9, 0, 30),
    Pairs(0, 4, 2, 10),
    Pairs(5, 3, 7, 999_985),
    Pairs(100_000, 150_000, 149_000, 601_000),
    Pairs(999_980, 9, 11, 0),
]


def cells(pairs: Pairs) -> tuple[int, int, int, int]:
    return pairs.both, pairs.only_a, pairs.only_b, pairs.neither


@pytest.mark.parametrize("pairs", TABLES, ids=str)
@pytest.mark.parametrize("measure", ["tango", "ratio"])
def test_the_ends_are_where_the_score_of_a_numeric_fit_reaches_its_limit(
    pairs: Pairs, measure: str
) -> None:
    """Root-finding at 40 digits on the score of a Lagrange fit."""
    found = getattr(pairs, measure)()
    score = (
        second_route.paired_difference_score
        if measure == "tango"
        else second_route.paired_ratio_score
    )
    with mp.workdps(40):
        for outer, edge in ((found.low, -1), (found.high, 1)):
            beyond = outer + (edge - outer) / 1000 if measure == "tango" else outer**2 / found.value
            second = second_route.end(lambda x: score(cells(pairs), x), found.value, beyond)
            assert outer == pytest.approx(second, abs=1e-12, rel=1e-8)


@pytest.mark.parametrize("n", [1, 10, 7290, 1_000_000])
def test_all_ties_have_closed_forms(n: int) -> None:
    """Without discordant pairs Tango's ends are z^2 / (n + z^2), a ratio's 1 + z^2 / successes."""
    half = Z2 / (n + Z2)
    for ties in (Pairs(0, 0, 0, n), Pairs(n, 0, 0, 0)):
        assert ties.tango().interval == pytest.approx((-half, half), rel=1e-9)
        assert (ties.mcnemar(), ties.mid_p()) == (1.0, 1.0)
        assert ties.odds_ratio().reason == "no discordant pair"
        assert ties.saving() is None
    every = Pairs(n, 0, 0, 0).ratio()
    assert every.value == 1.0
    assert every.interval == pytest.approx((n / (n + Z2), 1 + Z2 / n), rel=1e-9)
    none = Pairs(0, 0, 0, n).ratio()
    assert (none.value, none.low, none.high) == (None, 0.0, None)
    assert "neither arm" in none.reason


@pytest.mark.parametrize("n", [1, 10, 1_000_000])
def test_where_one_arm_wins_every_pair(n: int) -> None:
    won, lost = Pairs(0, n, 0, 0), Pairs(0, 0, n, 0)
    assert (won.tango().value, won.tango().high) == (1.0, 1.0)
    assert (lost.tango().value, lost.tango().low) == (-1.0, -1.0)
    assert won.ratio().high is None
    assert "arm b has no success" in won.ratio().reason
    assert lost.ratio().value == lost.ratio().low == 0.0
    assert lost.ratio().high == pytest.approx(1 / won.ratio().low, rel=1e-9)
    assert won.odds_ratio().value is None
    assert lost.odds_ratio().value == 0.0


def test_without_pairs_nothing_is_estimable_and_says_why() -> None:
    empty = Pairs(0, 0, 0, 0)
    for found in (empty.tango(), empty.ratio(), empty.odds_ratio()):
        assert (found.value, found.low, found.high) == (None, None, None)
        assert "no pair" in found.reason
    assert empty.mid_p() == 1.0
    assert empty.saving() is None


@pytest.mark.parametrize(("b", "c"), [(1, 0), (0, 7), (10, 3), (25, 25), (100, 60), (1, 1)])
def test_mid_p_is_the_more_extreme_and_half_the_equally_extreme(b: int, c: int) -> None:
    """By enumeration of every split of the discordant pairs."""
    n = b + c
    more = sum(comb(n, i) for i in range(n + 1) if abs(2 * i - n) > abs(b - c))
    equal = sum(comb(n, i) for i in range(n + 1) if abs(2 * i - n) == abs(b - c))
    assert Pairs(5, b, c, 9).mid_p() == pytest.approx((more + equal / 2) / 2**n, rel=1e-9)
    above = sum(comb(n, i) for i in range(b + 1, n + 1)) + comb(n, b) / 2
    assert Pairs(5, b, c, 9).mid_p("greater") == pytest.approx(above / 2**n, rel=1e-9)
    assert Pairs(5, c, b, 9).mid_p("less") == pytest.approx(above / 2**n, rel=1e-9)


def test_mid_p_at_a_million_discordant_pairs_is_that_of_the_normal_curve() -> None:
    pairs = Pairs(0, 501_000, 499_000, 0)
    assert pairs.mid_p() == pytest.approx(math.erfc(2000 / math.sqrt(2 * 10**6)), rel=1e-3)
    assert pairs.mid_p() < pairs.mcnemar()


@given(any_tables)
def test_swapping_the_arms_mirrors_everything(pairs: Pairs) -> None:
    other = Pairs(pairs.both, pairs.only_b, pairs.only_a, pairs.neither)
    here, there = pairs.tango(), other.tango()
    assert here.low == pytest.approx(-there.high, abs=1e-12)
    assert here.high == pytest.approx(-there.low, abs=1e-12)
    for measure in ("ratio", "odds_ratio"):
        here, there = getattr(pairs, measure)(), getattr(other, measure)()
        for mine, theirs in ((here.low, there.high), (here.high, there.low)):
            if mine and theirs:
                assert mine == pytest.approx(1 / theirs, rel=1e-9)
            else:
                assert {mine, theirs} <= {0.0, None}
    assert pairs.mid_p() == pytest.approx(other.mid_p())
    assert pairs.mid_p("greater") == pytest.approx(other.mid_p("less"))


@given(any_tables)
def test_intervals_hold_their_estimate_and_stay_in_range(pairs: Pairs) -> None:
    tango = pairs.tango()
    assert tango.value is not None
    assert tango.low is not None
    assert tango.high is not None
    assert -1 <= tango.low <= tango.value <= tango.high <= 1
    for found in (pairs.ratio(), pairs.odds_ratio()):
        if found.low is not None and found.value is not None:
            assert 0 <= found.low <= found.value
            assert found.high is None or found.value <= found.high


@given(tables, st.integers(2, 50))
def test_intervals_narrow_with_n(pairs: Pairs, times: int) -> None:
    larger = Pairs(
        *(times * part for part in (pairs.both, pairs.only_a, pairs.only_b, pairs.neither))
    )
    few, many = pairs.tango().interval, larger.tango().interval
    assert few is not None
    assert many is not None
    assert many[1] - many[0] < few[1] - few[0]
    here, there = pairs.ratio(), larger.ratio()
    assert here.low is not None
    assert there.low is not None
    assert there.low >= here.low * (1 - 1e-9)
    if here.high is not None and there.high is not None:
        assert there.high <= here.high * (1 + 1e-9)


@given(tables)
def test_tango_and_the_ratio_leave_out_no_effect_exactly_where_mcnemars_score_does(
    pairs: Pairs,
) -> None:
    """Both scores at no effect are (b - c)^2 / (b + c), McNemar's own."""
    discordant = pairs.only_a + pairs.only_b
    score = (pairs.only_a - pairs.only_b) ** 2 / discordant if discordant else 0.0
    tango, ratio = pairs.tango().interval, pairs.ratio()
    assert tango is not None
    assert ratio.low is not None
    assert (tango[0] > 0 or tango[1] < 0) == (score > Z2)
    assert (ratio.low > 1 or (ratio.high is not None and ratio.high < 1)) == (score > Z2)


def test_pairing_saves_about_its_correlation_at_equal_rates() -> None:
    """NEEDS.md F2: 5,039 pairs without correlation are 3,530 with 0.3, hence 30 % saved."""
    pairs = Pairs(153, 147, 147, 553)  # rates of 0.3, and phi 0.3
    found = pairs.saving()
    assert found is not None
    assert found.correlation == pytest.approx(0.3)
    assert found.trials == pytest.approx(0.3)
    assert not found.about_zero


def test_saving_is_one_less_the_ratio_of_the_two_variances() -> None:
    found = CAVO.saving()
    assert found is not None
    n, p_a, p_b = 161, 65 / 161, 75 / 161
    paired = 22 / n - (10 / n) ** 2
    assert found.trials == pytest.approx(1 - paired / (p_a * (1 - p_a) + p_b * (1 - p_b)))


@pytest.mark.parametrize(
    ("pairs", "saved"),
    [(Pairs(90, 210, 210, 490), 0.0), (Pairs(60, 240, 240, 460), 0.0), (Pairs(2, 3, 3, 5), None)],
)
def test_a_correlation_about_zero_is_flagged_and_a_negative_one_saves_nothing(
    pairs: Pairs, saved: float | None
) -> None:
    found = pairs.saving()
    assert found is not None
    assert saved is None or found.trials == saved
    assert found.about_zero == (abs(found.correlation) < max(0.05, 1.96 / math.sqrt(pairs.n)))
    assert found.about_zero or found.correlation < -0.05


def test_a_million_pairs_cost_about_what_a_thousand_do() -> None:
    """A thousandfold n, and not thirtyfold work (best of some tries)."""

    def least(n: int) -> float:
        pairs = Pairs(n // 10, 3 * n // 20, 149 * n // 1000, 601 * n // 1000)

        def once() -> float:
            started = time.thread_time()
            pairs.tango(), pairs.ratio(), pairs.odds_ratio(), pairs.mid_p(), pairs.saving()
            return time.thread_time() - started

        return min(once() for _ in range(10))

    assert least(1_000_000) < 30 * least(1000)

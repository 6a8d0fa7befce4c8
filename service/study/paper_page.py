"""The page on the paper's own counts: what those tables do and do not show."""

import math

import numpy as np
from scipy.special import chdtrc
from scipy.stats import chi2_contingency
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_effectsize

from service.evidence import boschloo, practical
from service.evidence.independent import MOST_FOR_BOSCHLOO, Independent
from service.evidence.rates import Rate
from service.evidence.several import holm
from service.study import paper_doubts
from service.study.cells import interval, p_value, percent, points, prose, restarts, table, times
from service.study.paper_counts import ALL, COMMAND, NEURAL_GPU, SOURCES, Count

POWER = 0.9


def page() -> str:
    """Markdown; the same bytes every time."""
    sections = (
        _head, _rates, _contrasts, _nested, paper_doubts.pairing, paper_doubts.settings,
        paper_doubts.units, paper_doubts.verdict,
    )  # fmt: skip
    return "\n\n".join(section() for section in sections) + "\n"


def _head() -> str:
    rows = [(source.experiment, source.printed, source.what, source.sure) for source in SOURCES]
    head = ("experiment", "successful runs without against with noise", "what", "how sure")
    first = prose(f"""
        "Adding Gradient Noise Improves Learning for Very Deep Networks" (arXiv 1511.06807) prints
        no interval and no test beside its counts of successful runs. Here are the intervals and
        tests that those counts allow. Nothing was trained for this page: it is arithmetic on the
        numbers in service/study/paper_counts.py, made by `{COMMAND}`.""")
    last = prose("""
        Not stated: whether the Neural GPU's error is one of digits or of whole numbers; its grid,
        in which the scale of the noise may itself have been an axis; how long it trained; how the
        grid search of NRAM's settings was scored.""")
    title = "# The paper's own counts: what those tables do and do not show"
    return "\n\n".join([title, first, "## The counts", table(head, rows), last])


def _rates() -> str:
    rows = []
    for count in ALL:
        for arm, rate in (("plain", count.arms.b), ("noisy", count.arms.a)):
            each, one = practical.restarts_per_success(rate), practical.restarts_for_one(rate)
            rows.append(
                (count.name, arm, f"{rate.k} / {rate.n:,}", percent(rate.value),
                 interval(rate.wilson()), interval(rate.clopper_pearson()),
                 restarts(each), restarts(one))
            )  # fmt: skip
    head = ("counts", "arm", "k / n", "rate", "Wilson 95 %", "Clopper-Pearson 95 %",
            "restarts per success", "restarts for one with 95 %")  # fmt: skip
    first = "Percent, with 95 % intervals; the last two columns carry Wilson's ends over."
    return "\n\n".join(["## Each arm alone", first, table(head, rows)])


def _contrasts() -> str:
    rows = []
    for count in ALL:
        arms = count.arms
        tables = (arms.a.k, arms.a.n, arms.b.k, arms.b.n)
        small = count.n <= MOST_FOR_BOSCHLOO
        rows.append(
            (count.name, points(arms.difference()), times(arms.ratio()), times(arms.odds_ratio()),
             p_value(arms.score_test().p), p_value(boschloo.fisher(*tables, "two")),
             p_value(boschloo.p_value(*tables, "two")) if small else "-", f"{needed(count):,}")
        )  # fmt: skip
    head = ("counts", "difference, points", "ratio", "odds ratio", "score p", "Fisher p",
            "Boschloo p", "runs an arm for 90 % power")  # fmt: skip
    strict = NEURAL_GPU[0]
    last = prose(f"""
        Difference: Newcombe's hybrid score interval. Ratio and odds ratio: score intervals
        (Koopman; Miettinen and Nurminen). All p are two-sided; Boschloo's test is left out above
        {MOST_FOR_BOSCHLOO} runs an arm, where its cost explodes. The last column asks how many runs
        an arm a new study needs to find a difference *if the truth were what was observed here*
        (two-sided 5 %, arcsine formula). It is no test of the study done: an observed effect is a
        poor guess of the true one. At an error below 1 % it is {needed(strict):,} of the
        {strict.n:,} there were: the headline row was only just large enough for its own effect.""")
    title = "## Noise against none, as if all runs were unrelated"
    return "\n\n".join([title, table(head, rows), last])


def needed(count: Count) -> int:
    """Runs an arm for 90 % power at the observed rates (Cohen 1988, section 6.4)."""
    size = proportion_effectsize(count.noisy / count.n, count.plain / count.n)
    return math.ceil(float(NormalIndPower().solve_power(size, power=POWER, alpha=0.05)))


def bands() -> list[Count]:
    """The Neural GPU's counts between thresholds: no run is in two of them."""
    found, plain, noisy = [], 0, 0
    names = ("below 1 %", "1 to 2 %", "2 to 3 %", "3 to 5 %")
    for name, count in zip(names, NEURAL_GPU, strict=True):
        found.append(Count(name, count.plain - plain, count.noisy - noisy, count.n))
        plain, noisy = count.plain, count.noisy
    return found


def _nested() -> str:
    apart = bands()
    adjusted = holm([band.arms.score_test().p for band in apart])
    rows = [
        (band.name, str(band.plain), str(band.noisy), points(band.arms.difference()),
         times(band.arms.ratio()), p_value(p))
        for band, p in zip(apart, adjusted, strict=True)
    ]  # fmt: skip
    head = ("error", "plain", "noisy", "difference, points", "ratio", "score p, Holm over four")
    first = prose("""
        A run below 1 % is also below 2, 3 and 5 %: the four columns of table 6 count some of the
        same runs, and a lucky draw in one would show in all. Bands that share no run:""")
    strict, loose = NEURAL_GPU[0], NEURAL_GPU[-1]
    among = Independent(Rate(strict.noisy, loose.noisy), Rate(strict.plain, loose.plain))
    mix, trend = _mix(apart)
    one, five = strict.noisy / strict.plain, loose.noisy / loose.plain
    last = prose(f"""
        Is noise's gain larger where more is asked? The ratio falls from {one:.2f} at 1 % to
        {five:.2f} at 5 %. Among the runs below 5 %, {strict.plain} of {loose.plain}
        ({percent(among.b.value)} %) without and {strict.noisy} of {loose.noisy}
        ({percent(among.a.value)} %) with noise are below 1 %: a difference of
        {points(among.difference())} points, score p {p_value(among.score_test().p)}. Over all four
        bands the mix differs with a chi-squared p of {p_value(mix)}, and a trend over them, the
        test most favourable to the idea and chosen here after seeing the numbers, has
        {p_value(trend)}. So a single effect, about half as many successes again at every band, is
        compatible with table 6; "noise doubles the most accurate models" is one reading of it.""")
    title = "## Four thresholds are not four confirmations"
    return "\n\n".join([title, first, table(head, rows), last])


def _mix(apart: list[Count]) -> tuple[float, float]:
    """Whether successes lie in the bands alike: chi-squared p, and Mantel's 1963 trend p."""
    plain, noisy = [band.plain for band in apart], [band.noisy for band in apart]
    mix = float(chi2_contingency([plain, noisy], correction=False).pvalue)
    places = np.repeat(np.tile(np.arange(len(apart)), 2), plain + noisy)
    arm = np.repeat([0, 1], [sum(plain), sum(noisy)])
    correlated = float(np.corrcoef(places, arm)[0, 1])
    return mix, float(chdtrc(1, (len(arm) - 1) * correlated**2))

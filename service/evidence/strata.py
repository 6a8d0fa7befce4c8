"""Over a grid: what the settings have in common, and whether they have it in common.

A stratum is a setting. Arms on different seeds are combined after Mantel and Haenszel; pairs keep
their settings through the variance of the common difference, and through discordant pairs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtr

from service.evidence.estimate import Estimate, Test, unknown
from service.evidence.independent import Independent
from service.evidence.pairs import Pairs, Sided
from service.evidence.score import Z

Floats = NDArray[np.float64]

#: Cochran's rule: a chi-squared test wants expected counts of 5 in four fifths of its strata
_EXPECTED, _SHARE = 5, 0.8
_NONE = "no setting has trials in both arms"


@dataclass(frozen=True)
class Common:
    """What a grid's settings have in common.

    Attributes:
        difference: rate a - rate b, averaged over settings.
        odds_ratio: the common odds ratio.
        test: of no effect; its null is named in `null`.
        homogeneity: whether the odds ratio is the same in every setting.
        null: what `test` supposes, in words.
        settings: those with trials in both arms.
        telling: those of them that say something about an odds ratio.
    """

    difference: Estimate
    odds_ratio: Estimate
    test: Test
    homogeneity: Test
    null: str
    settings: int
    telling: int


def independent(strata: Sequence[Independent], sided: Sided = "two") -> Common:
    """Of arms on different seeds, after Mantel & Haenszel 1959, JNCI 22:719.

    Args:
        strata: the arms of each setting.
        sided: of `test`; "greater" asks whether arm a succeeds more often.
    """
    counts = [(s.a.k, s.a.n, s.b.k, s.b.n) for s in strata if s.a.n and s.b.n]
    k1, n1, k2, n2 = np.array(counts, dtype=np.float64).reshape(-1, 4).T
    mixed = (k1 + k2 > 0) & (k1 + k2 < n1 + n2)
    tables = np.array([[k1, n1 - k1], [k2, n2 - k2]])[:, :, mixed]  # (2, 2, settings)
    odds_ratio = _odds_ratio(tables)
    return Common(
        _sato(k1, n1, k2, n2),
        odds_ratio,
        _mantel_haenszel(tables, sided),
        _breslow_day(tables, odds_ratio),
        "in every setting the arms succeed equally often",
        len(counts),
        int(mixed.sum()),
    )


def _sato(k1: Floats, n1: Floats, k2: Floats, n2: Floats) -> Estimate:
    """The Mantel-Haenszel difference with the variance of Sato, Greenland & Robins.

    Greenland & Robins 1985, Biometrics 41:55; Sato 1989, Biometrics 45:1323, which holds for few
    large strata and for many small ones.
    """
    if len(k1) == 0:
        return unknown(_NONE)
    n = n1 + n2
    weight = (n1 * n2 / n).sum()
    value = float(((k1 * n2 - k2 * n1) / n).sum() / weight)
    p = ((n1**2 * k2 - n2**2 * k1 + n1 * n2 * (n2 - n1) / 2) / n**2).sum()
    q = ((k1 * (n2 - k2) + k2 * (n1 - k1)) / (2 * n)).sum()
    variance = float((value * p + q) / weight**2)
    if variance <= 0:
        why = "all trials of a setting came out alike in both arms or opposite; no interval"
        return Estimate(value, None, None, why)
    half = Z * math.sqrt(variance)
    return Estimate(value, max(-1.0, value - half), min(1.0, value + half))


def _odds_ratio(tables: Floats) -> Estimate:
    """Mantel and Haenszel's, with the interval of Robins, Breslow & Greenland 1986."""
    if tables.shape[2] == 0:
        return unknown("no setting has both successes and failures")
    from statsmodels.stats.contingency_tables import StratifiedTable  # noqa: PLC0415 - slow

    n = tables.sum(axis=(0, 1))
    for_a, for_b = tables[0, 0] * tables[1, 1] / n, tables[0, 1] * tables[1, 0] / n
    if not for_a.any():
        return Estimate(
            0.0 if for_b.any() else None, None, None, "in no setting both a won and b lost"
        )
    if not for_b.any():
        return Estimate(None, None, None, "in no setting both b won and a lost")
    found = StratifiedTable(tables)
    low, high = found.oddsratio_pooled_confint(alpha=0.05)
    return Estimate(float(found.oddsratio_pooled), float(low), float(high))


def _mantel_haenszel(tables: Floats, sided: Sided) -> Test:
    method = "Mantel-Haenszel test without continuity correction"
    if tables.shape[2] == 0:
        return Test(None, method, "no setting has both successes and failures")
    rows, columns, n = tables.sum(axis=1), tables.sum(axis=0), tables.sum(axis=(0, 1))
    expected = rows[0] * columns[0] / n
    variance = (rows[0] * rows[1] * columns[0] * columns[1] / (n**2 * (n - 1))).sum()
    z = float((tables[0, 0] - expected).sum() / math.sqrt(variance))
    p = {"two": 2 * ndtr(-abs(z)), "greater": ndtr(-z), "less": ndtr(z)}[sided]
    return Test(float(p), method, statistic=z)


def _breslow_day(tables: Floats, common: Estimate) -> Test:
    """Whether the odds ratios are one. Breslow & Day 1980, with the term of Tarone 1985.

    Tarone 1985, Biometrika 72:91. statsmodels has it too, but divides by zero where the common odds
    ratio is 1 exactly, and cancels digits near it.
    """
    settings = tables.shape[2]
    method = f"Breslow-Day test with Tarone's term, {max(settings - 1, 0)} degrees of freedom"
    ratio = common.value
    if settings <= 1 or not ratio:
        few = f"{settings} settings with successes and failures; it compares at least two"
        return Test(None, method, few if settings <= 1 else common.reason)
    rows, columns, n = tables.sum(axis=1), tables.sum(axis=0), tables.sum(axis=(0, 1))
    linear = ratio * (rows[0] + columns[0]) + n - rows[0] - columns[0]
    product = ratio * rows[0] * columns[0]
    root = np.sqrt(np.maximum(linear**2 - 4 * (ratio - 1) * product, 0))
    # the root of (ratio - 1) e^2 - linear e + product = 0 between the margins' limits; where
    # linear is below 0, ratio is below 1 and the other form of the same root does not cancel
    positive = linear > 0
    expected = np.where(
        positive,
        2 * product / np.where(positive, linear + root, 1.0),
        (linear - root) / np.where(positive, 1.0, 2 * (ratio - 1)),
    )
    cells = np.array(
        [expected, rows[0] - expected, columns[0] - expected, n - rows[0] - columns[0]]
    )
    cells[3] += expected
    variance = 1 / (1 / cells).sum(axis=0)
    gap = tables[0, 0] - expected
    statistic = float((gap**2 / variance).sum() - gap.sum() ** 2 / variance.sum())
    enough = float((cells.min(axis=0) >= _EXPECTED).mean()) >= _SHARE
    rough = "" if enough else "rough: fewer than 5 expected outcomes of a kind in most settings"
    return Test(float(chdtrc(settings - 1, max(statistic, 0.0))), method, rough, statistic)


def paired(strata: Sequence[Pairs], sided: Sided = "two") -> Common:
    """Of arms on the same seeds.

    The difference weighs every pair alike (the Mantel-Haenszel weights of pairs), and its variance
    is taken within settings. The odds ratio and the test are those of all discordant pairs: each
    pair is a stratum of its own (Mantel & Haenszel's test of such strata is McNemar's).
    """
    full = [pairs for pairs in strata if pairs.n]
    pooled = Pairs(
        sum(p.both for p in full), sum(p.only_a for p in full),
        sum(p.only_b for p in full), sum(p.neither for p in full),
    )  # fmt: skip
    a = np.array([p.only_a for p in full], dtype=np.float64)
    b = np.array([p.only_b for p in full], dtype=np.float64)
    n = np.array([p.n for p in full], dtype=np.float64)
    method = "McNemar's exact test over the discordant pairs of all settings"
    return Common(
        _paired_difference(a, b, n),
        pooled.odds_ratio(),
        Test(pooled.mcnemar(sided), method) if pooled.n else Test(None, method, _NONE),
        _same_share(a, b),
        "in every setting, of the pairs that tell the arms apart each arm wins half",
        len(full),
        int((a + b > 0).sum()),
    )


def _paired_difference(a: Floats, b: Floats, n: Floats) -> Estimate:
    """The mean over pairs, with the variance within settings.

    A setting of n > 1 pairs adds n times the unbiased variance of its differences to the variance
    of the sum; one of a single pair, whose variance nobody sees, its square (no less on average).
    """
    if len(n) == 0:
        return unknown("no pair whose members both have an outcome")
    total = n.sum()
    value = float((a - b).sum() / total)
    squares = (a + b) - np.where(n > 1, (a - b) ** 2 / n, 0.0)
    variance = (squares * np.where(n > 1, n / np.maximum(n - 1, 1), 1.0)).sum() / total**2
    if variance <= 0:
        why = "no setting in which pairs differ from each other; no interval"
        return Estimate(value, None, None, why)
    half = Z * math.sqrt(variance)
    return Estimate(value, max(-1.0, value - half), min(1.0, value + half))


def _same_share(a: Floats, b: Floats) -> Test:
    """Whether arm a wins the same share of discordant pairs in every setting.

    A chi-squared test where four fifths of the settings expect 5 of either kind. Otherwise the test
    of many small strata, one-sided against more spread than binomial: Tarone 1979, Biometrika
    66:585. The numbers of discordant pairs choose, with the common share.
    """
    told = a + b > 0
    won, m = a[told], (a + b)[told]
    settings = len(m)
    if settings <= 1 or won.sum() in (0, m.sum()):
        few = f"{settings} settings with discordant pairs; it compares at least two"
        return Test(
            None,
            "homogeneity of the share of discordant pairs",
            few if settings <= 1 else "one arm won every discordant pair of every setting",
        )
    share = won.sum() / m.sum()
    spread = float(((won - m * share) ** 2 / (share * (1 - share))).sum())
    if float((m * min(share, 1 - share) >= _EXPECTED).mean()) >= _SHARE:
        each = float(((won - m * share) ** 2 / (m * share * (1 - share))).sum())
        method = f"chi-squared test of homogeneity, {settings - 1} degrees of freedom"
        return Test(float(chdtrc(settings - 1, each)), method, statistic=each)
    method = "Tarone's 1979 test of homogeneity (settings with few discordant pairs)"
    many = float((m * (m - 1)).sum())
    if many == 0:
        return Test(None, method, "no setting has two discordant pairs")
    z = (spread - float(m.sum())) / math.sqrt(2 * many)
    return Test(float(ndtr(-z)), method, statistic=z)

# %% [markdown]
# # Every number of the findings, from the outcomes
#
# Reads `outcomes.parquet` (one row a trial) and `findings.json`, which lie beside this notebook, and
# computes each number of the findings anew: with numpy, pandas, pyarrow, scipy and statsmodels alone,
# none of Seedbed's code. Formulas that these libraries lack are written out where they are used. The
# last cell fails unless every number was recomputed and agrees to 9 digits.

# %%
import hashlib
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from scipy.optimize import brentq
from scipy.special import betaincc, betaln, logsumexp
from scipy.stats import binom, binomtest, chi2, norm, rankdata, wilcoxon
from statsmodels.stats.contingency_tables import StratifiedTable, cochrans_q, mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

findings = json.loads(Path("findings.json").read_text(encoding="utf-8"))
file = pq.ParquetFile("outcomes.parquet")
about = json.loads(file.schema_arrow.metadata[b"seedbed"])
outcomes = file.read().to_pandas()
complete = findings["plan"]["complete"]
print(len(outcomes), "trials,", about["arms"], about["metrics"])

# %%
checked = set()


def check(path, ours):
    """Compares a value, or all values within it, with what stands at a path of the findings."""
    theirs = findings
    for step in path:
        theirs = theirs[step]
    if isinstance(ours, dict):
        assert ours.keys() <= theirs.keys(), (path, ours, theirs)
        for key, value in ours.items():
            check((*path, key), value)
    elif isinstance(ours, (list, tuple)):
        assert len(ours) == len(theirs), (path, ours, theirs)
        for place, value in enumerate(ours):
            check((*path, place), value)
    else:
        checked.add(path)
        if isinstance(theirs, float) and ours is not None:
            assert math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9), (path, ours, theirs)
        else:
            assert ours == theirs, (path, ours, theirs)


# %% [markdown]
# ## The files are the ones that were cited
#
# The bundle's hash is the SHA-256 of `SHA256SUMS`. Outcomes enter it by their content: the SHA-256
# over a line of canonical JSON for each trial.

# %%
for line in Path("SHA256SUMS").read_text(encoding="utf-8").splitlines():
    digest, name = line.split("  ")
    assert hashlib.sha256(Path(name).read_bytes()).hexdigest() == digest, name


total = hashlib.sha256()
for batch in file.iter_batches():
    for row in batch.to_pylist():
        record = {key: row[key] for key in ("cell", "seed", "end_state", "steps", "fingerprint")}
        record["metrics"] = {
            m: [row[f"{m}.final"], row[f"{m}.best"], row[f"{m}.best_step"]]
            for m in about["metrics"]
            if row[f"{m}.recorded"]
        }
        text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        total.update(text.encode() + b"\n")
check(("outcomes_hash",), total.hexdigest())
print("bundle", hashlib.sha256(Path("SHA256SUMS").read_bytes()).hexdigest())

# %% [markdown]
# ## The plan, how trials ended, and what they reached

# %%
spec, plan = findings["spec"], findings["plan"]
grid = list(spec["grid"].values())
cells_planned = len(spec["arms"]) * math.prod(len(values) for values in grid)
check(("plan", "seeds"), spec["seeds"])
check(("plan", "cells"), cells_planned)
check(("plan", "trials"), cells_planned * spec["seeds"])
check(("plan", "cohorts"), -(-spec["seeds"] // spec["cohort"]))
check(("plan", "settled_seeds"), 0 if outcomes.empty else int(outcomes.seed.max()) + 1)
check(("plan", "settled_cohorts"), 0 if outcomes.empty else int(outcomes.cohort.max()) + 1)
to_the_end = plan["settled_cohorts"] == plan["cohorts"]
check(("plan", "complete"), to_the_end and "extensions" not in findings)
if plan["stopped"]:
    check(("plan", "stopped", "cohort"), plan["settled_cohorts"])
    check(("plan", "stopped", "alpha"), spec["stop"]["alpha"])

STATES = ("finished", "left", "diverged", "errored", "cancelled")
HAS_OUTCOME = ("finished", "left", "diverged")
outcomes["judged"] = outcomes.end_state.isin(HAS_OUTCOME)


def end_states(part):
    return {state: int((part.end_state == state).sum()) for state in STATES}


def exact_mean(values):
    """Summed without rounding; scaled, where the sum itself might be beyond the largest float."""
    scale = 64 if max(map(abs, values)) > 2.0**900 else 0
    return math.ldexp(math.fsum(math.ldexp(v, -scale) for v in values) / len(values), scale)


for place, name in enumerate(about["arms"]):
    part = outcomes[outcomes.arm == name]
    check(("arms", place, "arm"), name)
    check(("arms", place, "end_states"), end_states(part))
    for metric in findings["arms"][place]["metrics"]:
        values = part[f"{metric}.final"].dropna().tolist()
        summary = {
            "count": len(values),
            "mean": exact_mean(values) if values else None,
            "lowest": min(values, default=None),
            "highest": max(values, default=None),
        }
        check(("arms", place, "metrics", metric), summary)

# %% [markdown]
# ## Successes
#
# Success is derived: the metric's final value (`at: end`) or its best (`at: any`) against the
# threshold. What was never measured is no success. An errored trial has no outcome.


# %%
def successes(rule):
    """1, 0, or NaN without an outcome."""
    value = outcomes[f"{rule['metric']}.{'final' if rule['at'] == 'end' else 'best'}"]
    limit = rule["threshold"]
    met = value <= limit if rule["comparison"] == "at_most" else value >= limit
    return met.astype(float).where(outcomes.judged)


for rule in about["criteria"]:
    stored = outcomes[f"success.{rule['index']}"].astype(float)
    pd.testing.assert_series_equal(successes(rule), stored, check_names=False)

# %% [markdown]
# ## Rates and their intervals
#
# Wilson's interval and Clopper and Pearson's are statsmodels'. The interval that holds at any look is a
# mixture's (Robbins 1970): all p with B(1 + k, 1 + n - k) < p^k (1 - p)^(n - k) / alpha, its ends found
# as roots. Restarts per success are 1 / rate; those for one with a chance of 95 % are log 0.05 /
# log(1 - rate), rounded up; their intervals are Wilson's, carried over.

# %%
ALPHA = 0.05
Z = norm.ppf(1 - ALPHA / 2)


def wilson(k, n):
    low, high = proportion_confint(k, n, method="wilson")
    return (0.0 if k == 0 else low), (1.0 if k == n else high)


def clopper_pearson(k, n):
    low, high = proportion_confint(k, n, method="beta")
    return (0.0 if k == 0 else low), (1.0 if k == n else high)


def rate_sequence(k, n):
    limit = betaln(1 + k, 1 + n - k) + math.log(ALPHA)

    def above(p):
        return (k * math.log(p) if k else 0) + ((n - k) * math.log1p(-p) if k < n else 0) - limit

    low = 0.0 if k == 0 else brentq(above, 1e-300, k / n, xtol=1e-15)
    high = 1.0 if k == n else brentq(above, k / n, 1 - 2.0**-53, xtol=1e-15)
    return low, high


def carried(k, n, cost):
    """A cost that falls with the rate."""
    if n == 0:
        return dict.fromkeys(("value", "low", "high"))
    low, high = wilson(k, n)
    most = None if k == 0 else cost(low)
    return {"value": None if k == 0 else cost(k / n), "low": cost(high), "high": most}


def restarts_for_one(p):
    return 1.0 if p >= 0.95 else float(math.ceil(round(math.log(0.05) / math.log1p(-p), 9)))


def estimate(won):
    known = won.dropna()
    k, n = int(known.sum()), len(known)
    return {
        "successes": k,
        "n": n,
        "rate": k / n if n else None,
        "interval": wilson(k, n) if n and complete else None,
        "exact_interval": clopper_pearson(k, n) if n and complete else None,
    }


def of_arm(won):
    found = estimate(won)
    k, n = found["successes"], found["n"]
    return found | {
        "anytime": rate_sequence(k, n) if n else None,
        "restarts_per_success": carried(k, n, lambda p: 1 / p) if complete else None,
        "restarts_for_one": carried(k, n, restarts_for_one) if complete else None,
    }


for i, rule in enumerate(about["criteria"]):
    won = successes(rule)
    here = ("criteria", i)
    for key in ("metric", "comparison", "threshold", "at", "primary"):
        check((*here, key), rule[key])
    for place, name in enumerate(about["arms"]):
        check((*here, "arms", place), {"arm": name} | of_arm(won[outcomes.arm == name]))
    cells = findings["criteria"][i]["cells"]
    for cell in range(len(cells)):
        part = outcomes.cell == cell
        check(
            (*here, "cells", cell), {"end_states": end_states(outcomes[part])} | estimate(won[part])
        )
        if part.any():
            first = outcomes[part].iloc[0]
            values = about["settings"][first.setting]
            check((*here, "cells", cell), {"arm": first.arm, "setting": values})
    known = [cell for cell in cells if cell["n"]]
    if len(cells) > len(about["arms"]) and known:
        best = max(known, key=lambda cell: (cell["rate"], cell["n"]))
        chosen = {key: value for key, value in best.items() if key != "end_states"}
        alike = sum(cell["rate"] == best["rate"] for cell in known) - 1
        check((*here, "selected"), chosen | {"selected_of": len(known), "as_good": alike})
    else:
        check((*here, "selected"), None)

# %% [markdown]
# ## Score intervals
#
# Each is what a score test does not reject: the squared score less z^2 times its variance, both at the
# value that is tried, is below 0 inside and above 0 outside. Tango 1998 for the difference of pairs, Tang,
# Tang & Chan 2003 for their ratio, Miettinen & Nurminen 1985 for arms on other seeds. Ratios are tried as
# logarithms.


# %%
def crossing(gap, inside, outside):
    """Where gap is 0 on the way from the estimate to a point outside the interval."""
    within = outside
    while gap(within) >= 0:
        outside, within = within, inside + (within - inside) / 2
    return brentq(gap, within, outside, xtol=1e-16, rtol=1e-14)


def outside_of(gap, inside, direction):
    step = 1.0
    while gap(inside + direction * step) <= 0:
        step *= 2
    return inside + direction * step


def tango(only_a, only_b, n):
    def gap(d):
        b, c, d = (only_a, only_b, d) if d >= 0 else (only_b, only_a, -d)
        linear, constant = (2 * n - b + c) * d - b - c, -c * d * (1 - d)
        root = math.sqrt(linear**2 - 8 * n * constant)
        q = -2 * constant / (linear + root) if linear > 0 else (root - linear) / (4 * n)
        return (b - c - n * d) ** 2 - Z**2 * n * (2 * q + d * (1 - d))

    if n == 0:
        return dict.fromkeys(("value", "low", "high"))
    d = (only_a - only_b) / n
    low = -1.0 if only_b == n else crossing(gap, d, -1.0)
    return {"value": d, "low": low, "high": 1.0 if only_a == n else crossing(gap, d, 1.0)}


def ratio_ends(gap, won_a, won_b, middle):
    """Both ends of a ratio; an arm without success leaves one of them open."""
    if won_a == won_b == 0:
        return 0.0, None
    inside = middle
    if inside is None:  # the estimate is 0 or infinite
        inside = -1.0 if won_a == 0 else 1.0
        while gap(inside) >= 0:
            inside *= 2
    low = 0.0 if won_a == 0 else math.exp(crossing(gap, inside, outside_of(gap, inside, -1)))
    return low, None if won_b == 0 else math.exp(crossing(gap, inside, outside_of(gap, inside, 1)))


def paired_ratio(both, only_a, only_b, n):
    won_a, won_b, any_won = both + only_a, both + only_b, both + only_a + only_b

    def gap(log_ratio):
        phi = math.exp(abs(log_ratio))
        a, b, c = (won_a, won_b, only_b) if log_ratio >= 0 else (won_b, won_a, only_a)
        linear, constant = b * phi**2 - a - 2 * c, -c * (phi - 1) * any_won / n
        root = math.sqrt(linear**2 - 4 * n * (1 + phi) * constant)
        q = -2 * constant / (linear + root) if linear > 0 else (root - linear) / (2 * n * (1 + phi))
        return (a - b * phi) ** 2 / phi - Z**2 * (n * (1 + phi) * q + any_won * (phi - 1)) / phi

    if n == 0:
        return dict.fromkeys(("value", "low", "high"))
    value = won_a / won_b if won_b else None
    low, high = ratio_ends(gap, won_a, won_b, math.log(value) if value else None)
    return {"value": value, "low": low, "high": high}


def independent_ratio(k1, n1, k2, n2):
    total, won = n1 + n2, k1 + k2

    def gap(log_ratio):
        theta = math.exp(log_ratio)
        linear = n1 * theta + k1 + n2 + k2 * theta
        root = math.sqrt(max(0, linear**2 - 4 * total * theta * won))
        p2 = min(2 * won / (linear + root), 1, 1 / theta)
        p1 = min(theta * p2, 1)
        variance = p1 * (1 - p1) / n1 + theta**2 * p2 * (1 - p2) / n2
        return (k1 / n1 - theta * k2 / n2) ** 2 - Z**2 * variance * total / (total - 1)

    value = k1 * n2 / (n1 * k2) if k2 else None
    low, high = ratio_ends(gap, k1, k2, math.log(value) if value else None)
    return {"value": value, "low": low, "high": high}


def independent_odds_ratio(k1, n1, k2, n2):
    """By the expectation e of k1 given the margins, which says what the odds ratio is."""
    total, won = n1 + n2, k1 + k2
    least, most = max(0, won - n2), min(n1, won)

    def gap(e):
        first, second = e * (n1 - e) / n1, (won - e) * (n2 - won + e) / n2
        return (k1 - e) ** 2 * (first + second) * (total - 1) / total - Z**2 * first * second

    def odds(e):
        return e / (n1 - e) * ((n2 - won + e) / (won - e))

    def edge(end):
        """The end itself, or just inside of it where both variances vanish there."""
        return end if gap(end) > 0 else end + math.copysign(1e-13, k1 - end)

    low = 0.0 if k1 == least else odds(crossing(gap, k1, edge(least)))
    high = None if k1 == most else odds(crossing(gap, k1, edge(most)))
    lost = (n1 - k1) * k2
    return {"value": k1 * (n2 - k2) / lost if lost else None, "low": low, "high": high}


# %% [markdown]
# ## Contrasts: the same (setting, seed) in two arms is a pair
#
# Interval: Newcombe 1998 (Statistics in Medicine 17:2635), method 10. Test: McNemar's, exact; and
# once more with the missing outcomes filled in as they show least. What holds at any look: the
# e-value of a uniform mixture over the share of discordant pairs that the first arm wins, and the
# differences that bets of fixed size have not yet ruled out (Waudby-Smith & Ramdas 2024). Pairs that
# miss a member enter the bounds, and the evidence as unfavourably as can be. Over the settings of a
# grid: Mantel & Haenszel 1959, with Sato's interval (1989), Breslow and Day's test with Tarone's
# term, and the variance of paired differences within settings.


# %%
def newcombe(both, only_a, only_b, neither):
    n = both + only_a + only_b + neither
    a, b = (both + only_a) / n, (both + only_b) / n
    (low_a, high_a), (low_b, high_b) = wilson(both + only_a, n), wilson(both + only_b, n)
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    cross = both * neither - only_a * only_b
    cross = max(cross - n / 2, 0) if cross > 0 else cross
    phi = cross / math.sqrt(margins) if margins else 0
    below = (a - low_a) ** 2 - 2 * phi * (a - low_a) * (high_b - b) + (high_b - b) ** 2
    above = (high_a - a) ** 2 - 2 * phi * (high_a - a) * (b - low_b) + (b - low_b) ** 2
    d = (only_a - only_b) / n
    return max(-1, d - math.sqrt(max(0, below))), min(1, d + math.sqrt(max(0, above)))


def exact_p(a, b, sided):
    if a + b == 0:
        return 1.0
    if sided == "two":
        return mcnemar([[0, a], [b, 0]], exact=True).pvalue
    return binomtest(a, a + b, 0.5, alternative=sided).pvalue


def mid_p(a, b, sided):
    if a + b == 0:
        return 1.0
    point = binom.pmf(a, a + b, 0.5)
    if sided != "two":
        return binom.sf((a if sided == "greater" else b) - 1, a + b, 0.5) - point / 2
    return 1 - point / 2 if a == b else 2 * binom.cdf(min(a, b), a + b, 0.5) - point


def conditional_odds_ratio(a, b):
    if a + b == 0:
        return dict.fromkeys(("value", "low", "high"))
    low, high = clopper_pearson(a, a + b)
    high = high / (1 - high) if b else None
    return {"value": a / b if b else None, "low": low / (1 - low), "high": high}


def unpaired(k1, n1, k2, n2, sided):
    names = ("difference", "ratio", "odds_ratio")
    if not n1 or not n2:
        nothing = dict.fromkeys(("value", "low", "high"))
        return dict.fromkeys(names, nothing) | {"test": {"p": None, "statistic": None}}
    (low1, high1), (low2, high2) = wilson(k1, n1), wilson(k2, n2)
    d = k1 / n1 - k2 / n2
    low = d - math.hypot(k1 / n1 - low1, high2 - k2 / n2)
    high = d + math.hypot(high1 - k1 / n1, k2 / n2 - low2)
    if 0 < k1 < n1 and 0 < k2 < n2:  # statsmodels agrees where it can
        theirs = confint_proportions_2indep(k1, n1, k2, n2, method="newcomb", compare="diff")
        assert np.allclose((low, high), theirs, atol=1e-9)
    won, total = k1 + k2, n1 + n2
    spread = won * (total - won) * n1 * n2
    z = (k1 * n2 - k2 * n1) * math.sqrt((total - 1) / spread) if spread else None
    p = 1.0
    if spread:
        p = {"two": 2 * norm.sf(abs(z)), "greater": norm.sf(z), "less": norm.cdf(z)}[sided]
    return {
        "difference": {"value": d, "low": max(-1, low), "high": min(1, high)},
        "ratio": independent_ratio(k1, n1, k2, n2),
        "odds_ratio": independent_odds_ratio(k1, n1, k2, n2),
        "test": {"p": p, "statistic": z},
    }


def around(value, variance):
    if variance <= 0:
        return {"value": value, "low": None, "high": None}
    half = Z * math.sqrt(variance)
    return {"value": value, "low": max(-1, value - half), "high": min(1, value + half)}


NO_TEST = {"p": None, "statistic": None}


def same_share(a, b):
    """Whether the first arm wins the same share of discordant pairs in every setting."""
    won, m = a[a + b > 0], (a + b)[a + b > 0]
    if len(m) <= 1 or won.sum() in (0, m.sum()):
        return NO_TEST
    share = won.sum() / m.sum()
    if np.mean(m * min(share, 1 - share) >= 5) >= 0.8:
        each = ((won - m * share) ** 2 / (m * share * (1 - share))).sum()
        return {"p": chi2.sf(each, len(m) - 1), "statistic": each}
    many = (m * (m - 1)).sum()
    if many == 0:
        return NO_TEST
    spread = ((won - m * share) ** 2 / (share * (1 - share))).sum()
    z = (spread - m.sum()) / math.sqrt(2 * many)  # Tarone 1979
    return {"p": norm.sf(z), "statistic": z}


def paired_grid(tables, sided):
    """Tables of settings: rows of both, only a, only b, neither."""
    full = np.array([t for t in tables if sum(t)], float).reshape(-1, 4)
    _, a, b, _ = full.T
    n = full.sum(axis=1)
    difference = dict.fromkeys(("value", "low", "high"))
    if len(n):
        squares = (a + b) - np.where(n > 1, (a - b) ** 2 / n, 0)
        variance = (squares * np.where(n > 1, n / np.maximum(n - 1, 1), 1)).sum() / n.sum() ** 2
        difference = around((a - b).sum() / n.sum(), variance)
    p = exact_p(int(a.sum()), int(b.sum()), sided) if len(n) else None
    return {
        "difference": difference,
        "odds_ratio": conditional_odds_ratio(int(a.sum()), int(b.sum())),
        "test": {"p": p, "statistic": None},
        "homogeneity": same_share(a, b),
        "settings": len(n),
        "telling": int((a + b > 0).sum()),
    }


def breslow_day(tables, ratio):
    """Expected counts by root-finding; statsmodels' closed form divides by 0 at a ratio of 1."""
    gaps, variances = [], []
    for (a, b), (c, d) in np.moveaxis(tables, 2, 0):
        n1, n2, won = a + b, c + d, a + c
        least, most = max(0.0, won - n2), min(n1, won)
        e = brentq(
            lambda e: e * (n2 - won + e) - ratio * (n1 - e) * (won - e), least, most, xtol=1e-14
        )
        gaps.append(a - e)
        variances.append(1 / sum(1 / x for x in (e, n1 - e, won - e, n2 - won + e)))
    gaps, variances = np.array(gaps), np.array(variances)
    statistic = (gaps**2 / variances).sum() - gaps.sum() ** 2 / variances.sum()
    return {"p": chi2.sf(max(statistic, 0), len(gaps) - 1), "statistic": statistic}


def unpaired_grid(rates, sided):
    """Settings: (k1, n1, k2, n2)."""
    found = np.array([r for r in rates if r[1] and r[3]], float).reshape(-1, 4)
    k1, n1, k2, n2 = found.T
    n = n1 + n2
    difference = odds_ratio = dict.fromkeys(("value", "low", "high"))
    if len(n):
        weight = (n1 * n2 / n).sum()
        value = ((k1 * n2 - k2 * n1) / n).sum() / weight
        p = ((n1**2 * k2 - n2**2 * k1 + n1 * n2 * (n2 - n1) / 2) / n**2).sum()
        q = ((k1 * (n2 - k2) + k2 * (n1 - k1)) / (2 * n)).sum()
        difference = around(value, (value * p + q) / weight**2)
    mixed = (k1 + k2 > 0) & (k1 + k2 < n)
    tables = np.array([[k1, n1 - k1], [k2, n2 - k2]])[:, :, mixed]
    test = homogeneity = NO_TEST
    if mixed.any():
        (a, b), (c, d) = tables
        for_a, for_b = (a * d / (a + b + c + d)).sum(), (b * c / (a + b + c + d)).sum()
        if for_a == 0:
            odds_ratio = {"value": 0.0 if for_b else None, "low": None, "high": None}
        elif for_b:
            whole = StratifiedTable(tables)
            low, high = whole.oddsratio_pooled_confint()
            odds_ratio = {"value": whole.oddsratio_pooled, "low": low, "high": high}
        expected = (a + b) * (a + c) / (a + b + c + d)
        test = StratifiedTable(tables).test_null_odds(correction=False)
        z = math.copysign(math.sqrt(test.statistic), (a - expected).sum())
        p = {"two": test.pvalue, "greater": norm.sf(z), "less": norm.cdf(z)}[sided]
        test = {"p": p, "statistic": z}
        if mixed.sum() > 1 and odds_ratio["value"]:
            homogeneity = breslow_day(tables, odds_ratio["value"])
    return {
        "difference": difference,
        "odds_ratio": odds_ratio,
        "test": test,
        "homogeneity": homogeneity,
        "settings": len(n),
        "telling": int(mixed.sum()),
    }


def log_e(a, b, sided):
    if sided == "less":
        a, b = b, a
    found = betaln(1 + a, 1 + b) + (a + b) * math.log(2)
    return found if sided == "two" else found + math.log(2 * betaincc(1 + a, 1 + b, 0.5))


BETS = (np.arange(40) + 0.5) / 40


def difference_sequence(both, only_a, only_b, neither, alpha):
    n = both + only_a + only_b + neither

    def above(d):
        m = (d + 1) / 2
        bets = np.concatenate([BETS / m, -BETS / (1 - m)])
        capital = (
            only_b * np.log1p(-bets * m)
            + (both + neither) * np.log1p(bets * (0.5 - m))
            + only_a * np.log1p(bets * (1 - m))
        )
        return logsumexp(capital) - math.log(len(bets)) + math.log(alpha)

    edge = 1 - 1e-9
    middle = min(max((only_a - only_b) / n, -edge), edge)
    low = brentq(above, -edge, middle, xtol=1e-15) if above(-edge) > 0 else -1.0
    high = brentq(above, middle, edge, xtol=1e-15) if above(edge) > 0 else 1.0
    return low, high


def against_claim(n, sided):
    """Discordant pairs, if those that miss an outcome show as little as they can.

    n: pairs by the verdicts of both members: 1 success, 0 none, 2 no outcome.
    """
    a, b, none = n[1, 0], n[0, 1], n[2, 2]
    for_a, for_b = n[1, 2] + n[2, 0] + none, n[0, 2] + n[2, 1] + none
    if sided == "greater":
        return a, b + for_b
    if sided == "less":
        return a + for_a, b
    return (a, b + min(for_b, a - b)) if a >= b else (a + min(for_a, b - a), b)


def at_any_look(n, sided, alpha):
    both, only_a, only_b, neither, none = n[1, 1], n[1, 0], n[0, 1], n[0, 0], n[2, 2]
    a_or_tie, b_or_tie = n[1, 2] + n[2, 0], n[0, 2] + n[2, 1]
    a, b = against_claim(n, sided)
    e = log_e(a, b, sided)
    low, high = difference_sequence(both, only_a, only_b, neither, alpha)
    if a_or_tie or b_or_tie or none:
        for_b = difference_sequence(
            both, only_a, only_b + b_or_tie + none, neither + a_or_tie, alpha
        )
        for_a = difference_sequence(
            both, only_a + a_or_tie + none, only_b, neither + b_or_tie, alpha
        )
        low, high = min(low, for_b[0]), max(high, for_a[1])
    p = min(1.0, math.exp(-max(e, 0)))
    return {"log_e": e, "p": p, "interval": (low, high), "alpha": alpha}


KEY = ["setting", "seed"]


def paired(column, arm, against):
    """Both members' values, a row a pair."""
    frame = outcomes[KEY].assign(value=column, judged=outcomes.judged)
    return frame[outcomes.arm == arm].merge(frame[outcomes.arm == against], on=KEY)


def contrast(won, arm, against, sided, alpha):
    pairs = paired(won.fillna(2).astype(int), arm, against)
    count = pairs.groupby(["value_x", "value_y"]).size().to_dict()
    n = {k: count.get(k, 0) for k in itertools.product((0, 1, 2), repeat=2)}
    both, only_a, only_b, neither = n[1, 1], n[1, 0], n[0, 1], n[0, 0]
    whole, every, none = both + only_a + only_b + neither, sum(n.values()), n[2, 2]
    d = (only_a - only_b) / whole if whole else None
    known, bounds = only_a - only_b, None
    if every:
        least = (known - n[0, 2] - n[2, 1] - none) / every
        bounds = least, (known + n[1, 2] + n[2, 0] + none) / every
    a, b = both + only_a, both + only_b
    margins = a * (whole - a) * b * (whole - b)
    covariance = both * neither - only_a * only_b
    correlation = covariance / math.sqrt(margins) if margins else None
    saving = None
    if margins:
        saved = max(0.0, 2 * covariance / (a * (whole - a) + b * (whole - b)))
        slight = abs(correlation) < max(0.05, Z / math.sqrt(whole))
        saving = {"correlation": correlation, "trials": saved, "about_zero": slight}
    names = ("interval", "p", "p_least_favourable", "mid_p", "tango", "ratio", "odds_ratio")
    fixed = dict.fromkeys((*names, "unpaired", "grid"))
    if complete:
        settings, tables = [], []
        for setting in range(plan["cells"] // len(about["arms"])):
            rates = [
                won[(outcomes.setting == setting) & (outcomes.arm == x)] for x in (arm, against)
            ]
            settings.append([int(v) for r in rates for v in (r.sum(), r.count())])
            part = pairs[pairs.setting == setting]
            wanted = ((1, 1), (1, 0), (0, 1), (0, 0))
            tables.append(
                [int(((part.value_x == x) & (part.value_y == y)).sum()) for x, y in wanted]
            )
        fixed = {
            "interval": newcombe(both, only_a, only_b, neither) if whole else None,
            "p": exact_p(only_a, only_b, sided) if whole else None,
            "p_least_favourable": exact_p(*against_claim(n, sided), sided) if whole else None,
            "mid_p": mid_p(only_a, only_b, sided) if whole else None,
            "tango": tango(only_a, only_b, whole),
            "ratio": paired_ratio(both, only_a, only_b, whole),
            "odds_ratio": conditional_odds_ratio(only_a, only_b),
            "unpaired": unpaired(*np.sum(settings, axis=0).tolist(), sided),
            "grid": None,
        }
        if len(settings) > 1:
            fixed["grid"] = {
                "paired": paired_grid(tables, sided),
                "unpaired": unpaired_grid(settings, sided),
            }
    return {
        "table": {"both": both, "only_a": only_a, "only_b": only_b, "neither": neither},
        "incomplete_pairs": {
            "a_won": n[1, 2],
            "a_lost": n[0, 2],
            "b_won": n[2, 1],
            "b_lost": n[2, 0],
            "missing": none,
        },
        "pairs": whole,
        "difference": d,
        **fixed,
        "anytime": at_any_look(n, sided, alpha) if whole else None,
        "correlation": correlation,
        "saving": saving,
        "bounds": bounds,
        "bounds_allow_other_sign": bool(bounds and d and min(bounds[0] * d, bounds[1] * d) < 0),
    }


def holm(p):
    """Adjusted; None, where there was nothing to test, is not counted."""
    known = [value for value in p if value is not None]
    adjusted = iter(multipletests(known, method="holm")[1].tolist() if known else [])
    return [None if value is None else next(adjusted) for value in p]


exploratory = []
for i, rule in enumerate(about["criteria"]):
    won = successes(rule)
    for place, theirs in enumerate(findings["criteria"][i]["contrasts"]):
        alpha = spec["stop"]["alpha"] if spec.get("stop") and theirs["primary"] else ALPHA
        ours = contrast(won, theirs["arm"], theirs["against"], theirs["sided"], alpha)
        check(("criteria", i, "contrasts", place), ours)
        if theirs["exploratory"]:
            exploratory.append((("criteria", i, "contrasts", place, "holm"), ours["p"]))
        else:
            check(("criteria", i, "contrasts", place, "holm"), None)
for (path, _), adjusted in zip(exploratory, holm([p for _, p in exploratory])):
    check(path, adjusted)

# %% [markdown]
# ## Several arms on the same seeds
#
# Cochran's Q over complete blocks, and each pair of arms with McNemar's exact p and Holm's over all.

# %%
for i, rule in enumerate(about["criteria"]):
    if len(about["arms"]) <= 2:
        check(("criteria", i, "several"), None)
        continue
    table = outcomes[KEY].assign(arm=outcomes.arm, won=successes(rule))
    blocks = (
        table.pivot(index=KEY, columns="arm", values="won").reindex(columns=about["arms"]).dropna()
    )
    found = {"blocks": len(blocks), "cochran_q": None, "pairs": []}
    if complete:
        tells = blocks.nunique(axis=1) > 1
        if not len(blocks):
            found["cochran_q"] = {"p": None, "statistic": None}
        elif not tells.any():
            found["cochran_q"] = {"p": 1.0, "statistic": 0.0}
        else:
            q = cochrans_q(blocks.to_numpy())
            found["cochran_q"] = {"p": q.pvalue, "statistic": q.statistic}
        for first, second in itertools.combinations(about["arms"], 2):
            a, b = blocks[second], blocks[first]
            d = (a - b).sum() / len(blocks) if len(blocks) else None
            p = exact_p(int((a > b).sum()), int((a < b).sum()), "two") if len(blocks) else None
            found["pairs"].append({"arm": second, "against": first, "difference": d, "p": p})
        for pair, adjusted in zip(found["pairs"], holm([pair["p"] for pair in found["pairs"]])):
            pair["holm"] = adjusted
    check(("criteria", i, "several"), found)

# %% [markdown]
# ## What trials reached
#
# Shares and quantiles are of all trials with an outcome; one without a value ranks worst. The band about
# a distribution is that of Dvoretzky, Kiefer & Wolfowitz with Massart's constant.
# Pairs are compared by which member was better, and by Wilcoxon's signed-rank test.

# %%
LEVELS = (1, 5, 10, 25, 50, 75, 90, 95, 99)
ROUNDING = 1e-10  # values that agree to this share of the larger are equal, and so are differences


def band(n):
    return math.sqrt(math.log(2 / ALPHA) / (2 * n)) if n and complete else None


def spread(count, most):
    """At most so many of 0 to count - 1, evenly, the first and the last among them."""
    return (
        list(range(count))
        if count <= most
        else [i * (count - 1) // (most - 1) for i in range(most)]
    )


def reached(values, better):
    n, sign = len(values), 1 if better == "lower" else -1
    scores = np.sort(sign * values.dropna().to_numpy())  # best first
    needed = [max(1, -(-level * n // 100)) for level in LEVELS]
    quantiles = [sign * scores[k - 1] if k <= len(scores) else None for k in needed]
    distinct = np.unique(scores)
    if len(distinct) > 200:
        distinct = np.unique(scores[spread(len(scores), 200)])
    shares = np.searchsorted(scores, distinct, side="right") / n if n else []
    return {
        "n": n,
        "measured": len(scores),
        "mean": exact_mean(sign * scores) if len(scores) else None,
        "best": sign * scores[0] if len(scores) else None,
        "worst": sign * scores[-1] if len(scores) else None,
        "quantiles": list(zip(LEVELS, quantiles)),
        "ecdf": list(zip(sign * distinct, shares)),
        "band": band(n),
    }


def differences(pairs, better):
    """By how much the first is better, and the size of the values, which says what rounding may do."""
    sign = -1 if better == "lower" else 1
    values = [pairs[name].astype(float) for name in ("value_x", "value_y")]
    a, b = ((sign * v).fillna(-math.inf).to_numpy() for v in values)
    scale = np.maximum(*(v.abs().fillna(0).to_numpy() for v in values))
    apart = np.zeros(len(pairs))
    np.subtract(a, b, out=apart, where=a != b)
    apart[np.abs(apart) <= ROUNDING * scale] = 0.0
    return apart, scale


def preference(pairs, better):
    """Pairs in which a member was the better one; one without a value is worse than any with one."""
    apart, _ = differences(pairs, better)
    return {
        "wins": int((apart > 0).sum()),
        "ties": int((apart == 0).sum()),
        "losses": int((apart < 0).sum()),
        "valueless": int((pairs.value_x.isna() & pairs.value_y.isna()).sum()),
    }


def share_better(wins, ties, losses, valueless):
    n = wins + ties + losses
    found = tango(wins, losses, 0 if valueless == n else n)
    return {key: None if value is None else (1 + value) / 2 for key, value in found.items()}


def signed_rank(pairs, better):
    """Wilcoxon's test with Pratt's zeros; a member without a value makes the largest difference."""
    apart, scale = differences(pairs, better)
    if not apart.any():
        return {"p": None, "statistic": None}
    dense, rank, last = np.zeros(len(apart)), 0, None
    for place in np.lexsort((scale, np.abs(apart))):
        size = abs(apart[place])
        if (
            last is None
            or size > last[0] + ROUNDING * max(scale[place], last[1])
            or last[0] == 0 < size
        ):
            rank += 1
        dense[place], last = rank, (size, scale[place])
    shares, signs = rankdata(dense), np.sign(apart)
    statistic = shares[signs > 0].sum()
    if len(apart) > 50:
        ranks = np.sort(signs * dense)
        p = wilcoxon(ranks, zero_method="pratt", correction=True, method="asymptotic").pvalue
        return {"p": p, "statistic": statistic}
    sums = {0: 1}  # twice a sum of ranks -> in how many of all ways to sign them it comes
    for share in shares[signs != 0].tolist():
        more = dict(sums)
        for total, ways in sums.items():
            more[total + round(2 * share)] = more.get(total + round(2 * share), 0) + ways
        sums = more
    above = sum(ways for total, ways in sums.items() if total >= 2 * statistic)
    below = sum(ways for total, ways in sums.items() if total <= 2 * statistic)
    return {"p": min(1.0, 2 * min(above, below) / sum(sums.values())), "statistic": statistic}


for i, section in enumerate(findings["metrics"]):
    column = outcomes[f"{section['metric']}.final"]
    for place, name in enumerate(about["arms"]):
        part = column[(outcomes.arm == name) & outcomes.judged]
        check(("metrics", i, "arms", place), {"arm": name} | reached(part, section["better"]))
    for place, theirs in enumerate(section["contrasts"]):
        pairs = paired(column, theirs["arm"], theirs["against"])
        pairs = pairs[pairs.judged_x & pairs.judged_y]
        counts = preference(pairs, section["better"])
        found = {"pairs": len(pairs), **counts, "p_better": share_better(**counts)}
        found["wilcoxon"] = signed_rank(pairs, section["better"])
        check(("metrics", i, "contrasts", place), found)

# %% [markdown]
# ## Time to success
#
# The budget alone censors, so Kaplan and Meier's curve is the share that has not succeeded. Log-rank:
# Mantel 1966, with settings as strata. The restricted mean is the area under the curve up to the budget,
# with Wilson's interval for the mean share of the budget that is left at success.


# %%
def wilson_of_mean(m, n):
    weight = Z**2 / n
    middle, half = (m + weight / 2) / (1 + weight), math.sqrt(weight * (m * (1 - m) + weight / 4))
    half /= 1 + weight
    return (max(0, middle - half) if m > 0 else 0.0), (min(1, middle + half) if m < 1 else 1.0)


def restricted_mean(first, budget):
    if not len(first):
        return None, None
    saved = (budget - first.dropna()).sum() / (len(first) * budget)
    low, high = wilson_of_mean(saved, len(first))
    return budget * (1 - saved), (budget * (1 - high), budget * (1 - low))


def waiting(first, budget):
    n, known = len(first), np.sort(first.dropna().to_numpy())
    steps = sorted({0, *known.tolist(), budget}) if n else []
    curve = []
    for place in spread(len(steps), 100):
        left = n - int(np.searchsorted(known, steps[place], side="right"))
        low, high = wilson(left, n) if complete else (None, None)
        curve.append({"step": int(steps[place]), "survival": left / n, "low": low, "high": high})

    def step_of(rank):
        return int(known[rank - 1]) if rank <= len(known) else None

    below = int(binom.ppf(ALPHA / 2, n, 0.5)) if n else 0
    low, high = (step_of(below), step_of(n + 1 - below)) if below else (0, None)
    mean, ends = restricted_mean(first, budget)
    return {
        "n": n,
        "succeeded": len(known),
        "curve": curve,
        "band": band(n),
        "median": step_of(max(1, -(-n // 2))),
        "median_interval": (budget if low is None else low, high) if complete and n else None,
        "restricted_mean": mean,
        "restricted_mean_interval": ends if complete else None,
    }


def logrank(first, arm, against):
    observed, expected, variance = 0, 0.0, 0.0
    here = outcomes.judged & outcomes.arm.isin([arm, against])
    for _, part in outcomes[here].assign(first=first[here]).groupby("setting"):
        mine = part["first"][part.arm == arm]
        observed += mine.count()
        for step in part["first"].dropna().unique():
            at_risk = int((~(part["first"] < step)).sum())
            events = int((part["first"] == step).sum())
            share = int((~(mine < step)).sum()) / at_risk
            expected += events * share
            if at_risk > 1:
                variance += events * share * (1 - share) * (at_risk - events) / (at_risk - 1)
    if variance <= 1e-15:
        return {"observed": int(observed), "expected": expected, "z": None, "p": None}
    z = (observed - expected) / math.sqrt(variance)
    return {"observed": int(observed), "expected": expected, "z": z, "p": 2 * norm.sf(abs(z))}


for i, rule in enumerate(about["criteria"]):
    here = ("criteria", i, "times")
    if rule["at"] != "any":
        check(here, None)
        continue
    first, budget = outcomes[f"first_success.{rule['index']}"], spec["budget"]["steps"]
    check((*here, "budget"), budget)
    of = {name: first[(outcomes.arm == name) & outcomes.judged] for name in about["arms"]}
    for place, name in enumerate(about["arms"]):
        check((*here, "arms", place), {"arm": name} | waiting(of[name], budget))
    for place, theirs in enumerate(findings["criteria"][i]["times"]["contrasts"]):
        arm, against = theirs["arm"], theirs["against"]
        (mean_a, ends_a), (mean_b, ends_b) = (
            restricted_mean(of[x], budget) for x in (arm, against)
        )
        saved = interval = None
        if mean_a is not None and mean_b is not None:
            saved = mean_b - mean_a
            interval = (
                saved - math.hypot(mean_b - ends_b[0], ends_a[1] - mean_a),
                saved + math.hypot(ends_b[1] - mean_b, mean_a - ends_a[0]),
            )
        pairs = paired(first, arm, against)
        counts = preference(pairs[pairs.judged_x & pairs.judged_y], "lower")
        wins, losses = counts["wins"], counts["losses"]
        sign = exact_p(wins, losses, "two") if wins + losses else None
        within = counts | {
            "p_sooner": share_better(**counts),
            "sign": {"p": sign, "statistic": None},
        }
        found = {"logrank": logrank(first, arm, against), "steps_saved": saved}
        found |= {"steps_saved_interval": interval, "within_pairs": within}
        check((*here, "contrasts", place), found)

# %% [markdown]
# ## Nothing was left out
#
# What is not a number that follows from outcomes: the spec itself, and words that say what was asked.

# %%
ASKED = {"estimand", "no_intervals", "arm", "against", "primary", "exploratory", "sided", "effect"}
ASKED |= {"reason", "method", "null", "note", "not_estimable", "metrics_withheld", "better"}
ASKED |= {"claim_by", "when", "stopped", "metric", "version", "post_hoc"}


def leaves(value, path=()):
    if isinstance(value, (dict, list)) and value:
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(part, (*path, key))
    elif not isinstance(value, (dict, list)):
        yield path


# how it was extended, and what an earlier report said, whose bundle is another
GIVEN = {"spec", "extensions", "first_plan"}
asked = {p for p in leaves(findings) if p[0] in GIVEN or p[-1] in ASKED or "setting" in p}
left = [p for p in leaves(findings) if p not in checked and p not in asked]
assert not left, left
print(len(checked), "values of the findings were recomputed, and agree")

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
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

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


def plain(value):
    """A number as JSON has it: null where Parquet has none."""
    return None if pd.isna(value) else value.item() if hasattr(value, "item") else value


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
check(("plan", "complete"), plan["settled_cohorts"] == plan["cohorts"])

STATES = ("finished", "left", "diverged", "errored", "cancelled")
HAS_OUTCOME = ("finished", "left", "diverged")
outcomes["judged"] = outcomes.end_state.isin(HAS_OUTCOME)


def end_states(part):
    return {state: int((part.end_state == state).sum()) for state in STATES}


for place, name in enumerate(about["arms"]):
    part = outcomes[outcomes.arm == name]
    check(("arms", place, "arm"), name)
    check(("arms", place, "end_states"), end_states(part))
    for metric in findings["arms"][place]["metrics"]:
        values = part[f"{metric}.final"].dropna().tolist()
        summary = {
            "count": len(values),
            "mean": math.fsum(values) / len(values) if values else None,
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
# Wilson's interval is statsmodels'. The interval that holds at any look is a mixture's (Robbins 1970):
# all p with B(1 + k, 1 + n - k) < p^k (1 - p)^(n - k) / alpha, its ends found as roots.

# %%
ALPHA = 0.05


def wilson(k, n):
    low, high = proportion_confint(k, n, method="wilson")
    return (0.0 if k == 0 else low), (1.0 if k == n else high)


def rate_sequence(k, n):
    limit = betaln(1 + k, 1 + n - k) + math.log(ALPHA)

    def above(p):
        return (k * math.log(p) if k else 0) + ((n - k) * math.log1p(-p) if k < n else 0) - limit

    def root(low, high):
        return brentq(above, low, high, xtol=1e-15) if above(low) * above(high) < 0 else None

    low = 0.0 if k == 0 else root(1e-300, k / n)
    high = 1.0 if k == n else root(k / n, 1 - 2.0**-53)
    return low, high


def estimate(won, *, anytime=False):
    known = won.dropna()
    k, n = int(known.sum()), len(known)
    found = {
        "successes": k,
        "n": n,
        "rate": k / n if n else None,
        "interval": wilson(k, n) if n and complete else None,
        "not_estimable": None if n else "no trial with an outcome is settled",
    }
    return found | ({"anytime": rate_sequence(k, n) if n else None} if anytime else {})


for i, rule in enumerate(about["criteria"]):
    won = successes(rule)
    here = ("criteria", i)
    for key in ("metric", "comparison", "threshold", "at", "primary"):
        check((*here, key), rule[key])
    for place, name in enumerate(about["arms"]):
        check(
            (*here, "arms", place),
            {"arm": name} | estimate(won[outcomes.arm == name], anytime=True),
        )
    for cell in range(len(findings["criteria"][i]["cells"])):
        part = outcomes.cell == cell
        for key, value in (
            {"end_states": end_states(outcomes[part])} | estimate(won[part])
        ).items():
            check((*here, "cells", cell, key), value)
        if part.any():
            check((*here, "cells", cell, "arm"), outcomes.arm[part].iloc[0])
            for key in spec["grid"]:
                check(
                    (*here, "cells", cell, "setting", key),
                    plain(outcomes[f"setting.{key}"][part].iloc[0]),
                )

# %% [markdown]
# ## Contrasts: the same (setting, seed) in two arms is a pair
#
# Interval: Newcombe 1998 (Statistics in Medicine 17:2635), method 10. Test: McNemar's, exact. What
# holds at any look: the e-value of a uniform mixture over the share of discordant pairs that the first
# arm wins, and the differences that bets of fixed size have not yet ruled out (Waudby-Smith & Ramdas
# 2024). Pairs that miss a member enter the bounds, and the evidence as unfavourably as can be.


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


def log_e(a, b, sided):
    if sided == "less":
        a, b = b, a
    found = betaln(1 + a, 1 + b) + (a + b) * math.log(2)
    return found if sided == "two" else found + math.log(2 * betaincc(1 + a, 1 + b, 0.5))


BETS = (np.arange(40) + 0.5) / 40


def difference_sequence(both, only_a, only_b, neither):
    n = both + only_a + only_b + neither
    if n == 0:
        return -1.0, 1.0

    def above(d):
        m = (d + 1) / 2
        bets = np.concatenate([BETS / m, -BETS / (1 - m)])
        capital = (
            only_b * np.log1p(-bets * m)
            + (both + neither) * np.log1p(bets * (0.5 - m))
            + only_a * np.log1p(bets * (1 - m))
        )
        return logsumexp(capital) - math.log(len(bets)) + math.log(ALPHA)

    edge = 1 - 1e-9
    middle = min(max((only_a - only_b) / n, -edge), edge)
    low = brentq(above, -edge, middle, xtol=1e-15) if above(-edge) > 0 else -1.0
    high = brentq(above, middle, edge, xtol=1e-15) if above(edge) > 0 else 1.0
    return low, high


def contrast(won, arm, against, sided):
    key = ["setting", "seed"]
    frame = outcomes[key].assign(won=won.fillna(2).astype(int))
    pairs = frame[outcomes.arm == arm].merge(frame[outcomes.arm == against], on=key)
    count = pairs.groupby(["won_x", "won_y"]).size().to_dict()
    n = {k: count.get(k, 0) for k in itertools.product((0, 1, 2), repeat=2)}
    both, only_a, only_b, neither = n[1, 1], n[1, 0], n[0, 1], n[0, 0]
    whole = both + only_a + only_b + neither
    every = sum(n.values())
    incomplete = {"a_won": n[1, 2], "a_lost": n[0, 2], "b_won": n[2, 1], "b_lost": n[2, 0]}
    incomplete |= {"missing": n[2, 2]}
    d = (only_a - only_b) / whole if whole else None
    known, none = only_a - only_b, n[2, 2]
    bounds = None
    if every:
        bounds = (
            (known - n[0, 2] - n[2, 1] - none) / every,
            (known + n[1, 2] + n[2, 0] + none) / every,
        )
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    p = None
    if complete and whole:
        if sided == "two":
            p = mcnemar([[both, only_a], [only_b, neither]], exact=True).pvalue
        else:
            p = (
                binomtest(only_a, only_a + only_b, 0.5, alternative=sided).pvalue
                if only_a + only_b
                else 1.0
            )
    anytime = None
    if whole:
        for_a, for_b = n[1, 2] + n[2, 0] + none, n[0, 2] + n[2, 1] + none
        a, b = only_a, only_b
        if sided == "greater" or (sided == "two" and a >= b):
            b += for_b if sided == "greater" else min(for_b, a - b)
        else:
            a += for_a if sided == "less" else min(for_a, b - a)
        e = log_e(a, b, sided)
        low = difference_sequence(both, only_a, only_b + for_b, neither)[0]
        high = difference_sequence(both, only_a + for_a, only_b, neither)[1]
        anytime = {"log_e": e, "p": min(1.0, math.exp(-max(e, 0))), "interval": (low, high)}
    return {
        "table": {"both": both, "only_a": only_a, "only_b": only_b, "neither": neither},
        "incomplete_pairs": incomplete,
        "pairs": whole,
        "difference": d,
        "interval": newcombe(both, only_a, only_b, neither) if complete and whole else None,
        "p": p,
        "anytime": anytime,
        "correlation": (both * neither - only_a * only_b) / math.sqrt(margins) if margins else None,
        "bounds": bounds,
        "bounds_allow_other_sign": bool(bounds and d and min(bounds[0] * d, bounds[1] * d) < 0),
    }


for i, rule in enumerate(about["criteria"]):
    won = successes(rule)
    for place, theirs in enumerate(findings["criteria"][i]["contrasts"]):
        ours = contrast(won, theirs["arm"], theirs["against"], theirs["sided"])
        for key, value in ours.items():
            check(("criteria", i, "contrasts", place, key), value)

# %% [markdown]
# ## Nothing was left out
#
# What is not a number that follows from outcomes: the spec itself, and words that say what was asked.

# %%
ASKED = {"estimand", "no_intervals", "arm", "against", "primary", "exploratory", "sided", "effect"}


def leaves(value, path=()):
    if isinstance(value, (dict, list)) and value:
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(part, (*path, key))
    elif not isinstance(value, (dict, list)):
        yield path


left = [p for p in leaves(findings) if p[0] != "spec" and p[-1] not in ASKED and p not in checked]
print(len(checked), "values of the findings were recomputed, and agree;", len(left), "were not")

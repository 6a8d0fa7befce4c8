"""Outcomes as canonical JSON lines, put together from columns.

They are to the byte what `canonical` writes of each outcome, at a fraction of its cost: json writes
whole columns, and only the joining is ours.
"""

import json
from collections.abc import Sequence
from itertools import pairwise

#: rows of outcomes, a column each: cell, seed, end state, steps, fingerprint, metric, final, best,
#: best step. A row is a metric of a trial, or a trial that has none
Columns = Sequence[Sequence[object]]


def lines(columns: Columns, starts: Sequence[int]) -> str:
    """The lines of trials, each ended.

    Args:
        columns: every row of every trial; a trial's rows are neighbours, in order of the metric.
        starts: the number of each trial's first row.

    Raises:
        ValueError: a value is not finite, which JSON cannot say.
    """
    cell, seed, state, steps, fingerprint, metric, *values = columns
    named = zip(metric, *map(_texts, (metric, *values)), strict=True)
    metrics = [
        "" if unquoted is None else f"{name}:[{final},{best},{best_step}]"
        for unquoted, name, final, best, best_step in named
    ]
    trial = [cell, state, fingerprint, seed, steps]
    if len(starts) != len(metrics):
        metrics = [",".join(metrics[i:j]) for i, j in pairwise([*starts, len(metrics)])]
        trial = [[column[i] for i in starts] for column in trial]
    told = zip(*map(_texts, trial), metrics, strict=True)
    return "".join(
        f'{{"cell":{c},"end_state":{e},"fingerprint":{f},"metrics":{{{m}}},"seed":{s},"steps":{n}}}\n'
        for c, e, f, s, n, m in told
    )


def _texts(values: Sequence[object]) -> list[str]:
    """JSON of each; it escapes line breaks, so that none but ours parts them."""
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=("\n", ":"))
    return text[1:-1].split("\n")

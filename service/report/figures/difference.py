"""The primary difference as cohort after cohort settled, with what held at every look."""

from collections.abc import Iterator
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from service.evidence.pairs import Pairs
from service.evidence.sequential import ALPHA, anytime
from service.evidence.unseen import unseen_of
from service.plan import Plan
from service.report.figures.figure import Figure, NotDrawn
from service.report.figures.palette import EVIDENCE, INK, QUIET, WIDTH
from service.report.sample import Sample, won

#: looks that are drawn; the first, the last, and others ever farther apart
MOST_LOOKS = 100
_HEIGHT = 240
#: looks of which each is drawn as a bar
_FEW_LOOKS = 12
_VERDICTS = 3  # 1 success, 0 none, 2 no outcome


def difference(plan: Plan, sample: Sample) -> Figure | NotDrawn:
    """The primary contrast's difference over settled cohorts."""
    name, contrast = "difference", plan.contrast
    if contrast is None:
        return NotDrawn(name, "the spec declares no primary contrast")
    counts = tables(plan, sample)
    if not counts.size or not counts[-1, :2, :2].sum():
        return NotDrawn(name, "no pair with both outcomes is settled")
    alpha = ALPHA if plan.stop is None else plan.stop.alpha
    rows = list(_looks(counts, contrast.sided, alpha))
    last = rows[-1]
    low, high = _window(rows)
    base = alt.Chart(alt.InlineData(values=rows))
    x = alt.X("pairs:Q", title="settled pairs", scale=alt.Scale(domain=[0, 1.03 * last["pairs"]]))
    scale = alt.Scale(domain=[low, high])
    title = f"rate of {_short(contrast.arm)} - rate of {_short(contrast.against)}, points"
    y = alt.Y("low:Q", title=title, scale=scale, axis=alt.Axis(labelExpr=_POINTS))
    middle = alt.Y("difference:Q", title=title)
    if len(rows) > _FEW_LOOKS:
        band = base.mark_area(color=EVIDENCE, opacity=0.22, clip=True)
        line = base.mark_line(color=EVIDENCE, strokeWidth=2, clip=True)
    else:
        band = base.mark_rule(color=EVIDENCE, opacity=0.5, strokeWidth=4, clip=True)
        line = base.mark_point(color=EVIDENCE, filled=True, size=50, opacity=1, clip=True)
    band = band.encode(x=x, y=y, y2="high:Q")
    line = line.encode(x=x, y=middle)
    zero = alt.Chart(alt.InlineData(values=[{"at": 0}])).mark_rule(color=QUIET, strokeDash=[4, 3])
    end = base.mark_text(align="right", dx=-7, dy=-7, fontSize=11, color=INK).encode(
        x=x, y=middle, text="said:N"
    )
    chart = alt.layer(band, zero.encode(y="at:Q"), line, end)
    later = any(any(e.grid.values()) for e in plan.extensions)
    caption = (
        f"{contrast.arm} against {contrast.against} at the primary threshold on {last['pairs']} "
        f"pairs of {len(counts)} settled cohorts. Observed paired difference with a "
        f"{100 * (1 - alpha):g} % confidence sequence, which holds at every look "
        "at once (Waudby-Smith & Ramdas 2024)."
        + (" Early looks reach beyond the picture." if _beyond(rows, low, high) else "")
        + (f" {len(rows)} looks are drawn." if len(rows) < len(counts) else "")
        + (" Settings that were added later are counted from the first look on." if later else "")
    )
    sized = chart.properties(width=WIDTH, height=_HEIGHT)
    return Figure(name, "The difference, cohort by cohort", caption, sized.to_dict(validate=False))


_POINTS = "(datum.value > 0 ? '+' : '') + format(100 * datum.value, '~r')"
_MOST_LETTERS = 24


def tables(plan: Plan, sample: Sample) -> NDArray[np.int64]:
    """(C, 3, 3): after each settled cohort, pairs by the verdicts of the contrast's two arms.

    Args:
        plan: with a primary contrast.
        sample: the settled trials.
    """
    contrast = plan.contrast
    if contrast is None or not sample.trials:
        return np.zeros((0, _VERDICTS, _VERDICTS), np.int64)
    rule = next(r for r in plan.criteria if r.primary)
    verdict = won(sample, rule)
    seeds = int(sample.seed.max()) + 1
    key = sample.setting.astype(np.int64) * seeds + sample.seed
    index = {arm.name: arm.index for arm in plan.arms}
    members = []
    present = np.ones(len(plan.settings) * seeds, bool)  # pairs have both members
    for arm in (contrast.arm, contrast.against):
        here = sample.arm == index[arm]
        of = np.full(len(present), 2, np.int8)
        of[key[here]] = verdict[here]
        mine = np.zeros(len(present), bool)
        mine[key[here]] = True
        present &= mine
        members.append(of)
    cohort = (np.arange(len(present)) % seeds) // plan.cohort
    table = (cohort * _VERDICTS + members[0]) * _VERDICTS + members[1]
    total = (int(cohort.max()) + 1) * _VERDICTS**2
    counted = np.bincount(table[present], minlength=total)
    return counted.reshape(-1, _VERDICTS, _VERDICTS).cumsum(axis=0)


def _looks(counts: NDArray[np.int64], sided: Any, alpha: float) -> Iterator[dict[str, Any]]:
    """Rows of the drawn looks; a look without a whole pair has none."""
    total = len(counts)
    spaced = np.geomspace(1, total, min(MOST_LOOKS, total)).round().astype(int)
    chosen = sorted({1, total, *spaced.tolist()}) if total > MOST_LOOKS else range(1, total + 1)
    for look in chosen:
        n = counts[look - 1]
        pairs = Pairs(int(n[1, 1]), int(n[1, 0]), int(n[0, 1]), int(n[0, 0]))
        if pairs.difference is None:
            continue
        unseen = unseen_of(
            a_won=int(n[1, 2]),
            a_lost=int(n[0, 2]),
            b_won=int(n[2, 1]),
            b_lost=int(n[2, 0]),
            missing=int(n[2, 2]),
        )
        low, high = anytime(pairs, unseen, sided, alpha).interval
        yield {
            "pairs": pairs.n,
            "difference": pairs.difference,
            "low": low,
            "high": high,
            "said": f"{100 * pairs.difference:+.1f}" if look == total else "",
        }


def _window(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """What is shown: the later half of the looks and zero, with room for what came before."""
    late = rows[len(rows) // 2 :]
    low = min(0.0, *(row["low"] for row in late))
    high = max(0.0, *(row["high"] for row in late))
    room = 0.5 * (high - low)
    return max(-1.0, low - room), min(1.0, high + room)


def _beyond(rows: list[dict[str, Any]], low: float, high: float) -> bool:
    return any(row["low"] < low or row["high"] > high for row in rows)


def _short(name: str) -> str:
    return name if len(name) <= _MOST_LETTERS else name[: _MOST_LETTERS - 1] + "…"

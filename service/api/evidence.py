"""What may be said of settled cohorts at any look: reckoned from counters, remembered by counts.

Counters change once a cohort, and progress is asked for many times between, so each interval is
found once.
"""

from dataclasses import asdict
from functools import lru_cache
from typing import Any

from service.evidence.sequential import ALPHA, anytime, rate_sequence
from service.store.pairing import PairCounts
from service.store.progress import Progress
from service.store.tables import HALF_SEEN, PAIRED

#: sequences of that many arms x criteria are reckoned; beyond, those of the primary criterion
MOST = 32

_rate = lru_cache(maxsize=8192)(rate_sequence)
_anytime = lru_cache(maxsize=2048)(anytime)


def rate_json(progress: Progress, arm: int, criterion: int) -> list[float] | None:
    """The 95 % confidence sequence of an arm's rate; None without settled outcomes."""
    found, rule = progress.arms[arm], progress.criteria[criterion]
    n = found.settled_trials
    if not n or not (rule.primary or _all(progress)):
        return None
    return list(_rate(found.successes[criterion], n))


def evidence_json(progress: Progress) -> list[dict[str, Any]]:
    """The contrasts, the primary one first, then by criterion."""
    shown = [
        (c, rule)
        for c in progress.pairs
        if (rule := progress.criteria[c.criterion]).primary or _all(progress)
    ]
    shown.sort(key=lambda pair: not (pair[0].first and pair[1].primary))
    return [
        {
            "arm": progress.arms[c.arm].name,
            "against": progress.arms[c.against].name,
            "primary": c.first and rule.primary,
            "metric": rule.metric,
            "comparison": rule.comparison,
            "threshold": rule.threshold,
            "at": rule.at,
            "table": {name: c.counts[name] for name in PAIRED},
            "incomplete_pairs": {name: c.counts[name] for name in HALF_SEEN},
            "pairs": c.pairs.n,
            "difference": c.pairs.difference,
            **_look(c, _alpha(progress) if c.first and rule.primary else ALPHA),
        }
        for c, rule in shown
    ]


def _all(progress: Progress) -> bool:
    return len(progress.arms) * len(progress.criteria) <= MOST


def _alpha(progress: Progress) -> float:
    """At which the primary contrast is looked at: its stop rule's."""
    return ALPHA if progress.stop is None else progress.stop.alpha


def _look(c: PairCounts, alpha: float) -> dict[str, Any]:
    found = _anytime(c.pairs, c.unseen, c.sided, alpha) if c.pairs.n else None
    return {
        "sided": c.sided,
        "alpha": alpha,
        "log_e": found.log_e if found else None,
        "p": found.p if found else None,
        "interval": list(found.interval) if found else None,
    }


def stop_json(progress: Progress) -> dict[str, Any] | None:
    """The stop rule, where and why it ended the sweep, and whether it could end it as it is now.

    An extended sweep's rule is not judged again where it spoke before; `spoke` says where.
    """
    if progress.stop is None:
        return None
    return {
        "when": list(progress.stop.when),
        "alpha": progress.stop.alpha,
        "effect": progress.stop.effect,
        "stopped": asdict(progress.stopped) if progress.stopped else None,
        "judged": progress.judged,
        "spoke": asdict(progress.spoke) if progress.spoke else None,
    }

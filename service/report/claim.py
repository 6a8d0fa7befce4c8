"""What a contrast lets one say: by the declared test and the interval, and not where they part."""

from collections.abc import Mapping
from typing import Any

from service.evidence.stopping import ruled_out

ALPHA = 0.05


def claim(k: Mapping[str, Any], arm: str) -> str:
    """One sentence on a contrast whose plan is complete.

    A two-sided claim needs both McNemar's p below 0.05 and an interval on one side of zero: the
    first is exact and conservative, the second approximate, so near the border they may part. A
    one-sided claim is the declared test's alone, in its declared direction. None is made that the
    missing outcomes, had they been unfavourable, would take back: by its sign, or by McNemar's p.

    Args:
        k: the contrast, as in the findings, with interval and p.
        arm: the arm's name, safe for where the sentence stands.
    """
    if k["bounds_allow_other_sign"]:
        return "No claim: the outcomes that are missing could turn the sign of the difference."
    shown = k["p"] < ALPHA
    if shown and k["p_least_favourable"] >= ALPHA:
        return "No claim: the outcomes that are missing could undo it."
    if k["sided"] != "two":
        way = f"{arm} succeeds {'more' if k['sided'] == 'greater' else 'less'} often."
        test = "the one-sided test that was declared"
        return f"By {test}, {way}" if shown else f"{test.capitalize()} does not show that {way}"
    low, high = k["interval"]
    apart = low > 0 or high < 0
    if shown and apart:
        return f"{arm} succeeds {'more' if low > 0 else 'less'} often: interval and test agree."
    if shown or apart:
        open_ = "the interval holds zero" if shown else f"p is not below {ALPHA:g}"
        rest = "the test shows a difference" if shown else "the interval lies on one side of zero"
        return f"No claim: {rest}, but {open_}."
    return f"No difference is shown: the interval holds zero, and p is not below {ALPHA:g}."


def claim_at_any_look(k: Mapping[str, Any], arm: str) -> str:
    """One sentence on a contrast that may be judged, and the sweep ended, whenever one looks.

    Args:
        k: the contrast, as in the findings, with settled pairs.
        arm: the arm's name, safe for where the sentence stands.
    """
    if k["bounds_allow_other_sign"]:
        return "No claim: the outcomes that are missing could turn the sign of the difference."
    found, sided, effect = k["anytime"], k["sided"], k["effect"]
    alpha = found["alpha"]
    if found["p"] <= alpha:
        more = k["difference"] > 0 if sided == "two" else sided == "greater"
        return (
            f"{arm} succeeds {'more' if more else 'less'} often: the e-value reached "
            f"{1 / alpha:g}, which it does by chance with probability at most {alpha:g}, however "
            "often one looks."
        )
    low, high = found["interval"]
    if effect is not None and ruled_out(sided, (low, high), effect):
        sign = {"two": "+/- ", "greater": "+", "less": "-"}[sided]
        return f"A difference of {sign}{100 * effect:g} points or more is ruled out."
    return f"No difference is shown: the e-value has not reached {1 / alpha:g}."

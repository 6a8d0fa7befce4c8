"""What a report says first: the rates, the difference, and how sure it is."""

from collections.abc import Mapping
from typing import Any

from service.report.claim import claim
from service.report.harmless import in_markdown
from service.words import p, percent, points, rule


def headline(f: Mapping[str, Any], c: Mapping[str, Any]) -> str:
    """The findings at their primary criterion, in a few sentences of Markdown."""
    plan = f["plan"]
    rates = "; ".join(f"**{in_markdown(e['arm'])}** {_rate(e)}" for e in c["arms"])
    lines = [f"Success is {rule(c)}: {rates}."]
    if c["contrasts"]:
        lines += _difference(c["contrasts"][0], plan)
    if not plan["complete"]:
        lines.append(
            f"Only {plan['settled_seeds']} of {plan['seeds']} seeds a cell are settled; "
            "counts and rates are of those."
        )
    return "\n\n".join(lines)


def _rate(e: Mapping[str, Any]) -> str:
    if e["n"] == 0:
        return "not estimable (no settled trial has an outcome)"
    ends = e["interval"]
    between = f" [{percent(ends[0])}, {percent(ends[1])}]" if ends else ""
    return f"{e['successes']} of {e['n']} = {percent(e['rate'])}{between}"


def _difference(k: Mapping[str, Any], plan: Mapping[str, Any]) -> list[str]:
    if not plan["complete"]:
        return [f"Interim: {plan['no_intervals']}."]
    arm, against = in_markdown(k["arm"]), in_markdown(k["against"])
    if k["interval"] is None:
        missing = sum(k["incomplete_pairs"].values())
        why = f"each of the {missing} pairs misses an outcome"
        return [f"**{arm}** against **{against}**: the difference is not estimable, because {why}."]
    low, high = k["interval"]
    chance = p(k["p"])
    test = f"p {chance}" if chance.startswith("<") else f"p = {chance}"
    found = (
        f"**{arm}** against **{against}** on {k['pairs']} pairs: difference "
        f"{points(k['difference'])} points, 95 % interval [{points(low)}, {points(high)}], "
        f"exact McNemar {test} ({k['sided']}-sided)."
    )
    return [found, claim(k, arm).replace("No claim", "**No claim**", 1)]

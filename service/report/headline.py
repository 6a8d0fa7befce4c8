"""What a report says first: the rates, the difference, and how sure it is."""

from collections.abc import Callable, Mapping
from typing import Any

from service.report.claim import claim, claim_at_any_look
from service.report.harmless import in_markdown
from service.report.layout import estimate, times
from service.words import e_value, p, percent, points, rule, stopped


def headline(f: Mapping[str, Any], c: Mapping[str, Any]) -> str:
    """The findings at their primary criterion, in a few sentences of Markdown."""
    plan = f["plan"]
    rates = "; ".join(f"**{in_markdown(e['arm'])}** {_rate(e)}" for e in c["arms"])
    lines = [f"Success is {rule(c)}: {rates}."]
    if c["contrasts"]:
        lines += _difference(c["contrasts"][0], plan)
    if plan["stopped"] is not None:
        lines.append(
            f"The sweep {stopped(plan['stopped'], plan['cohorts'])}, as its stop rule says; "
            f"{plan['no_intervals']}, and outcomes of later cohorts are not counted."
        )
    elif plan["settled_cohorts"] < plan["cohorts"]:
        lines.append(
            f"Only {plan['settled_seeds']} of {plan['seeds']} seeds a cell are settled; "
            "counts and rates are of those."
        )
    return "\n\n".join([*lines, *_extended(f, c)])


def _extended(f: Mapping[str, Any], c: Mapping[str, Any]) -> list[str]:
    """That a sweep was extended, and what its first plan said when it was met."""
    if "extensions" not in f:
        return []
    by = "; then ".join(extension(e, in_markdown) for e in f["extensions"])
    said = [f"The sweep was extended: {by}."]
    if f["plan"]["no_intervals"]:
        said.append(
            f"{f['plan']['no_intervals'].capitalize()}: the claim is what holds at any look."
        )
    if any(any(e["grid"].values()) for e in f["extensions"]):
        said.append(
            "With settings added the evidence is of another grid, and a process of its own, which "
            "counts the old pairs again; it holds for settings that were not chosen by results."
        )
    first = f["first_plan"]
    if first is not None:
        at = next(r for r in first["criteria"] if r["primary"] == c["primary"])
        said.append(
            f"At the first plan, {first['seeds']} seeds a cell, when it was met (frozen; findings "
            f"`{first['findings_hash'][:16]}`): "
            + "; ".join(f"{in_markdown(e['arm'])} {_rate(e)}" for e in at["arms"])
            + "."
        )
        said += [
            _fixed(k, in_markdown(k["arm"]), in_markdown(k["against"]))
            for k in at["contrasts"][:1]
            if k["interval"] is not None
        ]
    elif f["extensions"][0]["stopped"] is None:  # it was met, else nothing had been extended
        said.append(
            "The first plan was met, and its fixed-n results are withdrawn: they rested on trials "
            "of a worker that was excluded later."
        )
    return [" ".join(said)]


def extension(e: Mapping[str, Any], shown: Callable[[object], str]) -> str:
    """By what a sweep was extended.

    Args:
        e: one of the findings' extensions.
        shown: makes a name or a value safe for where the sentence stands.
    """
    before, after = e["seeds"]
    parts = [] if before == after else [f"from {before} to {after} seeds a cell"]
    parts += [f"by arm {shown(name)}" for name in e["arms"]]
    parts += [
        f"by {shown(key)} {', '.join(map(shown, values))}"
        for key, values in e["grid"].items()
        if values
    ]
    if e["stopped"]:
        parts.append(f"after its stop rule ({e['stopped']['when']}) had ended it")
    return ", ".join(parts)


def _rate(e: Mapping[str, Any]) -> str:
    if e["n"] == 0:
        return "not estimable (no settled trial has an outcome)"
    ends = e["interval"]
    if ends is None:
        low, high = e["anytime"]
        between = f" [{percent(low)}, {percent(high)} at any look]"
    else:
        between = f" [{percent(ends[0])}, {percent(ends[1])}]"
    return f"{e['successes']} of {e['n']} = {percent(e['rate'])}{between}"


def _difference(k: Mapping[str, Any], plan: Mapping[str, Any]) -> list[str]:
    arm, against = in_markdown(k["arm"]), in_markdown(k["against"])
    if k["pairs"] == 0 and (plan["settled_cohorts"] == plan["cohorts"] or plan["stopped"]):
        why = k["not_estimable"]
        return [f"**{arm}** against **{against}**: the difference is not estimable, because {why}."]
    if plan["settled_cohorts"] < plan["cohorts"] and plan["stopped"] is None:
        return [f"Interim: {plan['no_intervals']}.", *_at_any_look(k, arm, against)]
    lines = [] if k["interval"] is None else [_fixed(k, arm, against)]
    if plan["claim_by"] == "fixed_n":
        said = claim(k, arm)
    else:
        lines += _at_any_look(k, arm, against)
        said = claim_at_any_look(k, arm)
    return [*lines, said.replace("No claim", "**No claim**", 1)]


def _fixed(k: Mapping[str, Any], arm: str, against: str) -> str:
    """What the whole plan says."""
    low, high = k["interval"]
    chance = p(k["p"])
    test = f"p {chance}" if chance.startswith("<") else f"p = {chance}"
    return (
        f"**{arm}** against **{against}** on {k['pairs']} pairs: difference "
        f"{points(k['difference'])} points, 95 % interval [{points(low)}, {points(high)}], "
        f"exact McNemar {test} ({k['sided']}-sided).{_ratio(k)}"
    )


def _ratio(k: Mapping[str, Any]) -> str:
    """How many times as often, where both arms succeed: near 0 it says more than a difference."""
    ratio = k["ratio"]
    if ratio["value"] is None or ratio["high"] is None:
        return ""
    value, ends = estimate(ratio, times)
    return f" It succeeds {value} times as often, 95 % interval [{ends.replace(' to ', ', ')}]."


def _at_any_look(k: Mapping[str, Any], arm: str, against: str) -> list[str]:
    """What may be said before the plan is met, however often one has looked."""
    found = k["anytime"]
    if found is None:
        return []
    low, high = found["interval"]
    chance = p(found["p"])
    at_most = f"p {chance}" if chance.startswith("<") else f"p = {chance}"
    said = (
        f"What holds at any look, of **{arm}** against **{against}** on {k['pairs']} settled "
        f"pairs: the difference lies between {points(low)} and {points(high)} points "
        f"({100 * (1 - found['alpha']):g} % confidence sequence); "
        f"e-value {e_value(found['log_e'])}, anytime-valid {at_most}."
    )
    return [said]

"""Tables of the metrics themselves and of time to success."""

from collections.abc import Mapping
from typing import Any

from service.report.harmless import in_markdown
from service.report.layout import between, estimate, number, p_is, table
from service.words import percent, rule

_QUANTILES = (10, 50, 90)


def metric(m: Mapping[str, Any]) -> str:
    """A metric's final values by arm, and in how many pairs one arm did better."""
    heads = [f"{q} % reach" for q in _QUANTILES]
    rows = []
    for e in m["arms"]:
        reached = dict(e["quantiles"])
        values = [number(reached[q]) for q in _QUANTILES]
        measured = f"{e['measured']} / {e['n']}"
        rows.append(
            [in_markdown(e["arm"]), measured, number(e["mean"]), number(e["best"]), *values]
        )
    parts = [
        f"## {in_markdown(m['metric'])} at the end, {m['better']} is better (exploratory)",
        table(("arm", "measured", "mean", "best", *heads), rows),
    ]
    bands = {f"{percent(e['band'])}" for e in m["arms"] if e["band"] is not None}
    said = [_preference(k) for k in m["contrasts"]]
    if bands:
        said.append(
            f"Empirical distributions are within {' or '.join(sorted(bands))} of the true ones "
            "at all values at once (95 %)"
        )
    if any(e["measured"] < e["n"] for e in m["arms"]):
        said.append("Trials without a value rank worst; the mean is of the others")
    return "\n\n".join([*parts, "\n".join(f"- {line}" for line in said)]).rstrip()


def _preference(k: Mapping[str, Any]) -> str:
    arm, against = in_markdown(k["arm"]), in_markdown(k["against"])
    share, ends = estimate(k["p_better"], percent)
    if k["p_better"]["value"] is None:
        return f"{arm} against {against}: not estimable, because {k['p_better']['reason']}"
    test = k["wilcoxon"]
    said = f"not estimable ({test['reason']})" if test["p"] is None else p_is(test["p"])
    silent = f" ({k['valueless']} of them without a value on either side)" if k["valueless"] else ""
    return (
        f"{arm} better than {against} in {share} of {k['pairs']} pairs [{ends}], {k['ties']} ties"
        f"{silent} counted half; {test['method']}, {said}"
    )


def times(c: Mapping[str, Any]) -> str:
    """Steps to success of the arms; nothing where success is judged at the end."""
    found = c["times"]
    if found is None:
        return ""
    rows = (
        [
            in_markdown(e["arm"]),
            f"{e['succeeded']} / {e['n']}",
            _step(e["median"], found["budget"]) if e["n"] else "not estimable",
            number(e["restricted_mean"]),
            between(e["restricted_mean_interval"], number),
        ]
        for e in found["arms"]
    )
    heads = ("arm", "succeeded", "median step", "mean steps", "95 %")
    lines = [f"- {_sooner(k)}" for k in found["contrasts"]]
    lines.append(
        f"- Mean steps are those without success up to the budget of {found['budget']} (restricted "
        "mean); a trial that diverged can succeed no more"
    )
    return "\n\n".join(
        [f"## Steps to {rule(c)} (exploratory)", table(heads, rows), "\n".join(lines)]
    )


def _step(median: int | None, budget: int) -> str:
    return f"beyond {budget}" if median is None else str(median)


def _sooner(k: Mapping[str, Any]) -> str:
    arm, against, test = in_markdown(k["arm"]), in_markdown(k["against"]), k["logrank"]
    if test["p"] is None:
        return f"{arm} against {against}: no log-rank test, because {test['reason']}"
    saved = number(k["steps_saved"])
    ends = between(k["steps_saved_interval"], number)
    return (
        f"{arm} against {against}: log-rank {p_is(test['p'])} (stratified by setting, as if "
        f"unpaired); steps saved {saved} [{ends}]"
    )

"""The primary contrast by every method that applies, and what rates mean in restarts."""

from collections.abc import Callable, Mapping
from typing import Any

from service.report.harmless import in_markdown
from service.report.layout import between, estimate, p_is, table, times
from service.words import percent, points


def restarts(c: Mapping[str, Any]) -> str:
    """How many restarts a success costs in each arm; nothing before the plan is met."""
    if all(e["restarts_per_success"] is None for e in c["arms"]):
        return ""
    rows = (
        [
            in_markdown(e["arm"]),
            _restarts(e["restarts_per_success"]),
            _restarts(e["restarts_for_one"]),
        ]
        for e in c["arms"]
    )
    exact = (
        f"- {in_markdown(e['arm'])}: exact 95 % interval of the rate "
        f"{between(e['exact_interval'], percent)} (Clopper & Pearson)"
        for e in c["arms"]
        if e["n"]
    )
    headings = ("arm", "restarts a success (95 %)", "for one at 95 % (95 %)")
    return "\n\n".join(["## Restarts", table(headings, rows), "\n".join(exact)]).rstrip()


def _restarts(found: Mapping[str, Any]) -> str:
    """`12 (9 to 17)`."""
    value, ends = estimate(found, times)
    return f"{value} ({ends})"


def in_full(k: Mapping[str, Any]) -> str:
    """A contrast whose plan is met, method by method; nothing before that or without pairs."""
    if k["interval"] is None:
        return ""
    name = f"{in_markdown(k['arm'])} against {in_markdown(k['against'])}"
    parts = [
        f"## {name}, by every method",
        table(("what", "estimate", "95 %"), _estimates(k)),
        table(("test", "p"), _tests(k)),
    ]
    if k["grid"] is not None:
        parts.append(_grid(k["grid"]))
    return "\n\n".join(parts)


def _estimates(k: Mapping[str, Any]) -> list[list[str]]:
    unpaired, grid = k["unpaired"], k["grid"]
    newcombe = [points(k["difference"]), between(k["interval"], points)]
    rows: list[tuple[str, list[str]]] = [
        ("difference (Newcombe)", newcombe),
        ("difference (Tango)", estimate(k["tango"], points)),
        ("ratio (score, paired)", estimate(k["ratio"], times)),
        ("odds ratio (discordant pairs)", estimate(k["odds_ratio"], times)),
        ("difference, unpaired", estimate(unpaired["difference"], points)),
        ("ratio, unpaired", estimate(unpaired["ratio"], times)),
        ("odds ratio, unpaired", estimate(unpaired["odds_ratio"], times)),
    ]
    if grid is not None:
        rows += [
            ("difference within settings", estimate(grid["paired"]["difference"], points)),
            ("difference (Mantel-Haenszel)", estimate(grid["unpaired"]["difference"], points)),
            ("odds ratio (Mantel-Haenszel)", estimate(grid["unpaired"]["odds_ratio"], times)),
        ]
    return [[what, *said] for what, said in rows]


def _tests(k: Mapping[str, Any]) -> list[list[str]]:
    rows = [
        ["McNemar, exact", p_is(k["p"])],
        ["McNemar, mid-p", p_is(k["mid_p"])],
        ["score test, unpaired", _p_of(k["unpaired"]["test"])],
    ]
    if k["grid"] is not None:
        rows += [
            ["Mantel-Haenszel, unpaired", _p_of(k["grid"]["unpaired"]["test"])],
            ["settings alike, pairs", _p_of(k["grid"]["paired"]["homogeneity"])],
            ["settings alike, odds ratios", _p_of(k["grid"]["unpaired"]["homogeneity"])],
        ]
    return rows


def _p_of(test: Mapping[str, Any]) -> str:
    """A test's p, with why it is to be read with care; or why there is none."""
    if test["p"] is None:
        return f"not estimable: {test['reason']}"
    return p_is(test["p"]) + (f" ({test['reason']})" if test["reason"] else "")


def _grid(grid: Mapping[str, Any]) -> str:
    """Which null is tested over a grid, and what it means if settings are not alike."""
    homogeneity = grid["paired"]["homogeneity"]
    alike: Callable[[str], str] = "Whether settings are alike: {}.".format
    return (
        f"Over {grid['paired']['settings']} settings the null of the pooled test is: "
        f"{grid['paired']['null']}. {alike(homogeneity['method'])} Where they are not, the pooled "
        "numbers are averages over this grid and hold for no setting of it."
    )

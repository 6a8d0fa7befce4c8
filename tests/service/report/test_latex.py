"""LaTeX as a paper prints it: tables whose columns add up, and names that cannot do anything."""

import re
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from service.report.booktabs import escaped
from service.report.latex import render_latex
from service.store.engine import session_factory
from tests.service.report.swept import ANY, finished
from tests.service.report.test_findings import claim, complete, create, report
from tests.service.report.test_stopped import run as run_stopped
from tests.service.samples import outcome
from tests.service.store.test_extending import ARM, extend
from tests.service.store.test_extending import run as run_on


def tables(text: str) -> list[tuple[str, list[str]]]:
    """Columns and rows of every table."""
    found = re.findall(r"\\begin\{(tabular|longtable)\}\{(\w+)\}(.*?)\\end\{\1\}", text, re.DOTALL)
    return [
        (columns, re.findall(r"^ +(.* \\\\)$", body, re.MULTILINE)) for _, columns, body in found
    ]


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        (r"50% & a_b #1 $x$", r"50\% \& a\_b \#1 \$x\$"),
        (r"\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("~^", r"\textasciitilde{}\textasciicircum{}"),
        ("a--b ,, ''", "a-{}-b ,{}, '{}'"),
        ("[1] *", "{[}1{]} {*}"),
        ("<a|b>", r"\textless{}a\textbar{}b\textgreater{}"),
        ("a\nb\u202ec", "abc"),
        ("größer", "größer"),
    ],
)
def test_text_is_printed_as_it_is(name: str, printed: str) -> None:
    assert escaped(name) == printed


def test_every_row_has_as_many_cells_as_its_table_has_columns(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    text = render_latex(report(sessions, finished(sessions, **ANY)))
    found = tables(text)
    assert [columns for columns, _ in found] == ["llrrr", "llrrrrr", "lrrrrr"]
    for columns, rows in found:
        assert len(rows) > 2
        for row in rows:
            assert len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1, row
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 3
    for kind in ("table", "tabular"):
        assert text.count(rf"\begin{{{kind}}}") == text.count(rf"\end{{{kind}}}") == 3
    depth = 0
    for sign in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if sign == "{" else -1
        assert depth >= 0
    assert depth == 0


def test_the_numbers_are_the_findings(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    found = report(sessions, finished(sessions, **ANY))
    text = render_latex(found)
    primary = next(c for c in found.findings["criteria"] if c["primary"])
    for e in primary["arms"]:
        low, high = e["interval"]
        row = (
            f"{e['arm']} & {e['successes']}/{e['n']} & {100 * e['rate']:.1f} & "
            f"{100 * low:.1f}--{100 * high:.1f}"
        )
        assert row in text
    k = primary["contrasts"][0]
    assert f"{k['table']['only_a']}/{k['table']['only_b']} & ${100 * k['difference']:+.1f}$" in text
    assert "the outcomes that are missing could undo it" in text
    assert found.findings_hash in text


def test_names_cannot_act(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    evil = r"\end{tabular}\input{x} & % $ # _ ^ ~ {"
    arms = {"plain": {"noise_eta": 0.0}, evil: {"noise_eta": 0.01}}
    sweep = finished(
        sessions, name=evil, arms=arms, primary={"arm": evil, "against": "plain"}, **ANY
    )
    text = render_latex(report(sessions, sweep))
    assert r"\input" not in text
    assert text.count(r"\end{tabular}") == 3
    for columns, rows in tables(text):
        for row in rows:
            assert len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1, row
    comments = [line for line in text.splitlines() if line.startswith("%")]
    assert len(comments) == 2


def test_before_the_plan_is_met_the_intervals_are_those_of_any_look(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    sweep = create(sessions)
    complete(sessions, [outcome(t) for t in claim(sessions, sweep, 8)])
    text = render_latex(report(sessions, sweep))
    assert r"Interval: 95 \% confidence sequence, which holds at any look." in text
    assert "2 of 6 seeds a cell are settled" in text
    assert "hold at any look" in text
    assert "Wilson" not in text
    assert "McNemar" not in text


def test_nothing_settled_is_not_estimable(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    text = render_latex(report(sessions, create(sessions)))
    assert "0/0 & not estimable & --" in text


def test_many_cells_go_on_over_pages(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    grid = {"learning_rate": [i / 100 for i in range(1, 26)]}
    text = render_latex(report(sessions, finished(sessions, outcome, grid=grid, seeds=2)))
    assert text.count(r"\begin{longtable}{lrrrr}") == text.count(r"\end{longtable}") == 1


def test_a_criterion_that_was_added_later_is_marked(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    found = report(sessions, finished(sessions, outcome))
    assert r"\textsuperscript{p}" not in render_latex(found)
    later = [c | {"post_hoc": not c["primary"]} for c in found.findings["criteria"]]
    text = render_latex(replace(found, findings=dict(found.findings) | {"criteria": later}))
    assert r"0.5\textsuperscript{p} & plain" in text
    assert r"\textsuperscript{p}~added after the first outcome." in text


def test_where_a_rule_could_have_stopped_it_the_claim_stands_with_what_carries_it(
    sqlite: Engine,
) -> None:
    """The plan ran out, so that fixed-n intervals and p exist; none is shown unmarked."""
    found = run_stopped(sqlite, "evidence", seeds=4)
    assert found.findings["plan"]["complete"]
    text = render_latex(found)
    assert "Newcombe" not in text
    assert "McNemar" not in text
    (k,) = next(c for c in found.findings["criteria"] if c["primary"])["contrasts"]
    low, high = k["anytime"]["interval"]
    assert f"$[{100 * low:+.1f},\\ {100 * high:+.1f}]$ & ${k['anytime']['p']:.4f}$" in text
    assert "the e-value has not reached 20. Its e-value is " in text
    assert r"confidence sequence at 95\,\%" in text
    rates, cells = text.index("tab:seedbed-rates"), text.index("tab:seedbed-cells")
    assert text.index(r"95 \% confidence sequence, which holds at any look") < rates
    assert "Wilson's, 95 \\%; not valid after stopping" in text[:cells]
    assert "Wilson's, 95 \\%." not in text


def test_the_level_of_an_interval_is_that_of_the_stop_rule(sqlite: Engine) -> None:
    found = run_stopped(sqlite, "evidence")
    for c in found.findings["criteria"]:
        for k in c["contrasts"]:
            k["anytime"]["alpha"] = 0.01 if k["primary"] else 0.05
    text = render_latex(found)
    assert r"confidence sequence at 99\,\% for the primary contrast, 95\,\%, e-value" in text
    assert r"& 95\,\%" not in text
    assert "stopped by evidence after cohort 3 of 10: 6 of 20 seeds a cell are settled" in text


def test_a_criterion_judged_at_another_moment_says_so(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    found = report(sessions, finished(sessions, outcome))
    assert "evaluation" not in render_latex(found)
    added = [
        c | ({} if c["primary"] else {"at": "any", "version": 2, "post_hoc": True})
        for c in found.findings["criteria"]
    ]
    text = render_latex(replace(found, findings=dict(found.findings) | {"criteria": added}))
    assert r"$\geq$ 0.5 at any evaluation\textsuperscript{p} & plain" in text


def test_an_extended_sweep_is_not_interim_and_its_first_plan_stands_apart(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    sweep = finished(sessions, outcome)
    (first,) = [c for c in report(sessions, sweep).findings["criteria"] if c["primary"]]
    assert extend(sessions, sweep, seeds=8, arms=ARM)
    run_on(sessions, sweep)
    text = render_latex(report(sessions, sweep))
    assert "Interim" not in text
    assert "are settled" not in text
    assert "Successes of settled trials; 8 seeds a cell;" in text
    assert "The sweep was extended: from 6 to 8 seeds a cell, by arm louder." in text
    said, _, rest = text.partition("At the first plan, 6 seeds a cell, when it was met")
    assert "Wilson" not in said
    assert "Newcombe" not in text
    e = first["arms"][0]
    low, high = e["interval"]
    expected = f"plain {e['successes']}/{e['n']} ({100 * low:.1f} to {100 * high:.1f} \\%)"
    assert expected in rest
    assert f"points, p {first['contrasts'][0]['p']:.4f}" in rest
    assert "Its e-value is" in rest

"""What nothing is known of is "not estimable", with the reason, whatever the format."""

import csv
import io
import re
import zipfile
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from service.report.build import Report
from service.report.bundle.build import write_bundle
from service.report.canonical import canonical
from service.report.figures.catalogue import NAMES, every, figure, gather
from service.report.figures.draw import svg
from service.report.figures.figure import NotDrawn
from service.report.latex import render_latex
from service.report.markdown import render_markdown
from service.report.outcomes import write_outcomes
from service.report.page.build import render_html
from service.report.spreadsheet import render_csv
from service.store.engine import session_factory
from service.store.plans import plan_of
from tests.service.report.test_findings import create, report, undisturbed
from tests.service.samples import outcome
from workers.messages import Assignment, Failure, Outcome

AT = ("end", "any")
ANY = {"metric": "test_accuracy", "at_least": 0.9}
THREE = {"plain": {"noise_eta": 0.0}, "a": {"noise_eta": 0.01}, "b": {"noise_eta": 0.1}}
MORE: dict[str, Any] = {"arms": THREE, "primary": {"arm": "b", "against": "plain"}}


def lost(task: Assignment) -> Outcome | Failure:
    """Arm b is lost whole."""
    if task.values["noise_eta"] == 0.1:
        return Failure(task.trial, task.attempt, "lost", "")
    return outcome(task, 0.95)


def everything_lost(task: Assignment) -> Failure:
    return Failure(task.trial, task.attempt, "lost", "")


def unmeasured(task: Assignment) -> Outcome:
    """All diverged before their first evaluation."""
    return outcome(task, end_state="diverged", steps=10, metrics={})


@pytest.fixture(params=AT)
def swept(sqlite: Engine, request: pytest.FixtureRequest) -> Callable[..., Report]:
    """The report of a sweep whose trials end so, judged at the end or at any evaluation."""
    sessions = session_factory(sqlite)

    def build(yields: Callable[[Assignment], Any] | None, **changes: Any) -> Report:
        sweep = create(sessions, **MORE, success=ANY | {"at": request.param}, **changes)
        return report(sessions, sweep) if yields is None else undisturbed(sessions, sweep, yields)

    return build


def test_a_lost_arm_has_a_reason_wherever_a_number_would_be(swept: Callable[..., Report]) -> None:
    f = swept(lost).findings
    (c,) = f["criteria"]
    arm = next(e for e in c["arms"] if e["arm"] == "b")
    assert (arm["n"], arm["rate"], arm["interval"], arm["exact_interval"]) == (0, None, None, None)
    assert arm["not_estimable"] == "no trial with an outcome is settled"
    assert arm["restarts_per_success"]["reason"] == "no trials"
    for cell in c["cells"]:
        assert (cell["not_estimable"] is None) == (cell["arm"] != "b")
    k = c["contrasts"][0]
    assert (k["arm"], k["difference"], k["interval"], k["p"]) == ("b", None, None, None)
    assert k["not_estimable"] == "each of the 12 pairs misses an outcome"
    for name in ("tango", "ratio", "odds_ratio"):
        assert k[name]["value"] is None
        assert k[name]["reason"]
    for found in (*k["unpaired"].values(), *_methods(k["grid"])):
        assert found["reason"], found
    assert c["several"]["cochran_q"]["reason"] == "no complete block"
    (m,) = f["metrics"]
    assert m["arms"][2]["not_estimable"] == "no trial with an outcome is settled"
    assert m["contrasts"][0]["p_better"]["reason"]
    assert m["contrasts"][0]["wilcoxon"]["reason"]
    if c["times"]:
        assert c["times"]["arms"][2]["not_estimable"] == "no trial with an outcome is settled"
        assert c["times"]["contrasts"][0]["logrank"]["reason"]


def _methods(grid: dict[str, Any]) -> list[dict[str, Any]]:
    """The estimates and tests over a grid."""
    names = ("difference", "odds_ratio", "test", "homogeneity")
    return [grid[way][name] for way in ("paired", "unpaired") for name in names]


@pytest.mark.parametrize(
    "yields", [lost, everything_lost, unmeasured, None], ids=["arm", "all", "unmeasured", "unrun"]
)
def test_every_format_says_what_it_cannot_and_prints_no_none(
    swept: Callable[..., Report], yields: Callable[[Assignment], Any] | None
) -> None:
    found = swept(yields)
    canonical(found.findings)  # no NaN and no infinity
    text = render_markdown(found)
    for word in ("None", "nan", "inf ", "inf]", "[]"):
        assert word not in text, text
    if yields is not unmeasured:
        assert "not estimable" in text
    rows = list(csv.DictReader(io.StringIO(render_csv(found))))
    assert len(rows) == 6
    for row in rows:
        empty = row["n"] == "0"
        assert empty == (row["rate"] == "")
        if empty:
            ends = [row[x] for x in ("low", "high", "exact_low", "exact_high")]
            assert ends == [""] * 4


@pytest.mark.parametrize(
    "yields", [lost, everything_lost, unmeasured, None], ids=["arm", "all", "unmeasured", "unrun"]
)
def test_latex_page_pictures_outcomes_and_bundle_say_it_too(
    sqlite: Engine, swept: Callable[..., Report], yields: Callable[[Assignment], Any] | None
) -> None:
    found = swept(yields)
    reason = {
        lost: "each of the 12 pairs misses an outcome",
        everything_lost: "no trial with an outcome is settled",
        None: "no trial with an outcome is settled",
    }.get(yields)
    tex = render_latex(found)
    sweep, outcomes, bundle = found.run_log["sweep"], io.BytesIO(), io.BytesIO()
    with session_factory(sqlite)() as session:
        plan = plan_of(session, sweep)
        material = gather(session, sweep, found.findings)
        page = render_html(found, list(every(material)))
        count = write_outcomes(session, sweep, plan, outcomes)
        write_bundle(session, sweep, found, bundle)
    for text in (tex, re.sub(r"<(svg|style).*?</\1>", "", page, flags=re.DOTALL)):
        for word in ("None", "nan", "NaN", "inf ", "inf]"):
            assert word not in text, text
    assert ("not estimable" in tex) == (reason is not None)
    if reason:
        assert reason in tex
        assert "not estimable" in page
        assert "no settled trial has an outcome" in page
    for name in NAMES:
        picture = figure(name, material)
        if isinstance(picture, NotDrawn):
            assert len(picture.reason) > 20
        else:
            ET.fromstring(svg(picture, titled=True))  # noqa: S314 - our own
            assert yields is not everything_lost
            assert yields is not None
    table = pq.read_table(outcomes).to_pylist()
    assert len(table) == count == (0 if yields is None else 36)
    without = [r for r in table if r["success.0"] is None]
    assert len(without) == {lost: 12, everything_lost: 36}.get(yields, 0)
    with zipfile.ZipFile(bundle) as packed:
        assert packed.testzip() is None
        assert packed.read("report.tex").decode() == tex
        pictures = {n for n in packed.namelist() if n.endswith(".svg")}
        assert pictures == {f"figures/{f.name}.svg" for f in every(material)}


def test_a_sweep_in_which_nothing_was_ever_measured_is_a_sweep_without_success(
    swept: Callable[..., Report],
) -> None:
    (c,) = swept(unmeasured).findings["criteria"]
    assert [(e["successes"], e["n"], e["rate"]) for e in c["arms"]] == [(0, 12, 0.0)] * 3
    assert c["contrasts"][0]["p"] == 1.0
    assert c["contrasts"][0]["ratio"]["reason"].startswith("neither arm has a success")


def test_before_the_plan_is_met_nothing_of_fixed_n_is_said(swept: Callable[..., Report]) -> None:
    f = swept(None).findings
    (c,) = f["criteria"]
    for e in (*c["arms"], *c["cells"]):
        assert e["interval"] is e["exact_interval"] is None
    assert all(e["restarts_per_success"] is e["restarts_for_one"] is None for e in c["arms"])
    fixed = ("interval", "p", "p_least_favourable", "mid_p", "tango", "ratio", "odds_ratio")
    fixed += ("unpaired", "grid", "holm")
    for k in c["contrasts"]:
        assert [k[name] for name in fixed] == [None] * len(fixed)
    assert c["several"]["cochran_q"] is None
    assert f["metrics"][0]["contrasts"] == []
    assert f["metrics"][0]["arms"][0]["band"] is None
    if c["times"]:
        assert c["times"]["contrasts"] == []
        assert c["times"]["arms"][0]["band"] is c["times"]["arms"][0]["median_interval"] is None

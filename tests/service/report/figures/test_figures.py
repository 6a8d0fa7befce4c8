"""Figures say what the findings say, of settled cohorts only, in bytes that do not change."""

import re
import struct
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from sqlalchemy import Engine

from service.report.figures import catalogue, draw
from service.report.figures.difference import MOST_LOOKS, tables
from service.report.figures.figure import Figure, NotDrawn
from service.report.figures.rates import MOST_ROWS
from service.store.engine import session_factory
from tests.service.report.swept import ANY, finished, made, material, shuffled
from tests.service.report.test_findings import claim, complete, create
from tests.service.report.test_stopped import noisy_wins
from tests.service.samples import outcome
from workers.messages import Assignment, Outcome


def values(figure: Figure | NotDrawn) -> list[dict[str, Any]]:
    """Every row of data in a figure's specification."""
    assert isinstance(figure, Figure), figure
    return [row for rows in figure.chart["datasets"].values() for row in rows]


@pytest.fixture
def drawn(sqlite: Engine) -> catalogue.Material:
    """A finished sweep of which every figure is drawn."""
    sessions = session_factory(sqlite)
    return material(sessions, finished(sessions, **ANY))[1]


def test_every_figure_is_drawn_and_drawn_again_it_has_the_same_bytes(sqlite: Engine) -> None:
    """Of two sweeps that ran in another order, too; ids in the picture do not count up."""
    sessions = session_factory(sqlite)
    first = material(sessions, finished(sessions, **ANY))[1]
    other = shuffled(sessions, 1, **ANY)
    again = material(sessions, other)[1]
    for name in catalogue.NAMES:
        one, two = catalogue.figure(name, first), catalogue.figure(name, again)
        assert isinstance(one, Figure), one
        assert isinstance(two, Figure), two
        picture = draw.svg(one, titled=True)
        assert picture == draw.svg(two, titled=True), name
        assert draw.png(one) == draw.png(two), name


def test_a_picture_is_sound_xml_that_loads_nothing(drawn: catalogue.Material) -> None:
    for figure in catalogue.every(drawn):
        picture = draw.svg(figure, titled=True)
        assert len(picture) < 200_000
        root = ET.fromstring(picture)  # noqa: S314 - our own
        assert not {e.tag.split("}")[1] for e in root.iter()} & {"script", "image", "a", "style"}
        assert not re.findall(r"https?://(?!www\.w3\.org/)", picture)
        for id_ in re.findall(r'id="([^"]*)"', picture):
            assert id_.startswith(figure.name)
        for used in re.findall(r"url\(#([^)]*)\)", picture):
            assert f'id="{used}"' in picture


def test_a_png_is_twice_as_wide_as_its_svg(drawn: catalogue.Material) -> None:
    figure = next(iter(catalogue.every(drawn)))
    (wide,) = re.findall(r'<svg[^>]* width="(\d+)"', draw.svg(figure, titled=True))
    picture = draw.png(figure)
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">I", picture[16:20])[0] == 2 * int(wide)


def test_names_that_are_markup_stay_text(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    evil = "</text><script>alert(1)</script>&lt;"
    arms = {"plain": {"noise_eta": 0.0}, evil: {"noise_eta": 0.01}}
    sweep = finished(sessions, arms=arms, primary={"arm": evil, "against": "plain"}, **ANY)
    for figure in catalogue.every(material(sessions, sweep)[1]):
        picture = draw.svg(figure, titled=True)
        ET.fromstring(picture)  # noqa: S314 - our own
        assert "<script" not in picture


def test_the_forest_shows_the_findings_rates_and_intervals(drawn: catalogue.Material) -> None:
    shown = [
        (r["arm"], r["rule"], r["rate"], r["low"], r["high"], r["counts"])
        for r in values(catalogue.figure("rates", drawn))
    ]
    told = [
        (
            e["arm"],
            f"test_accuracy >= {c['threshold']:g} ({'primary' if c['primary'] else 'exploratory'})",
            e["rate"],
            *e["interval"],
            f"{e['successes']}/{e['n']}",
        )
        for c in drawn.findings["criteria"]
        for e in c["arms"]
    ]
    assert sorted(shown) == sorted(told)
    cells = values(catalogue.figure("cells", drawn))
    assert len(cells) == 12
    assert {r["setting"] for r in cells} >= {"learning_rate=0.1, init_std=0.1"}


def test_the_last_look_at_the_difference_is_the_findings(drawn: catalogue.Material) -> None:
    """And a pair that misses an outcome is in the band, as it is in the evidence."""
    told = next(c for c in drawn.findings["criteria"] if c["primary"])["contrasts"][0]
    looks = [r for r in values(catalogue.figure("difference", drawn)) if "pairs" in r]
    assert [r["pairs"] for r in looks] == [12, 24, told["pairs"]]
    assert told["incomplete_pairs"]["a_lost"] == 4
    assert looks[-1]["difference"] == pytest.approx(told["difference"])
    assert [looks[-1]["low"], looks[-1]["high"]] == pytest.approx(told["anytime"]["interval"])


def test_the_band_of_a_sweep_that_evidence_may_stop_is_at_its_rules_level(sqlite: Engine) -> None:
    """And it ends where the sweep stopped, though later trials arrived."""
    sessions = session_factory(sqlite)

    def always(task: Assignment) -> Outcome:
        return outcome(task, 0.95 if task.values["noise_eta"] else 0.2)

    stop = {"when": "evidence", "alpha": 0.01}
    primary = {"arm": "noisy", "against": "plain"}
    sweep = finished(sessions, always, seeds=40, cohort=5, stop=stop, primary=primary)
    report, found = material(sessions, sweep)
    told = next(c for c in report.findings["criteria"] if c["primary"])["contrasts"][0]
    assert report.findings["plan"]["stopped"]["when"] == "evidence"
    figure = catalogue.figure("difference", found)
    looks = [r for r in values(figure) if "pairs" in r]
    assert looks[-1]["pairs"] == told["pairs"] < 80
    assert [looks[-1]["low"], looks[-1]["high"]] == pytest.approx(told["anytime"]["interval"])
    assert isinstance(figure, Figure)
    assert "99 % confidence sequence" in figure.caption


def test_where_a_rule_could_have_stopped_it_bars_hold_at_any_look_or_are_marked(
    sqlite: Engine,
) -> None:
    sessions = session_factory(sqlite)
    primary = {"arm": "noisy", "against": "plain"}
    changes = {"stop": {"when": "evidence"}, "primary": primary, "seeds": 4, "cohort": 2}
    report, found = material(sessions, finished(sessions, noisy_wins, **changes))
    assert report.findings["plan"]["complete"]
    anytime = [e["anytime"] for c in report.findings["criteria"] for e in c["arms"]]
    rates = catalogue.figure("rates", found)
    assert sorted([r["low"], r["high"]] for r in values(rates)) == sorted(anytime)
    assert isinstance(rates, Figure)
    assert "confidence sequence" in rates.caption
    for name in ("cells", "ecdf"):
        figure = catalogue.figure(name, found)
        assert isinstance(figure, Figure)
        assert "not valid after stopping" in figure.caption


def test_only_thresholds_judged_at_the_end_stand_on_a_distribution_of_final_values(
    sqlite: Engine, drawn: catalogue.Material
) -> None:
    """Of a sweep judged at any evaluation none does; of one judged at the end, not an added one."""
    figure = catalogue.figure("ecdf", drawn)
    assert [r for r in values(figure) if "at" in r] == []
    assert isinstance(figure, Figure)
    assert "dashed" not in figure.caption
    sessions = session_factory(sqlite)
    _, found = material(sessions, finished(sessions))
    for c in found.findings["criteria"]:
        c["at"] = "end" if c["primary"] else "any"
    figure = catalogue.figure("ecdf", found)
    assert [r for r in values(figure) if "at" in r] == [{"at": 0.9}]
    assert isinstance(figure, Figure)
    assert "dashed" in figure.caption


def test_looks_at_many_cohorts_are_thinned_and_keep_the_first_and_the_last(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    sweep = finished(sessions, outcome, seeds=300, cohort=1)
    _, found = material(sessions, sweep)
    counts = tables(found.plan, found.sample)
    assert len(counts) == 300
    assert (counts.sum(axis=(1, 2)) == [2 * i for i in range(1, 301)]).all()
    looks = [r["pairs"] for r in values(catalogue.figure("difference", found)) if "pairs" in r]
    assert len(looks) <= MOST_LOOKS
    assert (looks[0], looks[-1]) == (2, 600)
    assert looks == sorted(set(looks))


def test_the_distribution_at_a_threshold_is_the_success_rate(sqlite: Engine) -> None:
    """With a diverged trial among those that never get there, whatever the threshold."""
    sessions = session_factory(sqlite)

    def some(task: Assignment) -> Outcome:
        if task.seed == 5:
            return outcome(task, end_state="diverged", metrics={})
        return outcome(task, [0.2, 0.5, 0.6, 0.9, 0.95][task.seed])

    report, found = material(sessions, finished(sessions, some))
    figure = catalogue.figure("ecdf", found)
    rows = [r for r in values(figure) if "arm" in r]
    for c in report.findings["criteria"]:
        for e in c["arms"]:
            at = [r["y"] for r in rows if r["arm"] == e["arm"] and r["x"] >= c["threshold"]]
            assert at[0] == e["rate"]
    assert isinstance(figure, Figure)
    assert "4 without a value count as worse" in figure.caption
    assert max(r["y"] for r in rows) == pytest.approx(5 / 6)


def test_those_that_wait_at_the_budget_are_those_without_success(drawn: catalogue.Material) -> None:
    rows = [r for r in values(catalogue.figure("survival", drawn)) if r["x"] == 200]
    primary = next(c for c in drawn.findings["criteria"] if c["primary"])
    told = {e["arm"]: 1 - e["rate"] for e in primary["arms"]}
    assert {r["arm"]: r["y"] for r in rows} == pytest.approx(told)
    early = [r for r in values(catalogue.figure("survival", drawn)) if r["x"] == 100]
    assert all(r["y"] > told[r["arm"]] for r in early)


def test_who_diverged_is_worse_than_every_value_in_the_bands(drawn: catalogue.Material) -> None:
    """4 of noisy's 36 diverged after step 100: the lowest tenth lies at the lowest value."""
    rows = {(r["arm"], r["step"]): r for r in values(catalogue.figure("courses", drawn))}
    assert sorted({step for _, step in rows}) == [50, 100, 200]
    last = rows["noisy", 200]
    assert last["p10"] == 0.2
    assert last["p50"] == 0.92
    assert rows["plain", 200]["p10"] == pytest.approx(0.42)


def test_before_the_plan_is_met_no_figure_shows_an_interval_of_a_fixed_number(
    sqlite: Engine,
) -> None:
    sessions = session_factory(sqlite)
    sweep = create(sessions, **ANY)
    complete(sessions, [made(t) for t in claim(sessions, sweep, 24)], attempts=1)
    report, found = material(sessions, sweep)
    assert report.findings["plan"]["settled_seeds"] == 2
    for figure in catalogue.every(found):
        assert "Wilson" not in figure.caption
        assert "DKW" not in figure.caption
    assert all(r["low"] == r["high"] for r in values(catalogue.figure("cells", found)))
    for name in ("ecdf", "survival"):
        rows = [r for r in values(catalogue.figure(name, found)) if "low" in r]
        assert all(r["low"] == r["high"] for r in rows)
    anytime = [e["anytime"] for c in report.findings["criteria"] for e in c["arms"]]
    shown = [[r["low"], r["high"]] for r in values(catalogue.figure("rates", found))]
    assert sorted(shown) == sorted(anytime)


def test_what_a_sweep_does_not_have_is_not_drawn_and_says_why(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    _, empty = material(sessions, create(sessions))
    for name in catalogue.NAMES:
        assert isinstance(catalogue.figure(name, empty), NotDrawn), name
    three = {"plain": {"noise_eta": 0.0}, "a": {"noise_eta": 0.01}, "b": {"noise_eta": 0.1}}
    _, plain = material(sessions, finished(sessions, outcome, arms=three, grid={}))
    why = {
        name: found.reason
        for name in catalogue.NAMES
        if isinstance(found := catalogue.figure(name, plain), NotDrawn)
    }
    assert why == {
        "difference": "the spec declares no primary contrast",
        "survival": "success is judged at the end of the budget: set success.at to any",
        "grid": "a map needs two grid keys of several values; this grid has 0",
        "cells": "the grid has one setting, so that a cell is an arm",
    }


def test_who_leaves_has_no_distribution_and_keeps_its_last_value(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)

    def quick(task: Assignment) -> Outcome:
        left = task.seed % 2 == 0
        return outcome(task, 0.95, end_state="left", steps=100) if left else outcome(task, 0.2)

    change = {"leave": "at_success", "primary": {"arm": "noisy", "against": "plain"}}
    change["primary"]["threshold"] = 0.9
    _, found = material(sessions, finished(sessions, quick, **(ANY | change)))
    why = catalogue.figure("ecdf", found)
    assert isinstance(why, NotDrawn)
    assert "leave at success" in why.reason
    figure = catalogue.figure("courses", found)
    assert isinstance(figure, Figure)
    assert "keeps its last value" in figure.caption


def test_very_many_arms_leave_a_picture_that_is_bounded_and_says_what_it_leaves_out(
    sqlite: Engine,
) -> None:
    sessions = session_factory(sqlite)
    arms = {f"eta-{i}": {"noise_eta": i / 1000} for i in range(64)}
    primary = {"arm": "eta-1", "against": "eta-0"}
    sweep = finished(sessions, outcome, arms=arms, primary=primary, grid={})
    _, found = material(sessions, sweep)
    figure = catalogue.figure("rates", found)
    assert isinstance(figure, Figure)
    assert len(values(figure)) == MOST_ROWS
    assert "4 more arms are left out. 1 more thresholds are left out." in figure.caption
    for drawn in catalogue.every(found):
        assert len(draw.svg(drawn, titled=True)) < 300_000

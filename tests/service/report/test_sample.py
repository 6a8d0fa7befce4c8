"""One pass over the store gives every settled trial, to the byte and the bit."""

from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from service.plan import Criterion
from service.report.canonical import canonical
from service.report.lines import lines
from service.report.recount import MiscountError
from service.report.sample import Sample, read, won
from service.store.completion import succeeded
from service.store.engine import session_factory
from service.store.evidence import settled_rows
from service.store.plans import plan_of
from service.store.tables import END_STATES
from tests.service.report.test_findings import claim, complete, create, report, undisturbed
from tests.service.samples import outcome
from workers.messages import Assignment, Failure, MetricRecord, Outcome

NUMBERS = st.one_of(
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 5e-324, 1e16, 1e-5, 0.1 + 0.2, 1.7976931348623157e308]),
)
METRICS = st.dictionaries(
    st.text(max_size=9), st.tuples(NUMBERS, NUMBERS, st.none() | st.integers(0, 2**31)), max_size=4
)
ENDED = st.fixed_dictionaries(
    {
        "end_state": st.sampled_from(END_STATES),
        "steps": st.none() | st.integers(0, 2**31),
        "fingerprint": st.none() | st.text(max_size=70),
        "metrics": METRICS,
    }
)


def columns_of(trials: list[dict[str, Any]]) -> tuple[list[Any], list[int]]:
    """As the store's rows are parted: a row a metric, or one without; and where trials start."""
    rows: list[tuple[Any, ...]] = []
    starts = []
    for t in trials:
        starts.append(len(rows))
        trial = (t["cell"], t["seed"], t["end_state"], t["steps"], t["fingerprint"])
        measured = sorted(t["metrics"].items())
        rows += [(*trial, name, *values) for name, values in measured]
        if not measured:
            rows.append((*trial, None, None, None, None))
    return list(zip(*rows, strict=True)), starts


@given(st.lists(ENDED, min_size=1, max_size=6))
def test_lines_are_the_canonical_json_of_outcomes_to_the_byte(ended: list[dict[str, Any]]) -> None:
    """Odd floats, texts of any alphabet with line breaks in them, nothing measured."""
    trials = [{"cell": i // 3, "seed": i, **t} for i, t in enumerate(ended)]
    written = lines(*columns_of(trials))
    assert written.encode() == b"".join(canonical(t) + b"\n" for t in trials)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_json_cannot_say_is_refused(value: float) -> None:
    trial = {"cell": 0, "seed": 0, "end_state": "finished", "steps": 1, "fingerprint": "f"}
    trials = [trial | {"metrics": {"m": (value, None, None)}}]
    with pytest.raises(ValueError, match="not JSON compliant"):
        lines(*columns_of(trials))


def made(task: Assignment) -> Outcome | Failure:
    """Two metrics, one of them not always measured; some trials errored, left, diverged."""
    if task.seed == 4:
        return Failure(task.trial, task.attempt, "lost", "")
    value = 0.1 * task.seed + task.values["noise_eta"]
    metrics = {"test_accuracy": MetricRecord(value, value + 0.01, 100 + task.seed)}
    if task.seed % 2:
        metrics["a b"] = MetricRecord(None, 3.5, 7)
    state = ("finished", "left", "diverged")[task.seed % 3]
    return outcome(task, metrics=metrics, end_state=state, steps=200 + task.seed)


def settled(sessions: sessionmaker[Session], size: int = 5000) -> list[dict[str, Any]]:
    """The settled outcomes of the one sweep, put together row by row."""
    with sessions() as session:
        sweep = session.scalar(text("SELECT id FROM sweeps"))
        found: dict[tuple[int, int], dict[str, Any]] = {}
        for chunk in settled_rows(session, sweep, size):
            for cell, seed, state, steps, fingerprint, metric, *values in chunk:
                trial = found.setdefault(
                    (cell, seed),
                    {
                        "cell": cell,
                        "seed": seed,
                        "end_state": state,
                        "steps": steps,
                        "fingerprint": fingerprint,
                        "metrics": {},
                    },
                )
                if metric is not None:
                    trial["metrics"][metric] = values
    return list(found.values())


def sample_of(sessions: sessionmaker[Session], sweep: str) -> Sample:
    with sessions() as session:
        return read(session, sweep, plan_of(session, sweep))


def test_columns_and_hash_are_those_of_the_outcomes(sessions: sessionmaker[Session]) -> None:
    sweep = create(sessions)
    undisturbed(sessions, sweep, made)
    sample, trials = sample_of(sessions, sweep), settled(sessions)
    content = b"".join(canonical(trial) + b"\n" for trial in trials)
    assert sample.outcomes_hash == sha256(content).hexdigest()
    assert [(t["cell"], t["seed"]) for t in trials] == sorted(
        (cell, seed) for cell in range(4) for seed in range(6)
    )
    for i, t in enumerate(trials):
        assert sample.cell[i] == t["cell"]
        assert sample.seed[i] == t["seed"]
        assert END_STATES[sample.state[i]] == t["end_state"]
        assert sample.steps[i] == (-1 if t["steps"] is None else t["steps"])
        for name in ("test_accuracy", "a b"):
            final, best, step = t["metrics"].get(name, (None, None, None))
            got = sample.final[name][i], sample.best[name][i], sample.best_step[name][i]
            none = np.nan
            want = (none if final is None else final, none if best is None else best)
            np.testing.assert_array_equal(got[:2], want)
            assert got[2] == (-1 if step is None else step)
    with sessions() as session:
        for cell in plan_of(session, sweep).cells:
            here = sample.cell == cell.index
            assert (sample.arm[here] == cell.arm).all()
            assert (sample.setting[here] == cell.setting).all()


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_no_trial_is_cut_where_a_chunk_ends(sqlite: Engine, size: int) -> None:
    sessions = session_factory(sqlite)
    sweep = create(sessions)
    undisturbed(sessions, sweep, made)
    assert settled(sessions, size) == settled(sessions)
    with sessions() as session:
        ends = [(c[0][:2], c[-1][:2]) for c in settled_rows(session, sweep, size)]
    trials = [trial for end in ends for trial in dict.fromkeys(end)]
    assert len(trials) == len(set(trials))


RULES = [
    Criterion(0, metric, comparison, threshold, at, primary=True)
    for metric in ("test_accuracy", "a b", "never measured")
    for comparison in ("at_most", "at_least")
    for threshold in (0.2, 0.21, 3.5)
    for at in ("end", "any")
]


def test_a_success_is_what_completion_calls_one(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    sweep = create(sessions)
    undisturbed(sessions, sweep, made)
    sample, trials = sample_of(sessions, sweep), settled(sessions)
    seen = set()
    for rule in RULES:
        for t, verdict in zip(trials, won(sample, rule).tolist(), strict=True):
            seen.add(verdict)
            if t["steps"] is None:
                assert verdict == 2
                continue
            metrics = {name: MetricRecord(*values) for name, values in t["metrics"].items()}
            whole = Outcome(0, 1, t["end_state"], t["steps"], metrics, b"", "")
            assert verdict == int(succeeded(whole, rule)), rule
    assert seen == {0, 1, 2}


def test_a_sample_of_nothing_has_no_rows(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    sample = sample_of(sessions, create(sessions))
    assert sample.trials == len(sample.arm) == len(sample.seed) == len(sample.steps) == 0
    assert sample.outcomes_hash == sha256().hexdigest()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("UPDATE cell_successes SET settled = settled - 1 WHERE settled = 2", "in cell "),
        ("UPDATE cells SET settled_finished = settled_finished - 1", "finished in cell 0"),
        ("UPDATE arm_successes SET settled = 0", "test_accuracy at_least 0.9 in arm 'plain'"),
        ("UPDATE arms SET settled_left = 3", "left in arm 'plain'"),
    ],
)
def test_a_counter_that_its_outcomes_contradict_is_an_error(
    sqlite: Engine, fault: str, words: str
) -> None:
    sessions = session_factory(sqlite)
    sweep = create(sessions)
    undisturbed(sessions, sweep)
    with sessions.begin() as session:
        session.execute(text(fault))
    with pytest.raises(MiscountError, match=words):
        report(sessions, sweep)


def test_only_settled_cohorts_are_read(sqlite: Engine) -> None:
    sessions = session_factory(sqlite)
    sweep = create(sessions)
    complete(sessions, [outcome(t) for t in claim(sessions, sweep, 13)])
    assert set(sample_of(sessions, sweep).seed.tolist()) == {0, 1}

"""Every settled trial as columns, out of one pass over the store: all that findings rest on."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from service.plan import Criterion, Plan
from service.report.lines import lines
from service.store.evidence import OutcomeRow, settled_rows
from service.store.tables import END_STATES, HAS_OUTCOME

Verdict = NDArray[np.int8]
#: what `won` says of a trial
FAILURE, SUCCESS, NO_OUTCOME = 0, 1, 2

_CODES = {state: code for code, state in enumerate(END_STATES)}
_OUTCOMES = [_CODES[state] for state in HAS_OUTCOME]


@dataclass(frozen=True)
class Sample:
    """Every trial of the settled cohorts as columns, in order of (cell, seed); N rows.

    It takes 21 bytes a trial, and 20 more for each metric.

    Attributes:
        cell, arm, setting, seed: (N,) which trial it is.
        state: (N,) its end state, as an index into END_STATES.
        steps: (N,) steps run; -1 without an outcome.
        final, best: metric -> (N,); NaN where it was never measured.
        best_step: metric -> (N,); -1 where it was never measured.
        outcomes_hash: SHA-256 (hex) over the trials' canonical JSON lines, fingerprints included.
    """

    cell: NDArray[np.int32]
    arm: NDArray[np.int32]
    setting: NDArray[np.int32]
    seed: NDArray[np.int32]
    state: NDArray[np.int8]
    steps: NDArray[np.int32]
    final: Mapping[str, NDArray[np.float64]]
    best: Mapping[str, NDArray[np.float64]]
    best_step: Mapping[str, NDArray[np.int32]]
    outcomes_hash: str

    @property
    def trials(self) -> int:
        """N."""
        return len(self.cell)

    def has_outcome(self) -> NDArray[np.bool_]:
        """(N,) whether the trial finished, left or diverged."""
        return np.isin(self.state, _OUTCOMES)


def read(session: Session, sweep: str, plan: Plan) -> Sample:
    """The settled trials of a sweep, in one pass and in bounded memory besides the columns.

    Raises:
        ValueError: a stored metric is not finite.
    """
    hashed = hashlib.sha256()
    chunks: list[_Chunk] = []
    for rows in settled_rows(session, sweep):
        columns, starts = _parted(rows)
        hashed.update(lines(columns, starts.tolist()).encode())
        chunks.append(_chunk(columns, starts))
    cell = np.concatenate([np.empty(0, np.int32), *(c.cell for c in chunks)])
    names = sorted({name for chunk in chunks for name in chunk.metrics})
    of = np.array([(c.arm, c.setting) for c in sorted(plan.cells, key=lambda c: c.index)], np.int32)
    return Sample(
        cell=cell,
        arm=of[cell, 0],
        setting=of[cell, 1],
        seed=np.concatenate([np.empty(0, np.int32), *(c.seed for c in chunks)]),
        state=np.concatenate([np.empty(0, np.int8), *(c.state for c in chunks)]),
        steps=np.concatenate([np.empty(0, np.int32), *(c.steps for c in chunks)]),
        final={name: _metric(chunks, name, 0) for name in names},
        best={name: _metric(chunks, name, 1) for name in names},
        best_step={name: _whole(_metric(chunks, name, 2)) for name in names},
        outcomes_hash=hashed.hexdigest(),
    )


@dataclass(frozen=True)
class _Chunk:
    """So many trials' columns; `metrics`: name -> (3, trials) final, best, best step, or NaN."""

    cell: NDArray[np.int32]
    seed: NDArray[np.int32]
    state: NDArray[np.int8]
    steps: NDArray[np.int32]
    metrics: Mapping[str, NDArray[np.float64]]


def _parted(rows: Sequence[OutcomeRow]) -> tuple[list[Sequence[Any]], NDArray[np.int64]]:
    """Rows as columns, a trial's in order of the metric, and where each trial starts."""
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    if len(set(columns[5])) > 1:  # in Python, since databases order text each in its own way
        rows = sorted(rows, key=lambda row: (row[0], row[1], row[5] or ""))
        columns = list(zip(*rows, strict=True))
    trial = np.array(columns[:2], np.int32)
    return columns, np.flatnonzero(np.diff(trial, prepend=-1).any(axis=0))


def _chunk(columns: Sequence[Sequence[Any]], starts: NDArray[np.int64]) -> _Chunk:
    cell, seed, state, steps, _, metric, *values = columns
    trial = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(cell)))
    measured = np.array(values, np.float64)  # None becomes NaN
    metrics = {}
    for name in set(metric) - {None}:
        here = np.array([m == name for m in metric])
        metrics[name] = np.full((3, len(starts)), np.nan)
        metrics[name][:, trial[here]] = measured[:, here]
    return _Chunk(
        cell=np.array(cell, np.int32)[starts],
        seed=np.array(seed, np.int32)[starts],
        state=np.array([_CODES[s] for s in state], np.int8)[starts],
        steps=_whole(np.array(steps, np.float64)[starts]),
        metrics=metrics,
    )


def _metric(chunks: Sequence[_Chunk], name: str, row: int) -> NDArray[np.float64]:
    parts = [
        c.metrics[name][row] if name in c.metrics else np.full(len(c.cell), np.nan) for c in chunks
    ]
    return np.concatenate(parts)


def _whole(values: NDArray[np.float64]) -> NDArray[np.int32]:
    """Whole numbers below 2^53, which a float holds; -1 for NaN."""
    return np.nan_to_num(values, nan=-1).astype(np.int32)


def won(sample: Sample, rule: Criterion) -> Verdict:
    """(N,) what a criterion says of each trial: 1 success, 0 none, 2 no outcome.

    What was never measured is no success, as `service.store.completion.succeeded` has it.
    """
    values = (sample.final if rule.at == "end" else sample.best).get(rule.metric)
    if values is None:
        met = np.zeros(sample.trials, bool)
    else:
        met = values <= rule.threshold if rule.comparison == "at_most" else values >= rule.threshold
    return np.where(sample.has_outcome(), met, NO_OUTCOME).astype(np.int8)

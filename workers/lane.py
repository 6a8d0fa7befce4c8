"""A lane between segments: all that a trial is while it trains, as rows without the lane axis."""

import hashlib
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from models.experiment import Metric
from models.streams import TrialKey
from workers.messages import Assignment, EndState, MetricRecord, Outcome

#: named rows: one lane's part of each tensor, without the lane axis
Rows = dict[str, Tensor]


@dataclass
class Record:
    """Evaluations so far: the steps, and per metric a value (or None) for each."""

    steps: list[int] = field(default_factory=list)
    values: dict[str, list[float | None]] = field(default_factory=dict)

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Notes one evaluation; a value that is not finite is kept as None."""
        for name in metrics.keys() - self.values.keys():
            self.values[name] = [None] * len(self.steps)
        self.steps.append(step)
        for name, column in self.values.items():
            value = metrics.get(name, math.nan)
            column.append(value if math.isfinite(value) else None)

    def summary(self, metric: Metric, end: EndState, step: int) -> MetricRecord:
        """Final and best value; the first of equal bests counts, a diverged lane has no final."""
        column = self.values.get(metric.name, [])
        at_end = end != "diverged" and bool(self.steps) and self.steps[-1] == step and bool(column)
        known = [(v, s) for v, s in zip(column, self.steps, strict=False) if v is not None]
        sign = 1.0 if metric.better == "lower" else -1.0
        best, best_step = min(known, key=lambda p: (sign * p[0], p[1]), default=(None, None))
        return MetricRecord(column[-1] if at_end else None, best, best_step)

    def blob(self) -> bytes:
        """The evaluation curve, compressed."""
        text = json.dumps({"steps": self.steps, "metrics": self.values}, sort_keys=True)
        return zlib.compress(text.encode(), 6)


@dataclass
class Lane:
    """One trial in training; together its fields are its checkpoint."""

    assignment: Assignment
    step: int
    params: Rows
    optimiser: Rows
    state: Rows
    record: Record = field(default_factory=Record)

    @property
    def key(self) -> TrialKey:
        """What names the trial's streams."""
        a = self.assignment
        return TrialKey(a.root, a.setting, a.seed)

    def outcome(self, end: EndState, metrics: Sequence[Metric]) -> Outcome:
        """What is recorded once the trial has ended."""
        return Outcome(
            trial=self.assignment.trial,
            attempt=self.assignment.attempt,
            end_state=end,
            steps=self.step,
            metrics={m.name: self.record.summary(m, end, self.step) for m in metrics},
            curve=self.record.blob(),
            fingerprint=fingerprint(self.params),
        )


def fingerprint(params: Rows) -> str:
    """SHA-256 over names, shapes, types and bytes of one lane's weights, in order of name.

    Every NaN counts as the same one: of two that meet, which one's bits are kept is not arithmetic
    but the order of an instruction's operands, which vectors and their remainders need not share.
    """
    digest = hashlib.sha256()
    for name in sorted(params):
        row = params[name].detach().cpu().contiguous()
        if row.is_floating_point():
            row = torch.where(row.isnan(), torch.nan, row)
        digest.update(f"{name} {tuple(row.shape)} {row.dtype}\n".encode())
        digest.update(
            row.view(torch.uint8).numpy().tobytes() if row.ndim else row.numpy().tobytes()
        )
    return digest.hexdigest()


def stack(rows: Sequence[Rows]) -> dict[str, Tensor]:
    """R lanes' rows as tensors with the lane axis first."""
    return {name: torch.stack([r[name] for r in rows]) for name in rows[0]}


def unstack(leaves: Mapping[str, Tensor], lanes: int) -> list[Rows]:
    """The first `lanes` rows of each tensor, a dictionary a lane."""
    return [{name: leaf[i] for name, leaf in leaves.items()} for i in range(lanes)]

"""Outcomes of settled trials as Parquet: one row a trial, in order of (cell, seed).

Equal outcomes give equal bytes within a version of pyarrow, which writes its name into the file;
what is the same under every version is their canonical form, which the outcomes' hash is taken of.
"""

import itertools
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.evidence.curve import decode, first_met
from service.plan import Criterion, Plan
from service.store.evidence import settled_rows, success_curves
from service.store.tables import HAS_OUTCOME, results, sweeps, trials

#: trials that are in memory at once
ROW_GROUP = 20_000
_KEY = b"seedbed"
_MEASURED = (("final", pa.float64()), ("best", pa.float64()), ("best_step", pa.int32()))


def write_outcomes(session: Session, sweep: str, plan: Plan, target: BinaryIO) -> int:
    """Writes the settled trials and returns how many there are; memory does not grow with them.

    Columns: cell, arm, setting, a column `setting.KEY` for each grid key, seed, cohort, end_state,
    steps, fingerprint; of each metric `METRIC.recorded`, `.final`, `.best`, `.best_step`; of each
    criterion `success.N`, null without an outcome, and where it is judged at any evaluation
    `first_success.N`, the step of the first one that met it. The file's metadata has, under
    `seedbed`, the arms, settings, metrics and criteria as JSON.

    Args:
        session: of the store.
        sweep: its id.
        plan: its plan.
        target: what is written to.
    """
    columns = _Columns(plan, _metrics(session, sweep, plan))
    lines = _lines(session, sweep, plan)
    count = 0
    with pq.ParquetWriter(target, columns.schema, compression="zstd") as writer:
        while group := list(itertools.islice(lines, ROW_GROUP)):
            writer.write_table(columns.table(group), row_group_size=ROW_GROUP)
            count += len(group)
    return count


def _lines(session: Session, sweep: str, plan: Plan) -> Iterator[dict[str, Any]]:
    """A mapping a trial; its metrics are lists of final, best and best step."""
    firsts = _firsts(session, sweep, plan)
    next(firsts)
    for rows in settled_rows(session, sweep, ROW_GROUP):
        for _, of in itertools.groupby(rows, key=lambda row: row[:2]):
            every = list(of)
            names = ("cell", "seed", "end_state", "steps", "fingerprint")
            yield dict(zip(names, every[0], strict=False)) | {
                "metrics": {row[5]: row[6:] for row in every if row[5] is not None},
                "first": firsts.send(every[0][:2]),
            }


def _firsts(
    session: Session, sweep: str, plan: Plan
) -> Generator[dict[int, int | None], tuple[int, int], None]:
    """Sent a (cell, seed), in order: of each criterion judged at any evaluation, the first step.

    Curves of trials without success stay unread.
    """
    rules = _any(plan)
    curves = success_curves(session, sweep, [rule.index for rule in rules]) if rules else iter(())
    came = next(curves, None)
    trial = yield {}
    while True:
        found: dict[int, int | None] = {}
        if came is not None and came[:2] == trial:
            curve = decode(came[2])
            for rule in rules:
                found[rule.index] = first_met(curve, rule.metric, rule.comparison, rule.threshold)
            came = next(curves, None)
        trial = yield found


def _any(plan: Plan) -> list[Criterion]:
    return [rule for rule in plan.criteria if rule.at == "any"]


def _metrics(session: Session, sweep: str, plan: Plan) -> list[str]:
    """Those that settled trials have, and those that are judged."""
    settled = select(sweeps.c.settled_cohorts).where(sweeps.c.id == sweep).scalar_subquery()
    query = (
        select(results.c.metric)
        .distinct()
        .join(trials, trials.c.id == results.c.trial)
        .where(trials.c.sweep == sweep, trials.c.cohort < settled)
    )
    return sorted({*session.scalars(query), *(rule.metric for rule in plan.criteria)})


class _Columns:
    """The columns of a sweep."""

    def __init__(self, plan: Plan, metrics: Sequence[str]) -> None:
        self._plan = plan
        self._metrics = metrics
        self._cells = {cell.index: cell for cell in plan.cells}
        self._keys = list(plan.spec["grid"])
        self._kinds = {key: _kind([s.values[key] for s in plan.settings]) for key in self._keys}
        self.schema = self._schema()

    def _schema(self) -> pa.Schema:
        fields = [
            pa.field("cell", pa.int32(), nullable=False),
            pa.field("arm", pa.string(), nullable=False),
            pa.field("setting", pa.int32(), nullable=False),
            *(pa.field(f"setting.{key}", self._kinds[key]) for key in self._keys),
            pa.field("seed", pa.int32(), nullable=False),
            pa.field("cohort", pa.int32(), nullable=False),
            pa.field("end_state", pa.string(), nullable=False),
            pa.field("steps", pa.int32()),
            pa.field("fingerprint", pa.string()),
        ]
        for metric in self._metrics:
            fields.append(pa.field(f"{metric}.recorded", pa.bool_(), nullable=False))
            fields += [pa.field(f"{metric}.{part}", kind) for part, kind in _MEASURED]
        fields += [pa.field(f"success.{rule.index}", pa.bool_()) for rule in self._plan.criteria]
        fields += [pa.field(f"first_success.{r.index}", pa.int32()) for r in _any(self._plan)]
        about = {
            "arms": [arm.name for arm in self._plan.arms],
            "settings": [dict(setting.values) for setting in self._plan.settings],
            "metrics": list(self._metrics),
            "criteria": [_told(rule) for rule in self._plan.criteria],
        }
        return pa.schema(fields, metadata={_KEY: json.dumps(about, sort_keys=True)})

    def table(self, lines: Sequence[Mapping[str, Any]]) -> pa.Table:
        """Rows of a group."""
        cells = [self._cells[line["cell"]] for line in lines]
        settings = [self._plan.settings[cell.setting].values for cell in cells]
        found: list[Any] = [
            [cell.index for cell in cells],
            [self._plan.arms[cell.arm].name for cell in cells],
            [cell.setting for cell in cells],
            *([_plain(v[key], self._kinds[key]) for v in settings] for key in self._keys),
            [line["seed"] for line in lines],
            [line["seed"] // self._plan.cohort for line in lines],
            [line["end_state"] for line in lines],
            [line["steps"] for line in lines],
            [line["fingerprint"] for line in lines],
        ]
        for metric in self._metrics:
            records = [line["metrics"].get(metric) for line in lines]
            found.append([record is not None for record in records])
            found += [[record and record[part] for record in records] for part in range(3)]
        found += [[_won(line, rule) for line in lines] for rule in self._plan.criteria]
        found += [[line["first"].get(rule.index) for line in lines] for rule in _any(self._plan)]
        arrays = [pa.array(v, f.type) for v, f in zip(found, self.schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=self.schema)


def _told(rule: Criterion) -> dict[str, Any]:
    return {
        "index": rule.index,
        "metric": rule.metric,
        "comparison": rule.comparison,
        "threshold": rule.threshold,
        "at": rule.at,
        "primary": rule.primary,
    }


def _won(line: Mapping[str, Any], rule: Criterion) -> bool | None:
    """Whether an outcome meets a criterion, as `service.store.completion.succeeded` has it."""
    if line["end_state"] not in HAS_OUTCOME:
        return None
    final, best, _ = line["metrics"].get(rule.metric, (None, None, None))
    value = final if rule.at == "end" else best
    if value is None:
        return False
    return bool(
        value <= rule.threshold if rule.comparison == "at_most" else value >= rule.threshold
    )


def _kind(values: Sequence[Any]) -> pa.DataType:
    """A column's type: numbers as numbers, words as words, and what is mixed as JSON."""
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    if kinds <= {int, float}:
        return pa.float64()
    return pa.string()


def _plain(value: Any, kind: pa.DataType) -> Any:
    if pa.types.is_string(kind):
        return value if isinstance(value, str) else json.dumps(value)
    return float(value) if pa.types.is_floating(kind) else value

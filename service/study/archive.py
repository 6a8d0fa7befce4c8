"""A study's outcomes as a Parquet file, with the spec, root and numerics class that made them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from service.store.archive import ArchiveError, Record
from workers.messages import MetricRecord

_KEY = b"seedbed"
_PLAIN = {
    "cell": pa.int32(),
    "seed": pa.int32(),
    "state": pa.string(),
    "steps": pa.int64(),
    "fingerprint": pa.string(),
    "curve": pa.binary(),
    "error": pa.string(),
}
_MEASURED = {"final": pa.float64(), "best": pa.float64(), "best_step": pa.int64()}


@dataclass(frozen=True)
class Archive:
    """Whole cohorts of one sweep.

    Attributes:
        spec: normalised, with its root.
        numerics: the class of every outcome, the code version in it.
        seconds: how long the sweep has trained so far.
        records: its trials.
    """

    spec: Mapping[str, Any]
    numerics: Mapping[str, str]
    seconds: float
    records: Sequence[Record]


def write(path: Path, archive: Archive) -> None:
    """Writes the file whole or not at all; equal archives give equal files."""
    metrics = sorted({name for record in archive.records for name in record.metrics})
    columns: dict[str, Any] = {
        name: pa.array([getattr(r, name) for r in archive.records], kind)
        for name, kind in _PLAIN.items()
    }
    for metric in metrics:
        for part, kind in _MEASURED.items():
            values = [
                getattr(r.metrics[metric], part) if metric in r.metrics else None
                for r in archive.records
            ]
            columns[f"{metric}:{part}"] = pa.array(values, kind)
    about = {
        "spec": archive.spec,
        "root": archive.spec["root"],
        "numerics": dict(archive.numerics),
        "code": archive.numerics.get("code"),
        "seconds": archive.seconds,
        "metrics": metrics,
    }
    table = pa.table(columns)
    text = json.dumps(about, sort_keys=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    pq.write_table(table.replace_schema_metadata({_KEY: text}), unfinished, compression="zstd")
    unfinished.replace(path)


def read(path: Path) -> Archive:
    """The archive of a file.

    Raises:
        ArchiveError: it is not one, or it is damaged.
    """
    try:
        table = pq.read_table(path)
        about = json.loads((table.schema.metadata or {})[_KEY])
        rows = table.to_pylist()
        records = [_record(row, about["metrics"]) for row in rows]
        return Archive(about["spec"], about["numerics"], about["seconds"], records)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise ArchiveError(
            f"{path.name} holds no outcomes of a study ({type(error).__name__}: {error}); move it "
            "away to begin anew"
        ) from error


def _record(row: Mapping[str, Any], metrics: Sequence[str]) -> Record:
    """A metric that was never recorded has no part."""
    found = {}
    for metric in metrics if row["state"] != "errored" else ():
        parts = [row[f"{metric}:{part}"] for part in _MEASURED]
        found[metric] = MetricRecord(*parts)
    return Record(**{name: row[name] for name in _PLAIN}, metrics=found)

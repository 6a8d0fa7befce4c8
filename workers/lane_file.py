"""A lane between segments as one safetensors file: what it was goes on to the same bits.

The file says which trial, pack and numerics class it is of, and carries a checksum over all of it;
whatever does not agree is an error that says why, never a lane. Nothing in it is executed.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from workers.lane import Lane, Record, Rows
from workers.messages import Assignment, PackSpec

FORMAT = "seedbed-lane/1"
_PARTS = ("params", "optimiser", "state")
_LENGTH_BYTES = 8
#: of the header: room for names, numbers and places beside tensors and evaluations
_SLACK = 2**16
_ENTRY = 256
_NUMBER = 32


class LaneFileError(Exception):
    """A checkpoint cannot be gone on from; the text says why."""


@dataclass(frozen=True)
class Origin:
    """What a lane and its checkpoint must agree in.

    Attributes:
        trial: the trial's key and per-lane values, as JSON: every bit of both.
        pack: SHA-256 over what all lanes of its pack agree in.
        numerics: the id of the numerics class.
    """

    trial: str
    pack: str
    numerics: str


def origin(assignment: Assignment, pack: PackSpec, numerics: str) -> Origin:
    """The origin of a trial that is assigned here, with values for all hyper-parameters."""
    a = assignment
    trial = _json(
        {
            "root": f"{a.root:032x}",
            "setting": f"{a.setting:032x}",
            "seed": a.seed,
            "values": {k: float(v) for k, v in a.values.items()},
        }
    )
    return Origin(trial, hashlib.sha256(_json(asdict(pack)).encode()).hexdigest(), numerics)


def copied(lane: Lane) -> Lane:
    """The same, in memory of its own on the host: the pack may go on."""
    record = Record(list(lane.record.steps), {k: list(v) for k, v in lane.record.values.items()})
    return replace(
        lane,
        params=_copied(lane.params),
        optimiser=_copied(lane.optimiser),
        state=_copied(lane.state),
        record=record,
    )


def _copied(rows: Rows) -> Rows:
    return {
        name: row.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, row in rows.items()
    }


def written(lane: Lane, of: Origin, places: tuple[str, ...]) -> bytes:
    """The file of a lane that `copied` gave; `places` are those that trained it so far."""
    tensors = _named(lane)
    metadata = {
        "format": FORMAT,
        "step": str(lane.step),
        "record": json.dumps({"steps": lane.record.steps, "values": lane.record.values}),
        "places": json.dumps(places),
        **asdict(of),
    }
    return save(tensors, metadata | {"sha256": _digest(tensors, metadata)})


def most_bytes(template: Lane, pack: PackSpec, metrics: int) -> int:
    """The largest that a file of such a lane can be."""
    tensors = _named(template)
    evaluations = pack.steps // (pack.segment * pack.evaluate_every) + 1
    return (
        sum(t.nbytes for t in tensors.values())
        + sum(_ENTRY + len(name) for name in tensors)
        + evaluations * (metrics + 1) * _NUMBER
        + _SLACK
    )


@dataclass(frozen=True)
class Restored:
    """A lane that goes on, and the places that trained it so far."""

    lane: Lane
    places: tuple[str, ...]


def restored(data: bytes, of: Origin, template: Lane, pack: PackSpec) -> Restored:
    """The lane of a file, on the template's devices.

    Args:
        data: the file, no larger than `most_bytes`.
        of: what it must agree with.
        template: a lane of the same trial at its start: names, shapes and types.

    Raises:
        LaneFileError: it is damaged, of another origin, or no checkpoint at all.
    """
    metadata = _metadata(data)
    if metadata.get("format") != FORMAT:
        raise LaneFileError(
            f"it is of format {metadata.get('format')!r:.50}, and this version reads {FORMAT}"
        )
    try:
        tensors = load(data)
    except Exception as error:  # whatever a damaged or hostile file makes the parser raise
        raise LaneFileError(f"its tensors cannot be read ({error})") from error
    if metadata.pop("sha256", None) != _digest(tensors, metadata):
        raise LaneFileError("its checksum does not agree with its content: it is damaged")
    _check_origin(metadata, of)
    expected = _named(template)
    if {k: (t.shape, t.dtype) for k, t in tensors.items()} != {
        k: (t.shape, t.dtype) for k, t in expected.items()
    }:
        raise LaneFileError("its tensors are not those of the trial's program")
    rows: dict[str, Rows] = {part: {} for part in _PARTS}
    for name, tensor in tensors.items():
        part, _, own = name.partition("/")
        rows[part][own] = tensor.to(expected[name].device)
    try:
        step = int(metadata["step"])
        record = _record(json.loads(metadata["record"]), step, pack)
        places = tuple(str(place) for place in json.loads(metadata["places"]))
    except Exception as error:  # whatever content of another kind makes the reading raise
        raise LaneFileError(f"its step, record or places are not as written ({error})") from error
    lane = Lane(template.assignment, step, rows["params"], rows["optimiser"], rows["state"], record)
    return Restored(lane, places)


def _check_origin(metadata: Mapping[str, str], of: Origin) -> None:
    words = {"trial": "another trial", "pack": "another pack", "numerics": "another numerics class"}
    for name, expected in asdict(of).items():
        if metadata.get(name) != expected:
            raise LaneFileError(
                f"it is of {words[name]} ({metadata.get(name)!r:.60} instead of {expected!r:.60})"
            )


def _record(found: Any, step: int, pack: PackSpec) -> Record:
    """The evaluations so far.

    Raises:
        ValueError, TypeError, KeyError: they are not those of a lane at this step.
    """
    if not 0 < step < pack.steps or step % pack.segment:
        raise ValueError(f"step {step} is no boundary within {pack.steps} steps")
    period = pack.segment * pack.evaluate_every
    if found["steps"] != list(range(period, step + 1, period)):
        raise ValueError("its evaluations are not those that were due")
    for column in found["values"].values():
        if len(column) != len(found["steps"]):
            raise ValueError("a metric lacks evaluations")
        if not all(v is None or (isinstance(v, int | float) and math.isfinite(v)) for v in column):
            raise ValueError("a metric has a value that is no number")
    return Record(found["steps"], found["values"])


def _metadata(data: bytes) -> dict[str, str]:
    """The header's metadata, before anything else is believed."""
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    if len(data) < _LENGTH_BYTES or length > len(data) - _LENGTH_BYTES:
        raise LaneFileError(f"it is cut short: {len(data)} bytes do not hold its header")
    try:
        header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
        found = header["__metadata__"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise LaneFileError(f"its header cannot be read ({type(error).__name__})") from error
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise LaneFileError("its metadata are not text")
    return found


def _named(lane: Lane) -> dict[str, Tensor]:
    return {f"{part}/{name}": row for part in _PARTS for name, row in getattr(lane, part).items()}


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256(_json(dict(metadata)).encode())
    for name in sorted(tensors):
        row = tensors[name]
        digest.update(f"\n{name} {tuple(row.shape)} {row.dtype}\n".encode())
        digest.update(row.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))

"""The plain messages between dispatcher and workers; they import no tensor library and no Ray."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

#: how a trial ended; success is never a state, it is derived from the outcome
EndState = Literal["finished", "left", "diverged", "errored", "cancelled"]
Comparison = Literal["at_most", "at_least"]


@dataclass(frozen=True)
class Leave:
    """A trial leaves at the first evaluation whose metric meets the strictest threshold."""

    metric: str
    comparison: Comparison
    threshold: float


@dataclass(frozen=True)
class PackSpec:
    """What all lanes of a pack agree in.

    Attributes:
        experiment: its name in the catalogue.
        shared: the structure: shared hyper-parameters by name.
        segment: steps from boundary to boundary.
        steps: the budget, a multiple of the segment.
        evaluate_every: segments from evaluation to evaluation; the last boundary always evaluates.
        expensive: when metrics of the expensive tier are computed.
        leave: the leave rule, or None.
    """

    experiment: str
    shared: Mapping[str, Any]
    segment: int
    steps: int
    evaluate_every: int
    expensive: Literal["end", "every"]
    leave: Leave | None = None


@dataclass(frozen=True)
class Rule:
    """Success as a sweep's spec has it: at the end, or at any evaluation."""

    metric: str
    comparison: Comparison
    threshold: float
    at: Literal["end", "any"]


@dataclass(frozen=True)
class Keep:
    """Which final weights are kept.

    Attributes:
        rules: those of trials that meet any of these; None: all.
        about: what the file says of the trial beside what its assignment does.
    """

    rules: tuple[Rule, ...] | None
    about: Mapping[str, str]


@dataclass(frozen=True)
class Files:
    """What of a trial may lie in storage.

    Attributes:
        sweep: whose folder it lies in.
        resume: whether an earlier attempt may have left a checkpoint to go on from.
        distrusted: places whose checkpoints are not gone on from: they were excluded.
        keep: which final weights are kept; None: none.
    """

    sweep: str
    resume: bool = False
    distrusted: tuple[str, ...] = ()
    keep: Keep | None = None


@dataclass(frozen=True)
class Assignment:
    """One trial for a lane; `attempt` is the fencing token of its write.

    Attributes:
        files: None where nothing of it is stored and nothing stored is read, as in a replay.
    """

    trial: int
    attempt: int
    root: int
    setting: int
    seed: int
    values: Mapping[str, float]
    files: Files | None = None


@dataclass(frozen=True)
class StorageRule:
    """Where files go, and how often.

    Attributes:
        url: see `workers.storage.checked_url`.
        checkpoint_s: a lane is checkpointed at most so often; 0: only when it is parked.
    """

    url: str
    checkpoint_s: float


@dataclass(frozen=True)
class Order:
    """Dispatcher to worker: what changes before the next segments.

    Attributes:
        pack: the pack to advance; another than the last order's only when no lane is left.
        add: trials to admit; those that find no lane wait in the worker's buffer.
        cancel: (trial, attempt) to drop at the boundary.
        lanes: the most lanes that train at once.
        slice_s: after this many seconds the call ends at the next boundary.
        widths: level -> lanes of a group that measured best before, of a pack that is new to the
            worker; levels that are not named are measured.
        storage: where checkpoints and weights go; None: nowhere.
        park: trains nothing more: every lane is checkpointed and everything returned as dropped.
        park_s: the most seconds that the writes of a park are waited for.
    """

    pack: PackSpec
    add: tuple[Assignment, ...] = ()
    cancel: tuple[tuple[int, int], ...] = ()
    lanes: int = 64
    slice_s: float = 1.0
    widths: Mapping[int, int] = field(default_factory=dict)
    storage: StorageRule | None = None
    park: bool = False
    park_s: float = 20.0


@dataclass(frozen=True)
class MetricRecord:
    """One metric of a trial: None where it was never finite."""

    final: float | None
    best: float | None
    best_step: int | None


@dataclass(frozen=True)
class Weights:
    """Final weights in storage: where, how large, and the SHA-256 (hex) of the file."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Outcome:
    """What a trial yields (end state `finished`, `left` or `diverged`).

    Attributes:
        curve: zlib-compressed JSON, {"steps": [...], "metrics": {name: [value or null, ...]}}.
        fingerprint: SHA-256 (hex) over names, shapes and bytes of the final weights.
        pack: which of its worker's packs it trained in, from 1; None where that is not known.
        lane: the row of that pack in which it began; it may have moved up since.
        weights: those that were kept; None: none were.
    """

    trial: int
    attempt: int
    end_state: EndState
    steps: int
    metrics: Mapping[str, MetricRecord]
    curve: bytes
    fingerprint: str
    pack: int | None = None
    lane: int | None = None
    weights: Weights | None = None


@dataclass(frozen=True)
class Failure:
    """An attempt that raised."""

    trial: int
    attempt: int
    error: str
    traceback: str


@dataclass(frozen=True)
class Resumption:
    """How a trial that was tried before began here.

    Attributes:
        step: of the checkpoint that it went on from; 0: from the start.
        why: why a checkpoint was not used; None where it was, or where there was none.
    """

    trial: int
    attempt: int
    step: int
    why: str | None = None


@dataclass(frozen=True)
class Return:
    """Worker to dispatcher.

    Attributes:
        outcomes: trials that ended.
        failures: attempts that raised.
        dropped: (trial, attempt) that were cancelled before they ended.
        held: (trial, attempt) that train or wait in the worker's buffer.
        steps: of each of those, in the same order, the steps that it has done.
        lane_steps: lane-steps trained in this call.
        seconds: what they took.
        widths: level -> lanes of a group that measured best, where that was found in this call.
        resumptions: of trials that were tried before and began here in this call.
        checkpointed: trials that ended and may have a checkpoint in storage, which nobody needs
            once their outcomes are committed.
        storage: what went wrong in storage since the last answer; training went on.
    """

    outcomes: tuple[Outcome, ...] = ()
    failures: tuple[Failure, ...] = ()
    dropped: tuple[tuple[int, int], ...] = ()
    held: tuple[tuple[int, int], ...] = ()
    steps: tuple[int, ...] = ()
    lane_steps: int = 0
    seconds: float = 0.0
    widths: Mapping[int, int] = field(default_factory=dict)
    resumptions: tuple[Resumption, ...] = ()
    checkpointed: tuple[int, ...] = ()
    storage: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorkerDescription:
    """What a worker is.

    Attributes:
        numerics: code, torch, numpy, device, capability, threads, dtype, mode; all strings.
        node: host name and process id, for the run log.
        lacking: data sets that it cannot read -> what to do.
        device: host and device, for the audit: which of several equal ones it is.
    """

    numerics: Mapping[str, str]
    node: str = ""
    lacking: Mapping[str, str] = field(default_factory=dict)
    device: str = ""


class Judgement(Protocol):
    """A rule, or a criterion: what is success."""

    @property
    def metric(self) -> str:
        """Whose value is judged."""
        ...

    @property
    def comparison(self) -> Comparison:
        """On which side of the threshold success is."""
        ...

    @property
    def threshold(self) -> float:
        """It succeeds where it equals this."""
        ...

    @property
    def at(self) -> Literal["end", "any"]:
        """Whether the final value is judged, or the best."""
        ...


def succeeded(outcome: Outcome, rule: Judgement) -> bool:
    """Whether an outcome meets a criterion; what was never measured never does."""
    record = outcome.metrics.get(rule.metric, MetricRecord(None, None, None))
    value = record.final if rule.at == "end" else record.best
    if value is None:
        return False
    if rule.comparison == "at_most":
        return bool(value <= rule.threshold)
    return bool(value >= rule.threshold)


def wanted(keep: Keep, outcome: Outcome) -> bool:
    """Whether an outcome's weights are kept."""
    return keep.rules is None or any(succeeded(outcome, rule) for rule in keep.rules)


def numerics_of(numerics: Mapping[str, str], tile: int | None) -> dict[str, str]:
    """The numerics of an experiment in a worker: what the worker decides, and the tile."""
    return {**numerics, "tile": "any" if tile is None else str(tile)}


def class_id(numerics: Mapping[str, str]) -> str:
    """The name of a numerics class: 16 hex digits of the SHA-256 of its canonical JSON."""
    text = json.dumps(dict(numerics), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]

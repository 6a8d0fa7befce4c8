"""The shapes of answers, for the OpenAPI description; what answers is made in views and reports.

Every key is required and no other is there: tests/fuzz holds what is answered against them.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.access.principal import Scope

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Interval = Annotated[list[float], Field(min_length=2, max_length=2)]
EndState = Literal["finished", "left", "diverged", "errored", "cancelled"]
SweepState = Literal["waiting", "running", "paused", "cancelling", "finished", "cancelled"]


class Shape(BaseModel):
    """An answer or a part of one."""

    model_config = ConfigDict(extra="forbid")


class Criterion(Shape):
    """A criterion and the successes of an arm's settled trials."""

    metric: str
    comparison: Literal["at_most", "at_least"]
    threshold: float
    at: Literal["end", "any"]
    primary: bool
    version: Count
    post_hoc: bool
    successes: Count
    anytime: Interval | None


class Settled(Shape):
    """An arm's settled cohorts."""

    trials: Count
    end_states: dict[EndState, Count]
    successes: list[Criterion]


class Arm(Shape):
    """What arrived of an arm, and what is settled."""

    name: str
    trials: Count
    running: Count
    ended: Count
    errored: Count
    cancelled: Count
    settled: Settled


class Cohorts(Shape):
    """How many cohorts there are, and are settled."""

    total: Count
    settled: Count


class Evidence(Shape):
    """A contrast at a criterion, as far as cohorts are settled."""

    arm: str
    against: str
    primary: bool
    metric: str
    comparison: Literal["at_most", "at_least"]
    threshold: float
    at: Literal["end", "any"]
    table: dict[str, Count]
    incomplete_pairs: dict[str, Count]
    pairs: Count
    difference: float | None
    sided: Literal["two", "greater", "less"]
    alpha: float
    log_e: float | None
    p: float | None
    interval: Interval | None


class Stop(Shape):
    """The stop rule, and where and why it spoke."""

    when: list[str]
    alpha: float
    effect: float | None
    stopped: dict[str, Any] | None
    judged: bool
    spoke: dict[str, Any] | None


class Progress(Shape):
    """Counters."""

    state: SweepState
    reason: str | None
    trials: Count
    ended: Count
    running: Count
    running_share: Share | None
    cohorts: Cohorts
    arms: list[Arm]
    stop: Stop | None
    extended: Count
    evidence: list[Evidence] | None
    eta_s: float | None
    eta_interval_s: Interval | None


class Listed(Shape):
    """A sweep in a list."""

    id: str
    name: str
    experiment: str
    state: SweepState
    reason: str | None
    cure: str | None
    failing: str | None
    offered_class: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    owner: str
    priority: Annotated[int, Field(ge=-100, le=100)]
    labels: list[str]
    note: str
    trials: Count
    classes: list[str]
    criteria_version: Count
    progress: Progress
    links: dict[str, str]


class Sweep(Listed):
    """A sweep with its spec."""

    spec: dict[str, Any]


class Sweeps(Shape):
    """A page of sweeps; `next` continues."""

    items: list[Listed]
    next: str | None


class Record(Shape):
    """One metric of a trial."""

    final: float | None
    best: float | None
    best_step: Count | None


class Weights(Shape):
    """Weights that were kept, a safetensors file."""

    bytes: Count
    sha256: str


class Curve(Shape):
    """A trial's evaluations."""

    trial: Count
    steps: list[Count]
    metrics: dict[str, list[float | None]]


class Trial(Shape):
    """A trial; `arrived` until its cohort is settled."""

    id: Count
    sweep: str
    arm: str
    setting: dict[str, Any]
    cell: Count
    seed: Count
    cohort: Count
    settled: bool
    state: Literal["waiting", "running", "arrived"] | EndState
    attempt: Count
    steps: Count | None
    metrics: dict[str, Record]
    successes: dict[str, bool]
    fingerprint: str | None
    weights: Weights | None
    numerics: str | None
    worker: str | None
    claimed_at: datetime
    ended_at: datetime | None
    error: str | None


class Trials(Shape):
    """A page of trials; `next` continues."""

    items: list[Trial]
    next: Count | None


class Replay(Shape):
    """A trial that is run again; `equal` is null until it is done."""

    id: Count
    trial: Count
    sweep: str
    state: Literal["waiting", "running", "failed", "done"]
    equal: bool | None
    differs: str | None
    fingerprint: str | None
    recorded_by: str | None
    worker: str | None
    requested_at: datetime
    ended_at: datetime | None
    error: str | None


class OneTrial(Trial):
    """A trial with its traceback and replays."""

    traceback: str | None
    replays: list[Replay]


class Asked(Shape):
    """Which replays were asked for now, and what became of all."""

    replays: list[Count]
    counts: dict[str, Count]


class Replays(Shape):
    """A page of replays; `next` continues."""

    counts: dict[str, Count]
    items: list[Replay]
    next: Count | None


class Exclusion(Shape):
    """Who was excluded, why, and what became of the trials."""

    worker: str
    reason: str
    excluded_at: datetime
    trials: Count
    equal: Count
    different: Count
    pending: Count
    without_outcome: Count


class Exclusions(Shape):
    """All of a sweep's."""

    items: list[Exclusion]


class Key(Shape):
    """An API key without its secret."""

    id: str
    name: str
    owner: str
    scope: Scope
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class MadeKey(Key):
    """A new API key; its text is here and nowhere else."""

    key: str


class Keys(Shape):
    """A page of API keys."""

    items: list[Key]
    next: str | None


class Act(Shape):
    """What somebody did, or was refused."""

    id: Count
    at: datetime
    principal: str
    key: str
    action: str
    object: str
    outcome: Literal["done", "repeated", "refused"]
    request: str
    address: str


class Activity(Shape):
    """A page of what was done, newest first."""

    items: list[Act]
    next: Count | None


class Planned(Shape):
    """What a spec would run, take and be able to show."""

    name: str
    trials: Count
    cells: Count
    arms: list[str]
    settings: Count
    structures: Count
    seeds: Count
    cohorts: Count
    segments: Count
    lanes: Count
    packs: Count
    memory: dict[str, Count] | None
    disk_bytes: Count
    kept_bytes: Count | None
    time: dict[str, Any]
    power: dict[str, Any] | None
    spec: dict[str, Any]


class Report(Shape):
    """A report; see docs for what findings hold."""

    findings: dict[str, Any]
    findings_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    run_log: dict[str, Any]


class Audit(Shape):
    """Whether the place where a trial ran tells if it succeeded."""

    trials: Count
    false_flags: float
    conclusion: str
    factors: list[dict[str, Any]]
    flags: list[dict[str, Any]]
    replays: dict[str, Count]
    levels: list[dict[str, Any]]


class Comparison(Shape):
    """Two sweeps together."""

    sweeps: Annotated[list[dict[str, Any]], Field(min_length=2, max_length=2)]
    paired: dict[str, Any]
    merged: dict[str, Any]


class Experiment(Shape):
    """An experiment: its hyper-parameters and metrics."""

    name: str
    description: str
    segment: Count
    hyper_parameters: list[dict[str, Any]]
    metrics: list[dict[str, Any]]


class Experiments(Shape):
    """All that are installed."""

    items: list[Experiment]


class Preset(Shape):
    """A ready sweep."""

    name: str
    title: str
    about: str
    spec: dict[str, Any]
    paper: str
    ours: str
    numbers: str
    pace: float | None


class Presets(Shape):
    """All that are there."""

    items: list[Preset]


class Alive(Shape):
    """The process answers."""

    status: Literal["alive"]


class Ready(Shape):
    """What there is and is not."""

    status: Literal["ready", "not ready"]
    store: bool
    dispatcher: bool
    workers: Count
    on_demand: bool
    storage: bool

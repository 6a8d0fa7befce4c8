"""What describes an experiment without a tensor library: its hyper-parameters, metrics and rhythm.

The controller validates, plans and steers with this alone; only a worker imports the program.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Placement = Literal["shared", "per-lane"]
Tier = Literal["cheap", "expensive"]

#: lanes a tile of a lifted experiment, unless its description says otherwise
LIFTED_TILE = 8


class Settings(BaseModel):
    """Hyper-parameters of one experiment; every field is made by `shared` or `per_lane`.

    A subclass adds cross-field rules with `model_validator`; an unknown name, a NaN or a value
    outside its bounds is refused by pydantic.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def conflicts(self, steps: int) -> list[tuple[str, str]]:  # noqa: ARG002 - subclasses read it
        """Values that are right alone and do not go together, as (rule, cure) each.

        Asked of a whole cell, arm and all: what an arm overrides, a setting need not read.

        Args:
            steps: the budget.
        """
        return []


def shared(default: Any, *, doc: str, **bounds: Any) -> Any:
    """A hyper-parameter that fixes shapes or the program: lanes of one pack agree in it."""
    return Field(default, description=doc, json_schema_extra={"placement": "shared"}, **bounds)


def per_lane(default: float, *, doc: str, **bounds: Any) -> Any:
    """A real hyper-parameter of which every lane has its own value."""
    return Field(default, description=doc, json_schema_extra={"placement": "per-lane"}, **bounds)


@dataclass(frozen=True)
class Metric:
    """One number that an evaluation yields per lane.

    `low` and `high` bound what it can be; `tier` says whether every evaluation computes it
    ("cheap") or only those that the spec's `evaluate.expensive` names ("expensive").
    """

    name: str
    better: Literal["lower", "higher"]
    low: float
    high: float
    tier: Tier
    description: str


@dataclass(frozen=True)
class LaneMemory:
    """Bytes that one lane takes at most.

    Attributes:
        held: from boundary to boundary: parameters, optimiser state, program state.
        training: beside that, while its group trains or is evaluated: copies of what is held,
            gradients, activations, draws.
    """

    held: int
    training: int


@dataclass(frozen=True)
class Experiment:
    """A family of trials: a model, its task and its hyper-parameters, described without torch."""

    name: str
    description: str
    settings: type[Settings]
    #: metrics that an evaluation under these settings yields
    metrics: Callable[[Any], tuple[Metric, ...]]
    #: steps between boundaries; part of the spec, never tuned for speed
    segment: Callable[[Any], int]
    #: "module:Class" of the `models.program.Program` that trains it
    program: str
    #: names of hyper-parameters that the initial weights read
    init_reads: frozenset[str]
    #: lanes a tile, where kernels are not width-invariant; None where the laws prove any width
    tile: int | None = None
    #: data sets it needs, name -> SHA-256 of the arrays, checked by the worker
    data: Callable[[Any], Mapping[str, str]] = field(default=lambda _: {})
    #: data sets that this machine lacks, name -> what to do; asked of workers
    lacking: Callable[[], Mapping[str, str]] = field(default=dict)
    #: (settings, segment) -> what a lane takes; None where it is only known by training
    memory: Callable[[Any, int], LaneMemory] | None = None

    def resolve(self, values: Mapping[str, Any]) -> Settings:
        """Validates values and fills in defaults.

        Raises:
            pydantic.ValidationError: a name is unknown or a value breaks its rule.
        """
        return self.settings.model_validate(dict(values))

    def conflicts(self, settings: Settings, steps: int) -> list[tuple[str, str]]:
        """What of a cell's settings does not go together, as (rule, cure) each."""
        return settings.conflicts(steps)

    def placement(self, name: str) -> Placement:
        """Whether a hyper-parameter is shared or per-lane.

        Raises:
            KeyError: the experiment has no such hyper-parameter.
        """
        extra = self.settings.model_fields[name].json_schema_extra
        if not isinstance(extra, dict) or extra.get("placement") not in ("shared", "per-lane"):
            raise TypeError(f"hyper-parameter {name!r} is declared neither shared nor per_lane")
        return "shared" if extra["placement"] == "shared" else "per-lane"

    def shared_json(self, settings: Settings) -> dict[str, Any]:
        """The structure as JSON values: what travels, is stored and resolves to the same."""
        return {
            k: v
            for k, v in settings.model_dump(mode="json").items()
            if self.placement(k) == "shared"
        }

    def lane_values(self, settings: Settings) -> dict[str, float]:
        """The values that differ from lane to lane, by name."""
        return {
            k: float(v) for k, v in settings.model_dump().items() if self.placement(k) != "shared"
        }

    def setting_hash(self, values: Mapping[str, Any]) -> str:
        """128 bits (hex) that name a setting: the experiment and its resolved values, no arm.

        Streams are keyed by it, so equal settings of different sweeps share streams under one root,
        and different settings share none. Values that are the default's are left out, so that a
        hyper-parameter that is added later changes no stream.
        """
        resolved = self.resolve(values).model_dump(mode="json", exclude_defaults=True)
        text = json.dumps([self.name, resolved], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class LiftedExperiment(Experiment):
    """An experiment written for one network; `program` names a `models.lifting.network.Network`.

    The catalogue lifts it over the lanes of a tile. The kernels that a lifted network calls are
    not width-invariant (a vmapped convolution differs in bits at 1, 2 and 8 lanes), so it always
    has a tile; part of the numerics class, never tuned for speed once results exist.

    Raises:
        ValueError: the tile is None or not positive.
    """

    tile: int | None = LIFTED_TILE

    def __post_init__(self) -> None:
        if self.tile is None or self.tile < 1:
            raise ValueError(
                f"lifted experiment {self.name!r} has tile {self.tile}; its kernels give other "
                "bits at other widths, so it runs in tiles of a fixed number of lanes; leave "
                f"tile out ({LIFTED_TILE}) or give a positive number"
            )

    def conflicts(self, settings: Settings, steps: int) -> list[tuple[str, str]]:
        """A lifted network has no training error that a law of noise could read."""
        found = super().conflicts(settings, steps)
        if getattr(settings, "noise", None) == "error_scaled":
            rule = "noise error_scaled reads the training error, and a lifted network has none"
            found.append((rule, "use another law of noise"))
        return found

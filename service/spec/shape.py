"""The outer shape of a spec, as documented in the OpenAPI description."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=200)]
Values = dict[str, Any]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Budget(_Shape):
    """How long a trial trains; fixed once submitted."""

    steps: Annotated[int, Field(ge=1, le=100_000_000)]


class Evaluate(_Shape):
    """When lanes are evaluated: each `every` segments; dear metrics only at the end by default."""

    every: Annotated[int, Field(ge=1, le=1_000_000)] = 5
    expensive: Literal["end", "every"] = "end"


class Success(_Shape):
    """The criterion; exactly one of at_most and at_least. `report_at` adds thresholds."""

    metric: Name
    at_most: float | None = None
    at_least: float | None = None
    at: Literal["end", "any"] = "end"
    report_at: Annotated[list[float], Field(min_length=1, max_length=32)] | None = None


class Primary(_Shape):
    """The primary contrast, declared before the first trial."""

    arm: Name
    against: Name
    threshold: float | None = None
    effect: Annotated[float, Field(gt=0, le=1)] | None = None
    sided: Literal["two", "greater", "less"] = "two"


class Shape(_Shape):
    """A sweep's spec."""

    name: Name
    experiment: Name
    fixed: Values = {}
    arms: Annotated[dict[Name, Values], Field(min_length=1, max_length=64)]
    grid: dict[str, list[Any]] = {}
    seeds: Annotated[int, Field(ge=1)]
    cohort: Annotated[int, Field(ge=1)] | None = None
    root: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None
    budget: Budget
    evaluate: Evaluate = Evaluate()
    success: Success
    primary: Primary | None = None
    leave: Literal["never", "at_success"] = "never"
    keep_weights: Literal["none"] = "none"


#: keys and values of the design that this version does not have: refused by name, never ignored
LATER_KEYS = {
    "stop": "stop rules",
    "numerics": "sweeps over several numerics classes",
    "priority": "priorities",
    "labels": "labels",
    "note": "notes",
    "power": "power planning",
}

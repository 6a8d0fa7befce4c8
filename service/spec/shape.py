"""The outer shape of a spec, as documented in the OpenAPI description."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from service.evidence.stopping import WHEN, When
from service.handling import Handling
from workers.messages import Comparison

#: one line that reads from left to right, without NUL, which PostgreSQL does not take
LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$"
#: a name is one line on pages and in reports
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=LINE)]


def _no_minus_zero(value: Any) -> Any:
    """-0.0 means 0.0, but their texts differ, and streams are keyed by the text."""
    return value + 0.0 if isinstance(value, float) else value


#: one hyper-parameter's value: the experiment judges it
Value = Annotated[Any, AfterValidator(_no_minus_zero)]
Values = dict[str, Value]


class Strict(BaseModel):
    """A part of a request: every key known, every value of its own type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _once(labels: list[str]) -> list[str]:
    if len(set(labels)) != len(labels):
        raise ValueError("a label is given once; drop the repetition")
    return labels


Label = Annotated[str, Field(min_length=1, max_length=64, pattern=LINE)]
Labels = Annotated[list[Label], Field(max_length=32), AfterValidator(_once)]
Priority = Annotated[int, Field(ge=-100, le=100)]
#: text of several lines, without NUL and other control characters
Note = Annotated[str, Field(max_length=10_000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]


class Handled(Strict):
    """How a sweep is to be treated; none of these keys changes a trial or a finding."""

    priority: Priority = 0
    labels: Labels = []
    note: Note = ""

    def handling(self) -> Handling:
        """What they say."""
        return Handling(self.priority, tuple(self.labels), self.note)


HANDLED = tuple(Handled.model_fields)


class Budget(Strict):
    """How long a trial trains; fixed once submitted."""

    steps: Annotated[int, Field(ge=1, le=100_000_000)]


class Evaluate(Strict):
    """When lanes are evaluated: each `every` segments; dear metrics only at the end by default."""

    every: Annotated[int, Field(ge=1, le=1_000_000)] = 5
    expensive: Literal["end", "every"] = "end"


class Threshold(Strict):
    """A metric and when it is a success; exactly one of at_most and at_least."""

    metric: Name
    at_most: float | None = None
    at_least: float | None = None
    at: Literal["end", "any"] = "end"

    def rule(self) -> tuple[Comparison, float] | None:
        """Its comparison and threshold; None unless exactly one is given."""
        if self.at_most is not None and self.at_least is None:
            return "at_most", self.at_most
        if self.at_least is not None and self.at_most is None:
            return "at_least", self.at_least
        return None


class Success(Threshold):
    """The criterion; `report_at` adds thresholds."""

    report_at: Annotated[list[float], Field(min_length=1, max_length=32)] | None = None


class Primary(Strict):
    """The primary contrast, declared before the first trial."""

    arm: Name
    against: Name
    threshold: float | None = None
    effect: Annotated[float, Field(gt=0, le=1)] | None = None
    sided: Literal["two", "greater", "less"] = "two"


class Power(Strict):
    """What is expected of the primary contrast; it plans, and changes no trial.

    `baseline` is the rate of the arm that is compared against, `effect` the other's rate minus it
    (by default primary.effect), `correlation` that within pairs, `wanted` the power.
    """

    baseline: Annotated[float, Field(ge=0, le=1)]
    effect: Annotated[float, Field(ge=-1, le=1)] | None = None
    correlation: Annotated[float, Field(ge=-1, le=1)] = 0.0
    wanted: Annotated[float, Field(ge=0.5, le=0.9999)] = 0.9


def _when(value: Any) -> list[When]:
    """One rule by its name, or a list of both; in one order, so that equal specs are equal."""
    named = value if isinstance(value, list | tuple) else [value]
    known = [when for when in WHEN if when in named]
    if not named or len(known) != len(named):
        raise ValueError(
            f"a sweep stops by {' or '.join(WHEN)}; write one of them, or both as a list"
        )
    return known


_NAMES = {"enum": list(WHEN), "type": "string"}
_ONE_OR_BOTH = {"anyOf": [_NAMES, {"type": "array", "items": _NAMES, "minItems": 1}]}


class Stop(Strict):
    """When a sweep ends before its plan, judged after each settled cohort but the last.

    `evidence`: the primary contrast's e-value reaches 1 / alpha. `futile`: the confidence sequence
    of its difference rules out `primary.effect`.
    """

    when: Annotated[list[When], PlainValidator(_when), WithJsonSchema(_ONE_OR_BOTH)]
    alpha: Annotated[float, Field(gt=0, le=0.5)] = 0.05


class Shape(Handled):
    """A sweep's spec."""

    name: Name
    experiment: Name
    fixed: Values = {}
    arms: Annotated[dict[Name, Values], Field(min_length=1, max_length=64)]
    grid: dict[str, list[Value]] = {}
    seeds: Annotated[int, Field(ge=1)]
    cohort: Annotated[int, Field(ge=1)] | None = None
    root: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None
    budget: Budget
    evaluate: Evaluate = Evaluate()
    success: Success
    primary: Primary | None = None
    power: Power | None = None
    leave: Literal["never", "at_success"] = "never"
    stop: Stop | None = None
    keep_weights: Literal["none", "successes", "all"] = "none"


#: seeds of a cohort unless the spec says so
COHORT = 50


def cohort_of(shape: Shape) -> int:
    """The seeds of a cohort."""
    return shape.cohort or min(COHORT, shape.seeds)


#: keys and values of the design that this version does not have: refused by name, never ignored
LATER_KEYS = {
    "numerics": "sweeps over several numerics classes",
}


def whole(model: type[BaseModel]) -> dict[str, Any]:
    """A model's JSON Schema in one piece, for the OpenAPI description."""
    schema = model.model_json_schema()
    found: dict[str, Any] = _whole(schema, schema.get("$defs", {}))
    return found


def _whole(schema: Any, parts: dict[str, Any]) -> Any:
    """A JSON Schema with what it refers to put in place, so that it stands anywhere."""
    if isinstance(schema, list):
        return [_whole(item, parts) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _whole(parts[schema["$ref"].removeprefix("#/$defs/")], parts)
    return {k: _whole(v, parts) for k, v in schema.items() if k != "$defs"}

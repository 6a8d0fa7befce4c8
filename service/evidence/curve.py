"""A trial's evaluation curve, and the first step at which it met a criterion."""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workers.messages import Comparison


@dataclass(frozen=True)
class Curve:
    """A trial's evaluations.

    Attributes:
        steps: (T,) the boundaries at which it was evaluated, ascending.
        metrics: name -> (T,) values; None where one was not measured or not finite.
    """

    steps: Sequence[int]
    metrics: Mapping[str, Sequence[float | None]]


def decode(blob: bytes) -> Curve:
    """The curve that a worker recorded (`workers.messages.Outcome.curve`).

    Raises:
        ValueError: it is not such a blob.
    """
    try:
        content = json.loads(zlib.decompress(blob))
        curve = Curve(content["steps"], content["metrics"])
        lengths = {len(curve.steps), *(len(column) for column in curve.metrics.values())}
    except (zlib.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"a curve of {len(blob)} bytes cannot be read ({error}); it is zlib-compressed JSON of "
            "steps and metrics; was the store written by another version?"
        ) from error
    if len(lengths) > 1:
        raise ValueError(
            f"a curve has columns of {sorted(lengths)} values; each metric has one value for each "
            "step; was the store written by another version?"
        )
    return curve


def first_met(curve: Curve, metric: str, comparison: Comparison, threshold: float) -> int | None:
    """The first evaluation's step at which the metric met the threshold; None where none did.

    It is None exactly where the trial's best value does not meet it, so a trial has a first step if
    and only if it is a success `at: any`. Of a trial that left at success it is, at the strictest
    threshold, its last step. What a trial that diverged reached before that counts.
    """
    for step, value in zip(curve.steps, curve.metrics.get(metric, ()), strict=False):
        if value is None:
            continue
        if value <= threshold if comparison == "at_most" else value >= threshold:
            return step
    return None

"""The pack law in small, for a user's own network: a row's bits do not depend on its company.

Before anything trains, one step and one evaluation of a tile are repeated with the last lane in the
first row and copies of the first lane, as dummies are, in all others: two of each, once a process.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from models.experiment import Experiment, Settings, Tier
from models.lifting.refusals import LiftError, explained
from models.program import Lanes, Leaves
from models.streams import TrialKey

if TYPE_CHECKING:
    from models.lifting.program import Lifted


def check_rows(program: "Lifted", experiment: Experiment, settings: Settings) -> None:
    """Loss, gradients and metrics of each row, bit for bit, wherever it lies.

    Raises:
        LiftError: vmap refuses the network, a metric is not as declared, or a row's bits differ.
    """
    name = type(program.network).__name__
    metrics = experiment.metrics(settings)
    declared: dict[Tier, list[str]] = {}
    for metric in metrics:
        declared.setdefault(metric.tier, []).append(metric.name)
    rows = experiment.tile or 1
    view = Lanes(
        keys=tuple(TrialKey(0, 0, seed) for seed in range(rows)),
        values={k: np.full(rows, v) for k, v in experiment.lane_values(settings).items()},
        starts=(0,) * rows,
        segment=program.segment,
        device=program.device,
    )
    base = _bits(program, view, declared)
    order = [rows - 1, *[0] * (rows - 1)]
    moved = _bits(program, replace(view, keys=tuple(view.keys[i] for i in order)), declared)
    for what, column in moved.items():
        if not _equal(column, base[what][order]):
            raise LiftError(
                f"{what} of {name} has other bits when its lane lies in another row of the tile "
                "or beside other lanes; a trial may not depend on its company; keep no state on "
                "the network object between calls, draw only in init(), batch() and held_out(), "
                "or run each lane alone (tile=1)"
            )


def _bits(program: "Lifted", view: Lanes, declared: dict[Tier, list[str]]) -> Leaves:
    """Name -> (R, ...) of everything that one step and one evaluation yield."""
    name = type(program.network).__name__
    params = {k: v.requires_grad_() for k, v in program.init(view)[0].items()}
    batches = program.batches(view, 0)
    where = "loss"
    try:
        loss, _ = program.loss(params, batches, 0)
        grads = torch.autograd.grad(loss.sum(), list(params.values()))
        found = {"the loss": loss.detach()}
        found |= {f"the gradient of {k!r}": g for k, g in zip(params, grads, strict=True)}
        where = "evaluate"
        with torch.inference_mode():
            for tier, expected in declared.items():
                columns = program.evaluate(params, view, tier)
                _check_metrics(f"{name}.evaluate", tier, columns, expected)
                found |= {f"metric {k!r}": v for k, v in columns.items()}
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise explained(error, network=name, where=where) from error
    return found


def _check_metrics(where: str, tier: Tier, columns: Leaves, expected: Sequence[str]) -> None:
    shapes = {k: tuple(v.shape[1:]) for k, v in columns.items()}
    if shapes != dict.fromkeys(expected, ()):
        raise LiftError(
            f"{where} returned {shapes} for tier {tier!r}, but the description declares "
            f"{list(expected)}; a metric is a number for each network; return exactly these names, "
            "with shape ()"
        )


def _equal(one: Tensor, other: Tensor) -> bool:
    """Bit for bit, NaNs and signs of zero included."""
    return bool(one.cpu().numpy().tobytes() == other.cpu().numpy().tobytes())

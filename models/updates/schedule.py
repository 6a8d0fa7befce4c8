"""Step sizes by schedule: computed on the host in float64, a lane at a time."""

import numpy as np
import torch
from torch import Tensor

from models.program import Lanes
from models.updates.settings import Schedule

RATE, SPAN = "learning_rate", "schedule_steps"


def factor(schedule: Schedule, steps: np.ndarray, span: float) -> np.ndarray:
    """What the step size is multiplied by at steps t, from 0.

    As torch.optim.lr_scheduler's ConstantLR of factor 1, StepLR of gamma 1/2, LinearLR from
    1 / span to 1, and CosineAnnealingLR to 0 without restarts, with a step of the scheduler a step
    of the optimiser.
    """
    match schedule:
        case "constant":
            return np.ones(len(steps))
        case "halving":
            return np.asarray(0.5 ** np.floor(steps / span))
        case "warmup":
            return np.minimum(1.0, (steps + 1.0) / span)
        case "cosine":
            return np.asarray(0.5 + 0.5 * np.cos(np.pi * np.minimum(1.0, steps / span)))


def rates(lanes: Lanes, schedule: Schedule) -> np.ndarray:
    """(segment, R) float64 step sizes of a segment."""
    rate = lanes.values[RATE]
    spans = np.ones(len(lanes)) if schedule == "constant" else lanes.values[SPAN]
    columns = [
        r * factor(schedule, lanes.steps[:, i], float(span))
        for i, (r, span) in enumerate(zip(rate, spans, strict=True))
    ]
    return np.stack(columns, 1)


def on_device(columns: np.ndarray, lanes: Lanes) -> Tensor:
    """(segment, R) float32."""
    return torch.from_numpy(columns.astype(np.float32)).to(lanes.device)

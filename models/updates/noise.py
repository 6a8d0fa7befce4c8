"""Gradient noise: the paper's law and its variants, drawn for each lane from its own stream.

Neelakantan et al. 2015, arXiv 1511.06807, section 3: g <- g + N(0, sigma_t^2) with
sigma_t^2 = eta / (1 + t)^gamma, independently at every coordinate, after clipping and before the
optimiser; t counts the lane's own steps from 0. Under every law a lane of eta 0 draws nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from models.kernels.leaves import LeafList
from models.kernels.normal import add_normal
from models.kernels.truncated import add_truncated
from models.program import Lanes
from models.updates.chain import Leaves, Rule, Step, Transformation, Updates
from models.updates.schedule import factor, on_device, rates
from models.updates.settings import NoiseLaw, Schedule

#: training error below which the noise of `error_scaled` ends
PERFECT = 0.02
Draw = Callable[[LeafList, Tensor, Tensor, np.ndarray, int], None]


def noise_std(eta: float, gamma: float, steps: np.ndarray) -> np.ndarray:
    """sigma_t for steps t (any shape), in float64: the square root of the annealed variance."""
    return np.sqrt(eta / (1.0 + steps) ** gamma)


def add_noise(law: NoiseLaw = "annealed", schedule: Schedule = "constant") -> Transformation:
    """Adds Gaussian noise to the lanes whose eta is not zero, and touches no other.

    A lane without noise draws nothing, and its gradients pass bit for bit: adding 0 x noise would
    turn -0.0 into 0.0. Leaves take their draws one after another, in order of name.

    Args:
        law: how large the noise is, and whether its tails are cut:
            annealed, before_clip, dithered_sign: sigma_t, the paper's.
            fixed: sqrt(eta) at every step; the paper's section 4.2 tried it.
            truncated: sigma_t times a normal number cut at +-2, as TensorFlow's optimize_loss drew.
            error_scaled: truncated, and sigma_t times the root of the training error above 0.02,
                after the released Neural GPU trainer (whose noise never reaches its optimiser).
                That one takes the mean error of its last 200 steps; here it is the error of the
                step's own batch, which scatters around it.
            variance_as_std: sigma_t^2 where sigma_t belongs, as optax until its pull request 294.
            sgld: sqrt(2 eta / rate): after a step of size rate the weights have moved by
                N(0, 2 rate eta); Welling & Teh 2011 at temperature eta.
        schedule: of the step size, which sgld reads.

    Raises:
        ValueError: late_init, which perturbs weights and not gradients.
    """
    if law == "late_init":
        raise ValueError("late_init is no noise of gradients; use add_late_init")
    draw: Draw = add_truncated if law in ("truncated", "error_scaled") else add_normal

    def begin(lanes: Lanes, state: Leaves) -> Rule:
        etas = lanes.values["noise_eta"]
        if not (etas > 0).any():
            return lambda updates, step: updates
        std = on_device(_stds(law, schedule, lanes), lanes)
        noisy = torch.from_numpy(etas > 0).to(lanes.device)
        keys = lanes.counter_keys("noise")

        def rule(updates: Updates, step: Step) -> Updates:
            # a lane without noise keeps its gain waiting: the same beside any neighbours
            gain = torch.where(noisy, updates.gain, 1.0)
            leaves = updates.writable().leaves
            now = std[step.index]
            if law == "error_scaled":
                now = now * _scale(step.error)
            draw(leaves, gain, now, keys, step.index)
            return Updates(leaves, torch.where(noisy, 1.0, updates.gain))

        return rule

    return Transformation(lambda _: {}, begin)


def _scale(error: Tensor | None) -> Tensor:
    """(R,) float32 root of how far a training error is above what counts as perfect."""
    if error is None:
        raise ValueError(
            "noise error_scaled reads the training error of each step, and this program has none; "
            "use another law"
        )
    return (error.float() - PERFECT).clamp_min(0.0).sqrt()


def _stds(law: NoiseLaw, schedule: Schedule, lanes: Lanes) -> np.ndarray:
    """(segment, R) float64 standard deviations.

    One lane a column, each of the segment's length, so no value depends on the pack's width.
    """
    columns = []
    sizes = rates(lanes, schedule) if law == "sgld" else None
    for i, eta in enumerate(lanes.values["noise_eta"]):
        if law == "fixed":
            column = np.full(lanes.segment, np.sqrt(eta))
        elif sizes is not None:
            column = np.sqrt(2.0 * eta / np.maximum(sizes[:, i], np.finfo(np.float32).tiny))
        else:
            gamma = float(lanes.values["noise_gamma"][i])
            column = noise_std(float(eta), gamma, lanes.steps[:, i])
            if law == "variance_as_std":
                column = column**2
        columns.append(column)
    return np.stack(columns, 1)


def sign() -> Transformation:
    """The sign of what comes: of noisy gradients, dithered signSGD.

    signSGD: Bernstein et al. 2018, arXiv 1802.04434; noise before the sign: Chen et al. 2020, arXiv
    1906.01117.
    """

    def begin(lanes: Lanes, state: Leaves) -> Rule:
        def rule(updates: Updates, step: Step) -> Updates:
            found = updates.writable()
            for leaf in found.leaves.tensors:
                leaf.sign_()
            return Updates(found.leaves, torch.ones_like(found.gain))

        return rule

    return Transformation(lambda _: {}, begin)


def add_late_init(schedule: Schedule = "constant") -> Transformation:
    """Perturbs the weights once, as far as gradient noise would have moved them; the last link.

    Under plain SGD the noise of steps 0 to T - 1 moves every weight by N(0, s^2) with
    s^2 = sum of (rate_t sigma_t)^2. A control for the reading that noise is a late initialisation:
    at step `late_step` the update is N(0, s^2) more, T is `late_span`.

    Args:
        schedule: of the step size.
    """

    def begin(lanes: Lanes, state: Leaves) -> Rule:
        std = on_device(_late(schedule, lanes), lanes)
        keys = lanes.counter_keys("noise")
        due = (std > 0).any(1).tolist()

        def rule(updates: Updates, step: Step) -> Updates:
            if not due[step.index]:
                return updates
            now = std[step.index]
            moved = now > 0
            leaves = updates.writable().leaves
            add_normal(leaves, torch.where(moved, updates.gain, 1.0), now, keys, step.index)
            return replace(updates, leaves=leaves, gain=torch.where(moved, 1.0, updates.gain))

        return rule

    return Transformation(lambda _: {}, begin)


def _late(schedule: Schedule, lanes: Lanes) -> np.ndarray:
    """(segment, R) float64: s at the lane's late step, 0 at all others."""
    found = np.zeros((lanes.segment, len(lanes)))
    for i, eta in enumerate(lanes.values["noise_eta"]):
        here = lanes.steps[:, i] == np.floor(lanes.values["late_step"][i])
        if eta > 0 and here.any():
            found[here, i] = late_std(schedule, {k: float(v[i]) for k, v in lanes.values.items()})
    return found


def late_std(schedule: Schedule, values: Mapping[str, float]) -> float:
    """How far the noise of the first `late_span` steps of plain SGD moves a weight, in float64."""
    steps = np.arange(int(values["late_span"]))
    span = values.get("schedule_steps", 1.0)
    sizes = values["learning_rate"] * factor(schedule, steps, span)
    return float(
        np.sqrt(np.sum((sizes * noise_std(values["noise_eta"], values["noise_gamma"], steps)) ** 2))
    )

"""Whether a contender trains as the engine does: equal weights and batches give equal numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from models import catalog
from models.program import Lanes
from models.streams import TrialKey
from tests.benchmarks.baselines.contender import Contender
from tests.benchmarks.baselines.workload import Workload, tables
from workers import numerics
from workers.messages import Assignment, PackSpec
from workers.pack import Pack

STEPS = 5
NOISE_STEPS = 10
TOLERANCE = 1e-4
#: the pack's clip is active from the first step on
_CLIP = 0.1
_CPU = torch.device("cpu")

#: a contender of a workload and so many lanes
Maker = Callable[[Workload, int], Contender]


class NotAlikeError(Exception):
    """A contender does not do what the engine does, so its speed would say nothing."""


@dataclass(frozen=True)
class Reference:
    """What the engine did: initial weights, rows of the table (steps, R, B), and what came of it.

    Attributes:
        before: initial weights, (R, ...) each.
        chosen: (steps, R, B) rows of the training table.
        first: (R,) loss of the first step.
        after: weights after the steps.
    """

    before: dict[str, np.ndarray]
    chosen: np.ndarray
    first: np.ndarray
    after: dict[str, np.ndarray]


def check(make: Maker, work: Workload, lanes: int) -> None:
    """Runs every check of a contender on one workload.

    Raises:
        NotAlikeError: naming what differs and by how much.
    """
    check_steps(make, work, lanes)
    if work.values["noise_eta"] > 0:
        check_noise(make, work, lanes)


def check_steps(make: Maker, work: Workload, lanes: int) -> None:
    """Without noise, a few clipped steps lead to the engine's weights."""
    easy = work.but(noise_eta=0.0, clip_norm=_CLIP)
    if "depth" in easy.shared:
        easy = easy.but(depth=2)  # at depth 20 and 0.1 nothing moves in a few steps
    expected = reference(easy, lanes)
    contender = make(easy, lanes)
    contender.load(expected.before)
    losses = contender.replay(expected.chosen)
    _close(f"{work.name}: the first loss", losses[0], expected.first)
    found = contender.weights()
    for name, leaf in expected.after.items():
        _close(f"{work.name}: {name} after {STEPS} steps", found[name], leaf)


def check_noise(make: Maker, work: Workload, lanes: int) -> None:
    """Where clipping leaves no gradient, SGD's path has the variance of the law, lane by lane."""
    rate = 0.01
    still = work.but(optimiser="sgd", clip_norm=1e-9, learning_rate=rate)
    start = reference(still.but(noise_eta=0.0), lanes)
    contender = make(still, lanes)
    contender.load(start.before)
    contender.replay(np.repeat(start.chosen, NOISE_STEPS // STEPS, 0))
    after = contender.weights()
    paths = np.concatenate(
        [((after[n] - w) / rate).reshape(lanes, -1) for n, w in start.before.items()], 1
    )
    steps = np.arange(NOISE_STEPS)
    law = np.sqrt((work.values["noise_eta"] / (1.0 + steps) ** work.values["noise_gamma"]).sum())
    found = paths.std(1) / law
    if np.abs(found - 1.0).max() > 0.05:
        raise NotAlikeError(
            f"{work.name}: the noise of {NOISE_STEPS} steps has {found.round(3).tolist()} times "
            "the standard deviation of the law; a baseline adds the engine's noise; mend it"
        )
    if lanes > 1 and abs(np.corrcoef(paths[:2])[0, 1]) > 0.1:
        raise NotAlikeError(
            f"{work.name}: two lanes were given the same noise; it is drawn per lane; mend it"
        )


def reference(work: Workload, lanes: int) -> Reference:
    """A few steps of the engine itself, on the CPU."""
    numerics.settle()
    experiment = catalog.experiment(work.experiment)
    settings = experiment.resolve({**work.shared, **work.values})
    spec = PackSpec(
        work.experiment, experiment.shared_json(settings), segment=STEPS, steps=2 * STEPS,
        evaluate_every=2, expensive="end",
    )  # fmt: skip
    values = experiment.lane_values(settings)
    view = Lanes(
        keys=tuple(TrialKey(1, 2, seed) for seed in range(lanes)),
        values={name: np.full(lanes, value) for name, value in values.items()},
        starts=(0,) * lanes,
        segment=STEPS,
        device=_CPU,
    )
    program = catalog.program(experiment)(settings, STEPS, _CPU)
    params, state = program.init(view)
    batches = program.batches(view, int(program.level(state)[0]))
    first, _ = program.loss(params, batches, 0)
    pack = Pack(spec, _CPU)
    pack.admit([Assignment(seed, 1, 1, 2, seed, values) for seed in range(lanes)])
    pack.advance()
    after = {name: np.stack([lane.params[name].numpy() for lane in pack.lanes]) for name in params}
    before = {name: leaf.detach().numpy().copy() for name, leaf in params.items()}
    return Reference(before, rows(work, batches), first.detach().numpy(), after)


def rows(work: Workload, batches: object) -> np.ndarray:
    """(steps, R, B) rows of the training table that a segment's batches hold."""
    if work.experiment == "deep_mlp":
        return np.asarray(batches.chosen)  # type: ignore[attr-defined]
    places = {row.tobytes(): i for i, row in enumerate(tables(work).inputs)}
    source = np.asarray(batches.source)  # type: ignore[attr-defined]
    flat = source.reshape(-1, source.shape[-1])
    return np.array([places[row.tobytes()] for row in flat]).reshape(source.shape[:-1])


def _close(what: str, found: np.ndarray, expected: np.ndarray) -> None:
    if found.shape != expected.shape:
        raise NotAlikeError(f"{what} has shape {found.shape}, the engine's has {expected.shape}")
    furthest = float(np.abs(found - expected).max())
    if not furthest <= TOLERANCE:
        raise NotAlikeError(
            f"{what} differs from the engine's by {furthest:.2e}, more than {TOLERANCE:g}, from "
            "equal weights and batches; one of the two trains something else; find which"
        )

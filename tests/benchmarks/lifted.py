"""Bench rows of lifted experiments: lane-steps per second beside a plain loop of the same network.

Both run in one process on one thread, turn by turn, with the same batch, clipping, gradient noise
and SGD; a row is made only if a trial has the same bits alone and beside six others.
"""

import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from models import catalog
from models.deep_mlp.digits import digits5k
from models.experiment import LiftedExperiment
from tests.laws import Case, assignments, run, same
from tests.models.lifting.mlp import MLP
from workers import numerics
from workers.messages import PackSpec
from workers.pack import Pack

sys.path.append(str(Path(__file__).parents[2] / "examples" / "digits_cnn"))

from digits_cnn.description import EXPERIMENT as CNN
from digits_cnn.description import DigitsCnnSettings
from digits_cnn.network import network

CPU = torch.device("cpu")
TURNS = 3
VALUES = {
    "learning_rate": 0.01, "momentum": 0.0, "adam_eps": 1e-8,
    "clip_norm": 10.0, "noise_eta": 0.01, "noise_gamma": 0.55,
}  # fmt: skip


class LawFailedError(Exception):
    """A trial's bits depend on its pack: there is nothing to be proud of in its speed."""


@dataclass(frozen=True)
class Subject:
    """One network, lifted and plain."""

    experiment: LiftedExperiment
    shared: dict[str, Any]
    own: dict[str, float]
    module: Callable[[], nn.Module]
    #: shape of one example
    example: tuple[int, ...]


def _mlp(depth: int, width: int) -> nn.Module:
    sizes = [784, *[width] * depth, 10]
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


SUBJECTS = (
    Subject(
        CNN,
        {"maps": 8, "batch": 32, "clip": "norm"},
        {"smoothing": 0.0},
        lambda: network(DigitsCnnSettings(maps=8)),
        (1, 28, 28),
    ),
    Subject(
        MLP,
        {"depth": 20, "width": 50, "batch": 32, "clip": "norm"},
        {"init_std": 0.1},
        lambda: _mlp(20, 50),
        (784,),
    ),
)


def rows(seconds: float = 2.0) -> list[dict[str, Any]]:
    """A row for each subject.

    Args:
        seconds: how long each of the two sides of a row is timed, start-up aside.

    Raises:
        LawFailedError: a trial differs alone and in a pack.
    """
    numerics.settle()
    known = catalog.experiments
    catalog.experiments = lambda: {s.experiment.name: s.experiment for s in SUBJECTS}  # type: ignore[assignment]
    try:
        return [_row(subject, seconds) for subject in SUBJECTS]
    finally:
        catalog.experiments = known


def _row(subject: Subject, seconds: float) -> dict[str, Any]:
    _check_law(subject)
    tile = subject.experiment.tile or 1
    lifted, plain = _engine(subject, tile), _loop(subject)
    lifted(0.0)
    plain(0.0)
    turns = [(lifted(seconds / TURNS), plain(seconds / TURNS)) for _ in range(TURNS)]
    ours, theirs = (median(column) for column in zip(*turns, strict=True))
    return {
        "row": f"lifted {subject.experiment.name}",
        "lanes": tile,
        "tile": tile,
        "lane_steps_per_s": ours,
        "plain_loop_steps_per_s": theirs,
        "ratio": ours / theirs,
        "law": "held",
    }


def _spec(subject: Subject, **changes: Any) -> PackSpec:
    never = 10**12
    spec = PackSpec(subject.experiment.name, subject.shared, 5, never, never, "end")
    return replace(spec, **changes)


def _check_law(subject: Subject) -> None:
    spec = _spec(subject, steps=10, evaluate_every=2)
    case = Case(subject.experiment.name, spec, "test_loss", VALUES | subject.own, ())
    trials = assignments(case, 7)
    together, alone = run(spec, trials, 7), run(spec, trials[3:4], 1)
    if not same(alone[3], together[3]):
        raise LawFailedError(
            f"a trial of {case.name} has other bits alone than beside six others; a speed is "
            "shown only of sound numbers; run tests/workers/test_lifted_laws.py"
        )


def _engine(subject: Subject, lanes: int) -> Callable[[float], float]:
    """Trains a full pack for so many seconds; lane-steps per second."""
    pack = Pack(_spec(subject), CPU)
    case = Case("bench", pack.spec, "test_loss", VALUES | subject.own, ())
    trials = [replace(a, values=case.values) for a in assignments(case, lanes)]
    assert not pack.admit(trials)

    def timed(seconds: float) -> float:
        began, steps = time.perf_counter(), 0
        while not steps or time.perf_counter() - began < seconds:
            steps += pack.advance().lane_steps
        return steps / (time.perf_counter() - began)

    return timed


def _loop(subject: Subject) -> Callable[[float], float]:
    """Trains one network as a user would; steps per second."""
    digits = digits5k()
    images = torch.from_numpy(digits.train_images).view(-1, *subject.example)
    labels = torch.from_numpy(digits.train_labels)
    model = subject.module()
    optimiser = torch.optim.SGD(model.parameters(), lr=VALUES["learning_rate"])

    def step(t: int) -> None:
        chosen = torch.randint(len(images), (subject.shared["batch"],))
        loss = cross_entropy(model(images[chosen]), labels[chosen])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), VALUES["clip_norm"])
        sigma = (VALUES["noise_eta"] / (1 + t) ** VALUES["noise_gamma"]) ** 0.5
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.grad.add_(torch.randn_like(parameter), alpha=sigma)
        optimiser.step()

    def timed(seconds: float) -> float:
        began, steps = time.perf_counter(), 0
        while steps < 10 or time.perf_counter() - began < seconds:
            step(steps)
            steps += 1
        return steps / (time.perf_counter() - began)

    return timed

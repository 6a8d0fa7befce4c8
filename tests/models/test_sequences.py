"""Tasks on sequences: their answers, their split, and that the Neural GPU trains on each."""

from typing import get_args

import numpy as np
import pytest
import torch

from models import catalog
from models.neural_gpu import sequences, tasks
from models.neural_gpu.arithmetic import PAD, ZERO
from models.neural_gpu.sequences import SequenceTask
from models.neural_gpu.tasks import Task
from workers import numerics
from workers.messages import Assignment, PackSpec
from workers.pack import Pack

TASKS: tuple[SequenceTask, ...] = get_args(SequenceTask)


def every(length: int) -> np.ndarray:
    """All sequences of a length."""
    return np.array([[v >> i & 1 for i in range(length)] for v in range(2**length)], np.uint8)


@pytest.mark.parametrize("length", [1, 2, 5, 8])
def test_answers_equal_those_of_pythons_lists(length: int) -> None:
    rows = every(length)
    for digits in rows.tolist():
        row = np.array([digits], np.uint8)
        expected = {
            "copy": digits, "reverse": digits[::-1], "duplicate": digits + digits,
            "sort": sorted(digits),
        }  # fmt: skip
        for task in TASKS:
            assert sequences.answer(task, row).tolist() == [expected[task]]


@pytest.mark.parametrize("task", get_args(Task))
def test_a_tape_is_as_long_as_said_and_holds_every_digit(task: Task) -> None:
    source, target = tasks.examples(task, np.random.default_rng(0), 50, 6, "train")
    assert source.shape == target.shape == (50, tasks.length(task, 6))
    assert source.dtype == target.dtype == np.uint8
    assert (source != PAD).all() == (task != "duplicate")
    if task in TASKS:
        assert (target != PAD).all()
        assert np.array_equal(sequences.answer(task, source[:, :6] - ZERO), target - ZERO)


@pytest.mark.parametrize("length", range(1, 13))
def test_a_quarter_to_a_half_is_held_out_at_every_length(length: int) -> None:
    assert 0.25 <= sequences.is_test(every(length)).mean() <= 0.5


def test_a_longer_sequence_of_the_same_ones_is_on_the_same_side() -> None:
    rows = every(6)
    longer = np.pad(rows, ((0, 0), (0, 5)))
    assert np.array_equal(sequences.is_test(rows), sequences.is_test(longer))


@pytest.mark.parametrize("length", [1, 3, 8, 40])
def test_the_sides_are_disjoint_and_uniform(length: int) -> None:
    sides = {}
    for side in ("train", "test"):
        found = sequences.draw(np.random.default_rng(1), 4000, length, side)
        assert (sequences.is_test(found) == (side == "test")).all()
        sides[side] = {row.tobytes() for row in found}
    assert not sides["train"] & sides["test"]
    if length == 3:
        counts = np.unique(found, axis=0, return_counts=True)[1]
        assert counts.min() > 0.85 * counts.mean()


@pytest.mark.parametrize("task", TASKS)
def test_the_neural_gpu_trains_and_is_judged_on_it(task: SequenceTask) -> None:
    numerics.settle()
    experiment = catalog.experiment("neural_gpu")
    settings = experiment.resolve(
        {"task": task, "bits": 4, "start_bits": 4, "maps": 8, "batch": 8, "learning_rate": 0.01}
        | {"eval_examples": 16, "beyond": (6,)}
    )
    spec = PackSpec("neural_gpu", experiment.shared_json(settings), 10, 20, 1, "end")
    pack = Pack(spec, torch.device("cpu"))
    pack.admit([Assignment(0, 1, 1, 1, 0, experiment.lane_values(settings))])
    pack.advance()
    [outcome] = pack.advance().outcomes
    assert {"digit_error@4", "digit_error@6"} <= outcome.metrics.keys()
    assert all(m.final is not None and 0 <= m.final <= 1 for m in outcome.metrics.values())

"""The Neural GPU's curriculum: lengths of steps, the way from level to level, and relaxation."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.neural_gpu import curriculum
from models.neural_gpu.program import NeuralGpu
from models.neural_gpu.settings import NeuralGpuSettings
from models.program import Leaves
from tests.models.lanes import CPU, lanes

GPU = {
    "init_weight": 1.0, "curriculum_bound": [0.5, 0.1, 0.5], "dropout": 0.0,
    "relaxation_pull": [0.09, 0.09, 0.2], "relaxation_growth": 2.0,
}  # fmt: skip


@pytest.mark.parametrize(("level", "longest"), [(1, 1), (1, 8), (5, 20), (20, 20)])
def test_chances_are_those_of_the_drawing_that_they_stand_for(level: int, longest: int) -> None:
    rng, n = np.random.default_rng(0), 400_000
    found = rng.integers(1, level + 1, n)
    twice = np.maximum(found, rng.integers(1, level + 1, n))
    found = np.where(rng.random(n) < 0.60, twice, found)
    beyond = np.maximum(found, rng.integers(1, longest + 1, n))
    found = np.where(rng.random(n) < 0.25, beyond, found)
    drawn = np.bincount(found, minlength=longest + 1)[1:] / n
    assert curriculum.chances(level, longest) == pytest.approx(drawn, abs=4e-3)
    assert curriculum.chances(level, longest).sum() == pytest.approx(1.0)


@pytest.mark.parametrize(("level", "longest"), [(1, 8), (5, 20), (20, 20)])
def test_a_schedule_holds_each_length_as_often_as_it_should(level: int, longest: int) -> None:
    for segment in (50, 1000):
        found = curriculum.schedule("mixed", level, longest, segment)
        often = np.bincount(found, minlength=longest + 1)[1:]
        assert np.abs(often - segment * curriculum.chances(level, longest)).max() < 4
        assert (found <= level).sum() > segment / 2
        assert len(set(found[: segment // 2])) > 1


def test_without_mixture_every_step_has_the_levels_length() -> None:
    assert curriculum.schedule("level", 3, 9, 5).tolist() == [3] * 5


def test_only_steps_up_to_the_level_decide_whether_a_lane_moves_on() -> None:
    """Steps beyond it are wrong as a rule, and must not hold a lane back."""
    program = NeuralGpu(
        NeuralGpuSettings(bits=12, start_bits=3, maps=4, batch=4, lengths="mixed"), 50, CPU
    )
    view = lanes(3, GPU, segment=50)
    params, state = program.init(view)
    tapes = program.batches(replace(view, state=state), 3)
    lengths = [t.shape[-1] for t in tapes.source]
    assert max(lengths) > 2 * 3 + 1
    assert [bool(c) for c in tapes.counted] == [n <= 2 * 3 + 1 for n in lengths]
    stats = torch.stack([program.loss(params, tapes, i)[1] for i in range(50)]).mean(0)
    counted = np.array(tapes.counted).mean()
    assert torch.equal(stats[:, 2], torch.full((3,), counted, dtype=torch.float64))
    assert (stats[:, 1] <= stats[:, 2]).all()
    made_right = torch.tensor([[0.2, 0.0, counted, 0.3]] * 3, dtype=torch.float64)
    assert program.boundary(params, state, made_right)["level"].tolist() == [4, 4, 4]


def relaxed() -> tuple[NeuralGpu, Leaves, Leaves]:
    program = NeuralGpu(NeuralGpuSettings(bits=3, start_bits=3, maps=4, relaxation=3), 2, CPU)
    params, state = program.init(lanes(3, GPU, segment=2))
    return program, params, state


def test_a_met_bound_pulls_the_sets_together_and_a_strong_pull_sets_them_to_their_mean() -> None:
    """Lane 0 meets its bound, lane 1 does not, lane 2 does with a strong pull."""
    program, params, state = relaxed()
    before = {name: leaf.clone() for name, leaf in params.items()}
    stats = torch.tensor([[0.1, 0.3, 1.0, 0.3]] * 3, dtype=torch.float64)
    after = program.boundary(params, state, stats)
    assert after["pull"].tolist() == pytest.approx([0.18, 0.09, 0.2])
    assert after["level"].tolist() == [3, 3, 3]
    sets = [f"set{i:02d}.cgru1.reset.w" for i in range(3)]
    mean = torch.stack([before[name] for name in sets]).mean(0)
    for name in sets:
        assert torch.equal(params[name][:2], before[name][:2])
        assert torch.equal(params[name][2], mean[2])
    others = [name for name in params if not name.startswith("set")]
    assert all(torch.equal(params[name], before[name]) for name in others)


def test_the_sets_distance_is_part_of_the_loss_by_each_lanes_pull() -> None:
    program, params, state = relaxed()
    view = lanes(3, GPU, segment=2)
    with_pull = program.batches(replace(view, state=state), 3)
    losses = program.loss(params, with_pull, 0)[0]
    without = replace(with_pull, pull=torch.zeros(3))
    plain = program.loss(params, without, 0)[0]
    ratio = (losses - plain) / program._distance(params)
    torch.testing.assert_close(ratio, state["pull"], rtol=1e-4, atol=0.0)
    for name in [n for n in params if n.startswith("set01")]:
        params[name.replace("set01", "set00")].copy_(params[name])
        params[name.replace("set01", "set02")].copy_(params[name])
    assert program._distance(params).abs().max() < 1e-8


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"relaxation": 12, "bits": 4}, "some would never be used"),
        ({"relaxation": 4, "bits": 3, "task": "copy"}, "lower relaxation or raise bits"),
        ({"relaxation": 0}, "greater than or equal to 1"),
        ({"relaxation_pull": -1.0}, "greater than or equal to 0"),
        ({"lengths": "any"}, "'level' or 'mixed'"),
        ({"bits": 3, "start_bits": 4}, "could not end"),
        ({"noise_eta": -0.1}, "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_is_refused_with_the_rule_and_the_cure(
    values: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        NeuralGpuSettings(**values)


def test_what_only_relaxation_reads_is_refused_without_it() -> None:
    found = NeuralGpuSettings(relaxation_pull=0.01).conflicts(100)
    assert [rule for rule, _ in found] == [
        "relaxation_pull 0.01 is read only with relaxation above 1, and relaxation is 1"
    ]
    assert not NeuralGpuSettings(relaxation_pull=0.01, relaxation=6, bits=8).conflicts(100)

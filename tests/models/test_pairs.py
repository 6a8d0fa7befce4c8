"""Pairs share init, data and evaluation draws to the bit; different settings share nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.catalog import experiments, program
from models.program import Lanes, Leaves, Program
from models.streams import TrialKey
from tests.models.lanes import CPU

SEGMENT = 4
PLAIN = {"noise_eta": 0.0, "dropout": 0.0, "learning_rate": 0.01}
NOISY = {"noise_eta": 1.0, "dropout": 0.5, "learning_rate": 0.1}


@dataclass(frozen=True)
class Family:
    """An experiment at a small size, and a level at which its lanes train."""

    name: str
    shared: Mapping[str, Any]
    level: int


FAMILIES = [
    Family("deep_mlp", {"depth": 3, "width": 8, "batch": 4}, 0),
    Family("neural_gpu", {"bits": 6, "maps": 4, "batch": 4, "eval_examples": 16}, 5),
    Family("neural_gpu", {"bits": 6, "maps": 4, "batch": 4, "lengths": "mixed"}, 3),
]


def built(family: Family) -> tuple[Program[Any], Mapping[str, float]]:
    """The program, and the default of every per-lane value."""
    experiment = experiments()[family.name]
    settings = experiment.resolve(dict(family.shared))
    return program(experiment)(settings, SEGMENT, CPU), experiment.lane_values(settings)


def two_lanes(
    defaults: Mapping[str, float],
    keys: tuple[TrialKey, TrialKey],
    arms: tuple[Mapping[str, float], Mapping[str, float]],
    start: int = 0,
) -> Lanes:
    """Two trials with the values of their arms."""
    values = {
        name: np.asarray([arm.get(name, default) for arm in arms], np.float64)
        for name, default in defaults.items()
    }
    return Lanes(keys, values, (start, start), SEGMENT, CPU)


def drawn(batches: object) -> list[Tensor]:
    """The examples among everything that a segment draws: integer tensors (steps, R, ...)."""
    found = [getattr(batches, f.name) for f in fields(batches)]  # type: ignore[arg-type]
    found += [t[None] for f in found if isinstance(f, list) for t in f if isinstance(t, Tensor)]
    return [t for t in found if isinstance(t, Tensor) and not t.is_floating_point()]


def halves(leaves: Leaves) -> list[tuple[Tensor, Tensor]]:
    """The two lanes' parts of every leaf that was drawn (a constant leaf is equal by nature)."""
    return [(t[0], t[1]) for t in leaves.values() if t[0].unique().numel() > 1]


@pytest.mark.parametrize(
    "family", FAMILIES, ids=lambda f: " ".join((f.name, f.shared.get("lengths", ""))).strip()
)
def test_the_arms_of_a_pair_start_equal_see_equal_batches_and_face_equal_tests(
    family: Family,
) -> None:
    made, defaults = built(family)
    key = TrialKey(root=5, setting=6, seed=7)
    for start in (0, SEGMENT, 10 * SEGMENT):
        lanes = two_lanes(defaults, (key, key), (PLAIN, NOISY), start)
        params, _ = made.init(lanes)
        assert halves(params)
        assert all(torch.equal(a, b) for a, b in halves(params))
        found = drawn(made.batches(lanes, family.level))
        assert found
        assert all(torch.equal(t[:, 0], t[:, 1]) for t in found)
        metrics = made.evaluate(params, lanes, "cheap")
        assert all(m[0] == m[1] for m in metrics.values())


@pytest.mark.parametrize(
    "other",
    [TrialKey(5, 60, 7), TrialKey(5, 6, 70), TrialKey(50, 6, 7)],
    ids=["setting", "seed", "root"],
)
@pytest.mark.parametrize(
    "family", FAMILIES, ids=lambda f: " ".join((f.name, f.shared.get("lengths", ""))).strip()
)
def test_another_setting_seed_or_root_shares_no_weight_and_no_batch(
    family: Family, other: TrialKey
) -> None:
    """Equal arms, so that only the key can make the difference."""
    made, defaults = built(family)
    lanes = two_lanes(defaults, (TrialKey(5, 6, 7), other), (PLAIN, PLAIN))
    params, _ = made.init(lanes)
    for mine, theirs in halves(params):
        equal = (mine == theirs).double().mean().item()
        assert equal < 0.01 + 2 / mine.numel()
    for examples in drawn(made.batches(lanes, family.level)):
        assert not torch.equal(examples[:, 0], examples[:, 1])


@pytest.mark.parametrize(
    "family", FAMILIES, ids=lambda f: " ".join((f.name, f.shared.get("lengths", ""))).strip()
)
def test_a_step_or_level_further_on_draws_other_batches(family: Family) -> None:
    made, defaults = built(family)
    key = TrialKey(5, 6, 7)
    first, later = (
        drawn(made.batches(two_lanes(defaults, (key, key), (PLAIN, PLAIN), s), family.level))
        for s in (0, SEGMENT)
    )
    assert all(not torch.equal(a, b) for a, b in zip(first, later, strict=True))


def test_evaluation_pairs_of_another_setting_are_other_pairs() -> None:
    """With one network for both lanes, the errors differ because the questions do."""
    family = FAMILIES[1]
    made, defaults = built(family)
    lanes = two_lanes(defaults, (TrialKey(5, 6, 7), TrialKey(5, 60, 7)), (PLAIN, PLAIN))
    params, _ = made.init(lanes)
    one = {name: leaf[:1].expand_as(leaf).contiguous() for name, leaf in params.items()}
    found = made.evaluate(one, lanes, "cheap")
    assert found["digit_error@6"][0] != found["digit_error@6"][1]

"""Dropout in a lifted network draws from each lane's own dropout stream, and from no other."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.nn import functional

from models import catalog
from models.lifting.dropout import Drop, Dropping, Noting
from models.lifting.program import Lifted
from models.lifting.refusals import LiftError
from tests.models.lanes import CPU, lanes
from tests.models.lifting.mlp import MLP, MlpSettings
from workers import numerics


def lifted(rate: float) -> Lifted:
    numerics.settle()
    program = catalog.program(MLP)(MlpSettings(dropout=rate), 3, CPU)
    assert isinstance(program, Lifted)
    return program


def losses(program: Lifted, seeds: list[int]) -> list[float]:
    view = lanes(8, MLP.lane_values(program.settings), segment=3)
    view = replace(view, keys=tuple(replace(view.keys[0], seed=s) for s in seeds))
    params, _ = program.init(view)
    batches = program.batches(view, 0)
    return [x for step in range(3) for x in program.loss(params, batches, step)[0].tolist()]


def test_a_lanes_masks_do_not_depend_on_its_row_or_its_neighbours() -> None:
    program = lifted(0.5)
    one = losses(program, [0, 1, 2, 3, 4, 5, 6, 7])
    other = losses(program, [9, 9, 9, 9, 9, 0, 9, 8])
    assert [one[8 * step] for step in range(3)] == [other[8 * step + 5] for step in range(3)]
    plain = losses(lifted(0.0), [0, 1, 2, 3, 4, 5, 6, 7])
    assert all(a != b for a, b in zip(one, plain, strict=True))


def test_examples_do_not_depend_on_whether_a_network_drops() -> None:
    """Arms with and without dropout are pairs: equal data, equal initial weights."""
    view = lanes(8, MLP.lane_values(MlpSettings()), segment=3)
    dropping, plain = lifted(0.5), lifted(0.0)
    assert torch.equal(
        dropping.batches(view, 0).batch["chosen"], plain.batches(view, 0).batch["chosen"]
    )
    assert torch.equal(dropping.init(view)[0]["w00"], plain.init(view)[0]["w00"])
    assert not plain.batches(view, 0).generators


def test_evaluation_drops_nothing() -> None:
    program = lifted(0.5)
    view = lanes(8, MLP.lane_values(program.settings), segment=3)
    params, _ = program.init(view)
    one, other = (program.evaluate(params, view, "cheap")["test_accuracy"] for _ in range(2))
    assert torch.equal(one, other)


def test_masks_keep_the_share_they_should_and_their_mean() -> None:
    mask = Drop((200, 500), 0.8).draw([torch.Generator().manual_seed(0)])
    assert sorted(mask.unique().tolist()) == pytest.approx([0.0, 1.25])
    assert mask.mean().item() == pytest.approx(1.0, abs=0.01)
    assert not Drop((3,), 0.0).draw([torch.Generator()]).any()


def test_modules_and_functions_are_noted_in_order_and_dropped_in_order() -> None:
    module = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 2), nn.Dropout(0.25, inplace=True))

    def run(x: Tensor) -> Tensor:
        out: Tensor = functional.dropout(module(x), p=0.0)
        return torch.dropout(out, 0.5, train=False)

    with Noting() as noted:
        run(torch.ones(4, 3))
    assert noted.drops == [Drop((4, 3), 0.5), Drop((4, 2), 0.75)]
    masks = [torch.zeros(8, 4, 3), torch.ones(8, 4, 2)]

    def dropped(x: Tensor, m: list[Tensor]) -> Tensor:
        with Dropping(m):
            return run(x)

    out = vmap(dropped)(torch.ones(8, 4, 3), masks)
    torch.testing.assert_close(out, module[1].bias.expand(8, 4, 2))


def test_calls_that_change_from_step_to_step_are_refused() -> None:
    with pytest.raises(LiftError, match="each step makes the same calls"), Dropping([]):
        functional.dropout(torch.ones(3))
    with pytest.raises(LiftError, match="shape \\(3,\\)"), Dropping([torch.ones(4)]):
        functional.dropout(torch.ones(3))

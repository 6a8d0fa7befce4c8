"""A lifted network's loss and gradients are those of plain torch, and of the built-in program."""

import numpy as np
import pytest
import torch
from digits_cnn.description import EXPERIMENT as CNN
from digits_cnn.description import DigitsCnnSettings
from digits_cnn.network import DigitsCnn
from digits_cnn.network import network as cnn
from torch import Tensor
from torch.nn.functional import cross_entropy

from models import catalog
from models.deep_mlp.program import DeepMlp, DigitBatches
from models.deep_mlp.settings import DeepMlpSettings
from models.lifting.program import Lifted
from models.program import Leaves, Program
from tests.models.lanes import CPU, lanes
from tests.models.lifting.mlp import MLP, Mlp, MlpSettings
from workers import numerics

ROWS = 8


@pytest.fixture(autouse=True)
def _settled() -> None:
    numerics.settle()


def values(experiment: object, settings: object) -> dict[str, float]:
    """Per-lane defaults."""
    return experiment.lane_values(settings)  # type: ignore[attr-defined, no-any-return]


def differentiated(
    program: Program[object], params: Leaves, batches: object
) -> tuple[Tensor, Leaves]:
    """Loss (R,) and gradients of step 1, as the engine takes them."""
    leaves = {k: v.clone().requires_grad_() for k, v in params.items()}
    loss, _ = program.loss(leaves, batches, 1)
    grads = torch.autograd.grad(loss.sum(), list(leaves.values()))
    return loss.detach(), dict(zip(leaves, grads, strict=True))


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def lifted_mlp(**shared: object) -> Lifted:
    program = catalog.program(MLP)(MlpSettings.model_validate(shared), 3, CPU)
    assert isinstance(program, Lifted)
    return program


def test_a_lifted_mlp_is_each_network_alone_under_plain_autograd() -> None:
    program = lifted_mlp(depth=5)
    view = lanes(ROWS, values(MLP, program.settings), segment=3)
    params, _ = program.init(view)
    drawn = program.batches(view, 0)
    loss, grads = differentiated(program, params, drawn)
    assert isinstance(program.network, Mlp)
    for lane in range(ROWS):
        own = {k: v[lane].clone().requires_grad_() for k, v in params.items()}
        expected = program.network.loss(own, {"chosen": drawn.batch["chosen"][1, lane]}, {})
        expected.backward()  # type: ignore[no-untyped-call]
        close(loss[lane], expected.detach())
        for name, leaf in own.items():
            assert leaf.grad is not None
            close(grads[name][lane], leaf.grad)


def test_a_lifted_mlp_agrees_with_the_lane_first_deep_mlp() -> None:
    """Equal weights, equal examples: the same network in two hands."""
    ours = lifted_mlp(depth=5, width=20, batch=8)
    theirs = DeepMlp(DeepMlpSettings(depth=5, width=20, batch=8), 3, CPU)
    view = lanes(ROWS, values(MLP, ours.settings), segment=3)
    params, _ = ours.init(view)
    drawn = ours.batches(view, 0)
    loss, grads = differentiated(ours, params, drawn)
    same = DigitBatches(drawn.batch["chosen"], np.ones(ROWS), np.zeros((ROWS, 4), np.uint32))
    expected, their_grads = differentiated(theirs, params, same)
    close(loss, expected)
    assert grads.keys() == their_grads.keys()
    for name, grad in grads.items():
        close(grad, their_grads[name])


def test_a_lifted_module_is_that_module_with_each_trials_own_initial_weights() -> None:
    """The example's CNN: init is nn's own under the lane's stream; loss and gradients are nn's."""
    settings = DigitsCnnSettings(maps=4, batch=8)
    program = catalog.program(CNN)(settings, 3, CPU)
    assert isinstance(program, Lifted)
    assert isinstance(program.network, DigitsCnn)
    view = lanes(ROWS, values(CNN, settings), segment=3)
    params, _ = program.init(view)
    drawn = program.batches(view, 0)
    loss, grads = differentiated(program, params, drawn)
    assert len({params["0.weight"][lane].sum().item() for lane in range(ROWS)}) == ROWS
    for lane in (0, 5):
        module = cnn(settings)
        module.load_state_dict({k: v[lane] for k, v in params.items()})
        chosen = drawn.batch["chosen"][1, lane]
        logits = module(program.network.images[chosen])
        expected = cross_entropy(logits, program.network.labels[chosen])
        expected.backward()  # type: ignore[no-untyped-call]
        close(loss[lane], expected.detach())
        for name, leaf in module.named_parameters():
            assert leaf.grad is not None
            close(grads[name][lane], leaf.grad)


def test_draws_are_each_lanes_own_and_go_on_from_segment_to_segment() -> None:
    program = lifted_mlp()
    defaults = values(MLP, program.settings)
    first = program.batches(lanes(ROWS, defaults, segment=3), 0).batch["chosen"]
    again = program.batches(lanes(ROWS, defaults, segment=3), 0).batch["chosen"]
    later = program.batches(lanes(ROWS, defaults, start=3, segment=3), 0).batch["chosen"]
    assert torch.equal(first, again)
    assert not torch.equal(first, later)
    assert len({tuple(first[:, lane].flatten().tolist()) for lane in range(ROWS)}) == ROWS

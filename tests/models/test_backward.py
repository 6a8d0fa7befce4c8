"""Backward passes written by hand are autograd's, dropout included."""

import pytest
import torch

from models.deep_mlp.program import DeepMlp
from models.deep_mlp.settings import DeepMlpSettings
from models.neural_gpu.cgru import Cell, step
from models.neural_gpu.recurrence import recurrence
from tests.models.lanes import CPU, lanes

MLP = {"init_std": 0.3, "dropout": [0.0, 0.3, 0.1]}


@pytest.mark.parametrize("dropout", [0.0, [0.0, 0.3, 0.1]], ids=["none", "some lanes"])
def test_the_deep_mlps_gradients_are_those_of_its_loss(dropout: object) -> None:
    program = DeepMlp(DeepMlpSettings(depth=3, width=7, batch=5), 4, CPU)
    view = lanes(3, MLP | {"dropout": dropout}, segment=4)
    params = program.init(view)[0]
    batches = program.batches(view, 0)
    for index in (0, 3):
        leaves = {k: v.clone().requires_grad_() for k, v in params.items()}
        loss, stats = program.loss(leaves, batches, index)
        grads = torch.autograd.grad(loss.sum(), list(leaves.values()))
        direct_loss, direct_stats, found = program.gradients(params, batches, index)
        torch.testing.assert_close(direct_loss, loss.detach())
        assert torch.equal(direct_stats, stats)
        assert found.keys() == leaves.keys()
        for name, expected in zip(leaves, grads, strict=True):
            torch.testing.assert_close(found[name], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("shape", [(3, 4, 5, 12), (1, 1, 1, 4), (2, 3, 9, 32)])
def test_the_compiled_recurrence_is_the_formulas(
    shape: tuple[int, int, int, int], *, dropped: bool
) -> None:
    """Forward to 1e-6, gradients by state, matrices and biases to 1e-5 of the largest."""
    lanes_, _, length, wide = shape
    torch.manual_seed(0)
    cells = [
        Cell(
            torch.randn(lanes_, 3 * wide, 2 * wide) * 0.2,
            torch.randn(lanes_, 1, 2 * wide),
            torch.randn(lanes_, 3 * wide, wide) * 0.2,
            torch.randn(lanes_, 1, wide),
        )
        for _ in range(2)
    ]
    state = torch.randn(shape)
    inputs = [state, *(t for c in cells for t in c)]
    for tensor in inputs:
        tensor.requires_grad_()
    scales = (torch.rand(length, *shape) < 0.8).float() / 0.8 if dropped else None
    found = recurrence(state, cells, 1.2, scales)
    expected = state
    for time in range(length):
        if scales is not None:
            expected = expected * scales[time]
        for weights in cells:
            expected = step(expected, weights, 1.2)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=2e-6)
    by = torch.randn(shape)
    ours = torch.autograd.grad((found * by).sum(), inputs)
    theirs = torch.autograd.grad((expected * by).sum(), inputs)
    for one, other in zip(ours, theirs, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()


def test_without_gradients_the_recurrence_keeps_nothing() -> None:
    cell = Cell(
        torch.ones(1, 12, 8), torch.ones(1, 1, 8), torch.ones(1, 12, 4), torch.ones(1, 1, 4)
    )
    with torch.inference_mode():
        found = recurrence(torch.ones(1, 2, 3, 4), [cell], 1.2, None)
    assert found.grad_fn is None

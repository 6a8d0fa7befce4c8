"""Backward passes written by hand are autograd's, dropout included."""

import pytest
import torch

from models.deep_mlp.program import DeepMlp
from models.deep_mlp.settings import DeepMlpSettings
from models.kernels.leaves import LeafList
from models.neural_gpu.cgru import Cell, matrices, step
from models.neural_gpu.recurrence import Rooms, recurrence
from tests.models.lanes import CPU, lanes

MLP = {"init_std": 0.3, "dropout": [0.0, 0.3, 0.1]}


@pytest.mark.parametrize("dropout", [0.0, [0.0, 0.3, 0.1]], ids=["none", "some lanes"])
@pytest.mark.parametrize(
    ("width", "batch", "depth"),
    [(7, 8, 3), (3, 9, 1), (50, 32, 3), (65, 33, 3), (8, 17, 3), (12, 8, 101)],
)
def test_the_deep_mlps_gradients_are_those_of_its_loss(
    width: int, batch: int, depth: int, dropout: object
) -> None:
    program = DeepMlp(DeepMlpSettings(depth=depth, width=width, batch=batch, init="he"), 4, CPU)
    view = lanes(3, MLP | {"dropout": dropout}, segment=4)
    params = program.init(view)[0]
    batches = program.batches(view, 0)
    for index in (0, 3):
        leaves = {k: v.clone().requires_grad_() for k, v in params.items()}
        loss, stats = program.loss(leaves, batches, index)
        grads = torch.autograd.grad(loss.sum(), list(leaves.values()))
        direct_loss, direct_stats, found = program.gradients(LeafList(params), batches, index)
        torch.testing.assert_close(direct_loss, loss.detach())
        torch.testing.assert_close(direct_stats, stats)
        assert found.names == sorted(leaves)
        by_name = dict(zip(leaves, grads, strict=True))
        for name, leaf in zip(found.names, found.tensors, strict=True):
            room = 1e-5 if depth < 100 else 1e-3  # of a hundred layers the last digits part
            assert (leaf - by_name[name]).abs().max() <= room * by_name[name].abs().max()


@pytest.mark.parametrize("relaxation", [1, 3])
@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize(
    ("shape", "width"),
    [
        ((3, 4, 5, 12), 3),
        ((1, 1, 1, 4), 4),
        ((2, 3, 9, 32), 4),
        ((2, 2, 4, 9), 1),
        ((1, 2, 3, 10), 2),
    ],
)
def test_the_compiled_recurrence_is_the_formulas(
    shape: tuple[int, int, int, int], width: int, relaxation: int, *, dropped: bool
) -> None:
    """Forward to 1e-6, gradients by state, kernels and biases to 1e-5 of the largest."""
    lanes_, _, length, wide = shape
    maps = wide // width
    torch.manual_seed(0)
    sets = [
        [
            Cell(
                torch.randn(lanes_, 3, 3, maps, 2 * maps) * 0.2,
                torch.randn(lanes_, 2 * maps),
                torch.randn(lanes_, 3, 3, maps, maps) * 0.2,
                torch.randn(lanes_, maps),
            )
            for _ in range(2)
        ]
        for _ in range(relaxation)
    ]
    state = torch.randn(shape)
    used = sets[: min(relaxation, length)]
    inputs = [state, *(t for cells in used for c in cells for t in c)]
    for tensor in inputs:
        tensor.requires_grad_()
    scales = None
    if dropped:
        scales = (torch.rand(lanes_, length, *shape[1:]) < 0.8).float() / 0.8
    found = recurrence(state, sets, width, 1.2, scales)
    expected = state
    for time in range(length):
        if scales is not None:
            expected = expected * scales[:, time]
        for each in sets[time % relaxation]:
            expected = step(expected, matrices(each, width), width, 1.2)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=2e-6)
    by = torch.randn(shape)
    ours = torch.autograd.grad((found * by).sum(), inputs)
    theirs = torch.autograd.grad((expected * by).sum(), inputs)
    for one, other in zip(ours, theirs, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()


def test_without_gradients_the_recurrence_keeps_nothing() -> None:
    ones = (torch.ones(1, *more) for more in ((3, 3, 4, 8), (8,), (3, 3, 4, 4), (4,)))
    rooms = Rooms()
    with torch.inference_mode():
        found = recurrence(torch.ones(1, 2, 3, 4), [[Cell(*ones)]], 1, 1.2, None, rooms)
    assert found.grad_fn is None
    assert rooms.take(1, 1, 4, 2, 3).states.any()  # the room that was given back


def test_a_room_of_as_many_positions_but_another_layout_is_clean() -> None:
    """Two examples of 3 and one of 7 take 9 positions each; the zeros between lie elsewhere."""
    torch.manual_seed(0)
    cell = Cell(*(torch.randn(1, *m) for m in ((3, 3, 4, 8), (8,), (3, 3, 4, 4), (4,))))
    first, second = torch.randn(1, 1, 7, 4), torch.randn(1, 2, 3, 4)
    rooms = Rooms()
    with torch.inference_mode():
        alone = recurrence(second, [[cell]], 1, 1.2, None)
        recurrence(first, [[cell]], 1, 1.2, None, rooms)
        after = recurrence(second, [[cell]], 1, 1.2, None, rooms)
    assert torch.equal(alone, after)


def test_two_passes_before_their_ways_back_do_not_share_what_they_keep() -> None:
    torch.manual_seed(0)
    cell = Cell(*(torch.randn(1, *m) for m in ((3, 3, 4, 8), (8,), (3, 3, 4, 4), (4,))))
    rooms, states = Rooms(), [torch.randn(1, 2, 3, 4, requires_grad=True) for _ in range(2)]
    apart = [torch.autograd.grad(recurrence(s, [[cell]], 1, 1.2, None).sum(), s)[0] for s in states]
    both = [recurrence(s, [[cell]], 1, 1.2, None, rooms) for s in states]
    found = [torch.autograd.grad(out.sum(), s)[0] for out, s in zip(both, states, strict=True)]
    assert all(torch.equal(one, other) for one, other in zip(apart, found, strict=True))

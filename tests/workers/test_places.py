"""A trainer says where a trial ran: its pack, and the row in which it began."""

import pytest
import torch

from workers import numerics
from workers.messages import Assignment, Order, Outcome, PackSpec
from workers.trainer import Trainer


def order(trials: range, steps: int, **changes: object) -> Order:
    """Small networks for one segment or more; a learning rate of infinity diverges at once."""
    shared = {"depth": 2, "width": 4, "batch": 4}
    from models.catalog import experiment  # noqa: PLC0415 - beside its only use

    chosen = experiment("deep_mlp")
    settings = chosen.resolve(shared)
    segment = chosen.segment(settings)
    pack = PackSpec("deep_mlp", shared, segment, steps * segment, 1, "end")
    add = tuple(Assignment(t, 1, 7, 9, t, {}) for t in trials)
    return Order(pack, add, lanes=4, slice_s=0.0, **changes)  # type: ignore[arg-type]


def trained(trainer: Trainer, first: Order) -> list[Outcome]:
    """Everything that an order and empty ones after it yield."""
    answer = trainer.advance(first)
    found = list(answer.outcomes)
    while answer.held:
        answer = trainer.advance(Order(first.pack, lanes=4, slice_s=0.0))
        found += answer.outcomes
    return found


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    return Trainer()


def test_each_outcome_names_its_pack_and_the_row_in_which_it_began(trainer: Trainer) -> None:
    """Of six trials four begin at once; two take rows that became free."""
    found = trained(trainer, order(range(1, 7), 2))
    assert {o.trial: o.lane for o in found} == {1: 0, 2: 1, 3: 2, 4: 3, 5: 0, 6: 1}
    first = {o.pack for o in found}
    assert len(first) == 1
    again = trained(trainer, order(range(7, 9), 3))
    assert {o.pack for o in again} == {1 + p for p in first if p is not None}
    assert {o.trial: o.lane for o in again} == {7: 0, 8: 1}


def test_nothing_is_kept_of_trials_that_were_dropped(trainer: Trainer) -> None:
    asked = order(range(20, 23), 50)
    assert len(trainer.advance(asked).held) == 3
    gone = tuple((a.trial, a.attempt) for a in asked.add)
    answer = trainer.advance(Order(asked.pack, cancel=gone, lanes=4, slice_s=0.0))
    assert set(answer.dropped) == set(gone)
    assert trainer._rows == {}


def test_a_worker_tells_its_device_apart_from_others(trainer: Trainer) -> None:
    assert trainer.describe().device == numerics.node().split(":")[0] + " cpu"
    assert torch.device("cpu").type == "cpu"

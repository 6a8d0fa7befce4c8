"""Whatever Ray says instead of an answer becomes a reply, never an exception."""

from typing import Any

import pytest
import ray.exceptions
from ray.exceptions import RayError, RayTaskError

from workers.messages import Return
from workers.pool import Call, Pool

LOST: list[RayError] = [
    ray.exceptions.ActorDiedError(),
    ray.exceptions.ActorUnavailableError("no route", None),
    ray.exceptions.OutOfMemoryError("the node is short of memory"),
    ray.exceptions.RaySystemError("cannot be read back"),
    ray.exceptions.ObjectLostError("ff" * 28, None, ""),
    ray.exceptions.OwnerDiedError("ff" * 28, None, ""),
    ray.exceptions.WorkerCrashedError(),
    ray.exceptions.NodeDiedError("gone"),
]


class StandIn:
    """Ray, as far as the pool asks it for an answer."""

    exceptions = ray.exceptions

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.killed: list[str] = []

    def wait(
        self, refs: list[str], num_returns: int, timeout: float
    ) -> tuple[list[str], list[str]]:
        return refs[:num_returns], []

    def get(self, ref: str) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def kill(self, actor: str) -> None:
        self.killed.append(actor)


def pool_with(answer: Any) -> Pool:
    """A pool with one call in flight, to which this is the answer."""
    pool = Pool(1)
    pool._ray = StandIn(answer)
    pool._actors = {"worker-1": "actor"}
    pool._calls = {"ref": Call("worker-1")}
    return pool


@pytest.mark.parametrize("error", LOST, ids=lambda e: type(e).__name__)
def test_an_answer_that_will_never_come_is_a_lost_worker(error: RayError) -> None:
    """Its trials run again; the actor, should it live, is ended when it is discarded."""
    pool = pool_with(error)
    [reply] = pool.wait(0.0)
    assert (reply.value, reply.error) == (None, None)
    assert reply.lost is not None
    assert type(error).__name__ in reply.lost
    pool.discard("worker-1")
    assert pool._ray.killed == ["actor"]


def test_an_exception_of_the_trainer_is_an_error_of_a_worker_that_lives() -> None:
    raised = RayTaskError("advance", "Traceback\n  in advance\nValueError: no", ValueError("no"))
    [reply] = pool_with(raised.as_instanceof_cause()).wait(0.0)
    assert reply.lost is None
    assert "ValueError" in (reply.error or "")


def test_an_answer_is_handed_on() -> None:
    [reply] = pool_with(Return(lane_steps=7)).wait(0.0)
    assert reply.value == Return(lane_steps=7)


def test_a_worker_that_cannot_be_asked_who_it_is_takes_no_other_answer_with_it() -> None:
    """Ray's head is away for a moment; the pool would forget answers that came at the same time."""
    pool = pool_with(Return(lane_steps=7))  # it knows no nodes
    pool._actors["worker-2"] = "actor"
    pool._calls["placed"] = Call("worker-2", placing=True)
    answer, lost = pool.wait(0.0)
    assert (answer.worker, answer.value) == ("worker-1", Return(lane_steps=7))
    assert lost.worker == "worker-2"
    assert "could not be asked" in (lost.lost or "")

"""The same trials through Ray actors are the same bits."""

import os
import signal

import pytest

from tests.laws import Case, assignments, run, same
from tests.workers.test_pack_laws import deep_mlp, neural_gpu
from workers.messages import Assignment, Order, Outcome, Return, WorkerDescription
from workers.pool import Pool, Reply

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]


def answers(pool: Pool, count: int) -> list[Reply]:
    """So many answers."""
    found: list[Reply] = []
    while len(found) < count:
        found += pool.wait(60.0)
    return found


def through(pool: Pool, worker: str, case: Case, trials: list[Assignment]) -> list[Outcome]:
    """Trains trials in a worker, order after order, until it holds none."""
    found: list[Outcome] = []
    order = Order(case.spec, tuple(trials), lanes=3, slice_s=1e9)
    while True:
        pool.send(worker, order)
        [reply] = answers(pool, 1)
        assert isinstance(reply.value, Return)
        found += reply.value.outcomes
        if not reply.value.held:
            return found
        order = Order(case.spec, lanes=3, slice_s=1e9)


def test_trials_through_ray_are_the_same_bits_and_a_killed_worker_is_said_to_be_lost() -> None:
    pool = Pool(2)
    pool.start()
    try:
        workers = [pool.spawn(), pool.spawn()]
        described = {r.worker: r.value for r in answers(pool, 2)}
        for worker, case in zip(workers, [deep_mlp("adam"), neural_gpu("8 maps")], strict=True):
            trials = assignments(case, 5)
            local = run(case.spec, trials, 4)
            returned = {o.trial: o for o in through(pool, worker, case, trials)}
            assert set(returned) == set(range(5))
            assert all(same(returned[i], local[i]) for i in range(5))
        victim = described[workers[0]]
        assert isinstance(victim, WorkerDescription)
        os.kill(int(victim.node.rpartition(":")[2]), signal.SIGKILL)
        case = deep_mlp("adam")
        pool.send(workers[0], Order(case.spec, tuple(assignments(case, 1))))
        [reply] = answers(pool, 1)
        assert reply.lost
    finally:
        pool.stop()

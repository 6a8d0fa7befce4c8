"""The same trials through Ray actors are the same bits."""

import os
import signal
from typing import Any

import pytest

from tests.company import Ride, check_company
from tests.laws import Case, crowd, different, leaving, orders, ride, run
from tests.workers.test_pack_laws import deep_mlp, neural_gpu
from workers.messages import Assignment, Order, Outcome, PackSpec, Return, WorkerDescription
from workers.numerics import code_version
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


#: fewer lanes than trials, so that lanes are refilled in the middle
LANES = 3
CASES = [
    deep_mlp("adam"),
    neural_gpu("8 maps"),
    neural_gpu("12 maps", maps=12, batch=3),
    neural_gpu("24 maps", maps=24, batch=2),
]


def through(pool: Pool, worker: str, spec: PackSpec, trials: list[Assignment]) -> list[Outcome]:
    """Trains trials in a worker, order after order, until it holds none."""
    found: list[Outcome] = []
    order = Order(spec, tuple(trials), lanes=LANES, slice_s=1e9)
    while True:
        pool.send(worker, order)
        [reply] = answers(pool, 1)
        assert isinstance(reply.value, Return), reply
        assert not reply.value.failures, reply.value.failures[0].traceback
        found += reply.value.outcomes
        if not reply.value.held:
            return found
        order = Order(spec, lanes=LANES, slice_s=1e9)


def check_through_ray(pool: Pool, worker: str, case: Case) -> None:
    """In an actor's lanes, with neighbours that diverge, leave and are refilled, as alone here."""
    trials = crowd(case, 9)
    spec = leaving(case, trials)
    alone = {t.trial: run(spec, [t], 1)[t.trial] for t in trials}
    [trials] = orders(case, trials, alone, LANES, 1)
    together = ride(spec, trials, LANES)  # the lanes that the actor's buffer fills, in its order
    check_company(case.name, LANES, [together], together.outcomes)
    returned = through(pool, worker, spec, trials)
    assert sorted(o.trial for o in returned) == sorted(alone), case.name
    there = Ride({o.trial: o for o in returned}, together.segments)
    assert list(different(alone, there, LANES)) == [], case.name


def test_trials_through_ray_are_the_same_bits_and_a_killed_worker_is_said_to_be_lost() -> None:
    """At 8, 12 and 24 maps and in the deep MLP; one Ray for all, since it takes seconds."""
    pool = Pool(2)
    pool.start()
    try:
        workers = [pool.spawn(), pool.spawn()]
        described: dict[str, Any] = {r.worker: r.value for r in answers(pool, 2)}
        assert all(isinstance(d, WorkerDescription) for d in described.values())
        here = code_version()
        assert all(d.numerics["code"] == here for d in described.values())
        for i, case in enumerate(CASES):
            check_through_ray(pool, workers[i % 2], case)
        os.kill(int(described[workers[0]].node.rpartition(":")[2]), signal.SIGKILL)
        pool.send(workers[0], Order(CASES[0].spec, tuple(crowd(CASES[0], 1))))
        [reply] = answers(pool, 1)
        assert reply.lost
    finally:
        pool.stop()

"""Run times that depend on what a trial becomes: evidence by settled cohorts, and by arrivals.

Both arms succeed equally often. Arm a's failures often diverge early, and its successes come late;
arm b's successes leave early, and its failures take the whole budget. So among the trials that have
finished so far a looks worse than b, at any moment of the run, though each formula is right.
"""

import heapq
import math
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine

from service.evidence.pairs import Pairs
from service.evidence.rates import Rate
from service.evidence.sequential import log_e_difference, log_e_paired, rate_sequence
from service.store.claims import AHEAD
from service.store.engine import session_factory
from service.store.progress import progress
from tests.service.samples import outcome
from tests.service.store.test_conformance import claim, complete, create
from workers.messages import Assignment

RATE, ALPHA = 0.3, 0.05
RUNS, COHORTS, COHORT, LANES, LOOKS = 300, 20, 60, 180, 30
PAIRS = COHORTS * COHORT
#: four standard errors of a share of 5 % in so many runs
SLACK = 4 * (ALPHA * (1 - ALPHA) / RUNS) ** 0.5

Won = NDArray[np.bool_]  # (runs, pairs, arms)
Ends = NDArray[np.float64]  # (runs, pairs, arms) when a trial ended


def durations(rng: np.random.Generator, won: Won) -> Ends:
    """In budgets. Of arm a's failures 60 % diverge in the first fifth of it."""
    taken = np.ones(won.shape)
    early = 0.2 * rng.random(won.shape)
    diverges = rng.random(won.shape[:2]) < 0.6
    taken[..., 0] = np.where(won[..., 0], 0.8 + early[..., 0], taken[..., 0])
    taken[..., 0] = np.where(~won[..., 0] & diverges, early[..., 0], taken[..., 0])
    taken[..., 1] = np.where(won[..., 1], early[..., 1], taken[..., 1])
    return taken


def run(taken: Ends) -> Ends:
    """When each trial ends, on lanes that are refilled in order; cohorts are claimed as we do."""
    runs = np.arange(len(taken))
    free = np.zeros((len(taken), LANES))
    settled = np.zeros((len(taken), COHORTS + 1))  # when cohorts were terminal in order
    ends = np.empty_like(taken)
    for pair in range(PAIRS):
        cohort = pair // COHORT
        may_start = settled[:, max(0, cohort - AHEAD)]
        for arm in range(2):
            lane = free.argmin(axis=1)
            ends[:, pair, arm] = np.maximum(free[runs, lane], may_start) + taken[:, pair, arm]
            free[runs, lane] = ends[:, pair, arm]
        last = ends[:, pair].max(axis=1)
        before = np.maximum(settled[:, cohort], settled[:, cohort + 1])
        settled[:, cohort + 1] = np.maximum(before, last)
    return ends


def settled_at(ends: Ends, moment: NDArray[np.float64], cohort: int = COHORT) -> NDArray[np.bool_]:
    """(runs, pairs, arms) trials of cohorts that are terminal and so are all before them."""
    cohorts = ends.shape[1] // cohort
    done = (ends <= moment[:, None, None]).reshape(len(ends), cohorts, -1).all(axis=2)
    in_order = np.logical_and.accumulate(done, axis=1)
    return np.broadcast_to(np.repeat(in_order, cohort, axis=1)[..., None], ends.shape)


def arrived_at(ends: Ends, moment: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(runs, pairs, arms) trials that have finished."""
    return ends <= moment[:, None, None]


@cache
def rate_is_held(k: int, n: int) -> bool:
    low, high = rate_sequence(k, n)
    return low <= RATE <= high


@cache
def found_against(table: tuple[int, int, int, int]) -> tuple[bool, bool]:
    """Whether the e-process rejects that the arms are equal, and the sequence leaves 0 out."""
    pairs = Pairs(*table)
    limit = -math.log(ALPHA)
    return log_e_paired(pairs.only_a, pairs.only_b) >= limit, log_e_difference(pairs, 0.0) >= limit


def misled(won: Won, ends: Ends, seen_at) -> NDArray[np.float64]:  # noqa: ANN001
    """Shares of runs in which, at some look, each kind of evidence is against what is so.

    Of the e-process, of the difference's sequence, of arm a's rate's, of arm b's.
    """
    wrong = np.zeros((len(won), 4), bool)
    for share in np.arange(1, LOOKS + 1) / LOOKS:
        seen = seen_at(ends, share * ends.max(axis=(1, 2)))
        both = seen.all(axis=2)
        a, b = won[..., 0], won[..., 1]
        tables = np.stack([(both & x & y).sum(axis=1) for x in (a, ~a) for y in (b, ~b)], axis=1)
        k, n = (won & seen).sum(axis=1), seen.sum(axis=1)
        for i in range(len(won)):
            if not both[i].any():
                continue
            wrong[i, :2] |= found_against(tuple(tables[i].tolist()))
            wrong[i, 2:] |= [not rate_is_held(int(k[i, j]), int(n[i, j])) for j in range(2)]
    return wrong.mean(axis=0)


@pytest.fixture(scope="module")
def world() -> tuple[Won, Ends]:
    rng = np.random.default_rng(51)
    won = rng.random((RUNS, PAIRS, 2)) < RATE
    return won, run(durations(rng, won))


def test_settled_cohorts_hold_at_all_looks_and_arrivals_mislead(world: tuple[Won, Ends]) -> None:
    """The same formulas at the same moments: only what they are given differs."""
    ours, naive = misled(*world, settled_at), misled(*world, arrived_at)
    assert (ours <= ALPHA).all(), ours
    assert (naive > 0.5).all(), naive


def test_the_store_settles_what_the_simulation_takes_as_settled(sqlite: Engine) -> None:
    """A sweep run on the store with such run times: after each trial, the same trials count."""
    sessions = session_factory(sqlite)
    cohorts, cohort, lanes = 6, 4, 7
    sweep = create(sessions, grid={"learning_rate": [0.1]}, seeds=cohorts * cohort, cohort=cohort)
    rng = np.random.default_rng(56)
    won = rng.random((1, cohorts * cohort, 2)) < RATE
    taken, ends = durations(rng, won)[0], np.full(won.shape, np.inf)
    running: list[tuple[float, int, Assignment]] = []
    now = 0.0
    while running or not np.isfinite(ends).all():
        for task in claim(sessions, sweep, lanes - len(running)):
            arm = int(task.values["noise_eta"] > 0)
            heapq.heappush(running, (now + taken[task.seed, arm], task.trial, task))
        now, _, task = heapq.heappop(running)
        arm = int(task.values["noise_eta"] > 0)
        ends[0, task.seed, arm] = now
        complete(sessions, [outcome(task, 0.95 if won[0, task.seed, arm] else 0.1)])
        counts = settled_at(ends, np.array([now]), cohort)
        with sessions() as session:
            found = progress(session, sweep)
        for arm in range(2):
            settled, successes = found.arms[arm].settled_trials, found.arms[arm].successes[0]
            assert settled == counts[0, :, arm].sum()
            assert successes == (counts & won)[0, :, arm].sum()
        pairs = next(c for c in found.pairs if c.criterion == 0)
        both = counts[0].all(axis=1)
        assert pairs.counts["only_a"] == (both & won[0, :, 1] & ~won[0, :, 0]).sum()
        assert pairs.counts["only_b"] == (both & won[0, :, 0] & ~won[0, :, 1]).sum()


def test_one_look_is_enough_to_be_misled_by_arrivals(world: tuple[Won, Ends]) -> None:
    """The unpaired test and Wilson's interval, a fifth of the way as was decided before."""
    won, ends = world
    failed = {}
    for seen_at in (settled_at, arrived_at):
        seen = seen_at(ends, 0.2 * ends.max(axis=(1, 2)))
        k, n = (won & seen).sum(axis=1), seen.sum(axis=1)
        pooled = k.sum(axis=1) / n.sum(axis=1)
        error = np.sqrt(pooled * (1 - pooled) * (1 / n).sum(axis=1))
        z = (k[:, 0] / n[:, 0] - k[:, 1] / n[:, 1]) / error
        intervals = [Rate(int(x), int(y)).wilson() for x, y in zip(k[:, 0], n[:, 0], strict=True)]
        missed = np.mean([not w[0] <= RATE <= w[1] for w in intervals if w is not None])
        failed[seen_at] = ((abs(z) > 1.96).mean(), missed)
    assert max(failed[settled_at]) <= ALPHA + SLACK, failed
    assert min(failed[arrived_at]) > ALPHA + SLACK, failed

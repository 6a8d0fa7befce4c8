"""What a seed does to an arm, shared across settings, would forge evidence; our keying shares none.

A restart's luck may suit one arm more than the other. If the 729 settings of a grid drew their
restarts from the same ten streams, each such luck would count 729 times. Here luck is a function of
a trial's stream, and streams are named by what the service really claims: plan, store, assignment,
lane, key. The same simulation with streams named by the seed alone is the naive version.
"""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine

from models import streams
from models.catalog import experiments
from models.streams import TrialKey
from service.evidence.pairs import Pairs
from service.evidence.sequential import log_e_paired
from service.presets import preset
from service.spec import parse
from service.store.claims import claim, queues
from service.store.engine import session_factory
from service.store.sweeps import create
from tests.service.samples import moment
from workers.messages import Assignment
from workers.pack import key

SETTINGS, SEEDS, ARMS = 729, 10, 2
RATE, CORRELATION, ALPHA = 0.05, 0.02, 0.05
RUNS = 400
#: four standard errors of a share of 5 % in so many runs
SLACK = 4 * (ALPHA * (1 - ALPHA) / RUNS) ** 0.5


@pytest.fixture
def keys(sqlite: Engine) -> list[tuple[int, int, TrialKey]]:
    """(arm, seed, key) of every trial of the paper's grid, as workers get them, by seed."""
    plan = parse(preset("paper/table6").spec | {"cohort": SEEDS}, experiments())
    noisy = {arm.name: arm.overrides["noise_eta"] for arm in plan.arms}
    found: list[Assignment] = []
    with session_factory(sqlite)() as session:
        sweep, _ = create(session, plan, now=moment())
        for queue in queues(session):
            found += claim(session, sweep, queue.structure, 10**6, worker="w", now=moment())
    assert len(found) == SETTINGS * SEEDS * ARMS
    trials = [(int(t.values["noise_eta"] == noisy["noisy"]), t.seed, key(t)) for t in found]
    return sorted(trials, key=lambda t: (t[1], t[2].setting, t[0]))


def named(keys: Sequence[TrialKey]) -> NDArray[np.intp]:
    """(trials,) which of the streams each trial draws its restart from, by the stream's content."""
    content = [streams.seed_sequence(k, "init").generate_state(4).tobytes() for k in keys]
    return np.unique(np.array(content), return_inverse=True)[1]


def false_positives(keys: Sequence[tuple[int, int, TrialKey]]) -> tuple[float, float]:
    """Shares of runs, all under the null, that McNemar and the e-process reject.

    McNemar's test is made once, at the end; the e-process is looked at after each of ten cohorts. A
    stream's luck with each arm is a chance of success, drawn so that two trials of one stream and
    arm succeed with a correlation of 0.02 (a beta distribution of that intra-class correlation).
    """
    stream = named([k for _, _, k in keys])
    # the stream of a pair is that of its members, or there is no pair
    paired = stream.reshape(SEEDS, SETTINGS, ARMS)
    assert (paired[..., 0] == paired[..., 1]).all()
    rng = np.random.default_rng(20_261_125)
    scale = 1 / CORRELATION - 1
    rejected = np.zeros(2)
    for _ in range(RUNS):
        luck = rng.beta(RATE * scale, (1 - RATE) * scale, size=(stream.max() + 1, ARMS))
        won = rng.random(paired.shape) < luck[paired[..., 0]]
        only_a = (won[..., 1] & ~won[..., 0]).sum(axis=1).cumsum()
        only_b = (won[..., 0] & ~won[..., 1]).sum(axis=1).cumsum()
        looks = list(zip(only_a.tolist(), only_b.tolist(), strict=True))
        log_e = max(log_e_paired(a, b) for a, b in looks)
        a, b = looks[-1]
        p = Pairs(0, a, b, SETTINGS * SEEDS - a - b).mcnemar()
        rejected += [p <= ALPHA, log_e >= -np.log(ALPHA)]
    mcnemar, evidence = rejected / RUNS
    return float(mcnemar), float(evidence)


def test_evidence_holds_where_settings_share_no_stream(
    keys: list[tuple[int, int, TrialKey]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And fails by far in every way of naming streams that lets settings share them."""
    mcnemar, evidence = false_positives(keys)
    assert mcnemar <= ALPHA + SLACK
    assert evidence <= ALPHA

    by_seed = [(arm, seed, TrialKey(k.root, 0, k.seed)) for arm, seed, k in keys]
    mcnemar, evidence = false_positives(by_seed)
    assert mcnemar > 0.25
    assert evidence > 0.25

    # a fault in what names the streams themselves is seen by the same check
    sound = streams.seed_sequence
    monkeypatch.setattr(
        streams, "seed_sequence", lambda k, *rest: sound(TrialKey(k.root, 0, k.seed), *rest)
    )
    mcnemar, evidence = false_positives(keys)
    assert mcnemar > ALPHA + SLACK
    assert evidence > ALPHA

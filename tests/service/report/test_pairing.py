"""Pairs are trials of one setting and seed in two arms, counted by what became of both."""

import itertools

import numpy as np
from sqlalchemy.orm import Session, sessionmaker

from service.plan import Arm
from service.report.pairing import PairTable, pairing, table, tables
from service.report.sample import Sample, read, won
from service.store.plans import plan_of
from tests.service.report.test_findings import claim, complete, create
from tests.service.samples import outcome
from workers.messages import Failure

A, B = Arm(0, "a", {}), Arm(1, "b", {})


def sample(rows: list[tuple[int, int, int]]) -> Sample:
    """Of (arm, setting, seed); nothing else of it is read."""
    arm, setting, seed = (np.array(c, np.int32) for c in zip(*rows, strict=True))
    none = np.zeros(len(rows), np.int32)
    return Sample(none, arm, setting, seed, none.astype(np.int8), none, {}, {}, {}, "")


def test_every_pair_of_verdicts_has_its_place() -> None:
    codes = list(itertools.product((0, 1, 2), repeat=2))
    rows = [(arm, 0, seed) for arm in (0, 1) for seed in range(9)]
    verdict = np.array([a for a, _ in codes] + [b for _, b in codes], np.int8)
    assert table(pairing(sample(rows), A, B), verdict) == PairTable(1, 1, 1, 1, 1, 1, 1, 1, 1)
    for i, name in enumerate(
        ("neither", "only_b", "a_lost", "only_a", "both", "a_won", "b_lost", "b_won", "missing")
    ):
        rows = [(0, 0, 0), (1, 0, 0)]
        one = table(pairing(sample(rows), A, B), np.array(codes[i], np.int8))
        assert getattr(one, name) == 1


def test_a_trial_that_the_other_arm_does_not_have_is_in_no_pair() -> None:
    rows = [(0, 0, 5), (0, 0, 6), (0, 1, 5), (1, 1, 5), (1, 0, 7), (1, 0, 5)]
    found = pairing(sample(rows), A, B)
    assert [(rows[a], rows[b]) for a, b in zip(found.a, found.b, strict=True)] == [
        ((0, 0, 5), (1, 0, 5)),
        ((0, 1, 5), (1, 1, 5)),
    ]
    assert found.setting.tolist() == [0, 1]


def test_tables_by_setting_sum_to_the_table() -> None:
    draw = np.random.default_rng(5)
    rows = [(arm, s, seed) for s in range(4) for arm in (0, 1) for seed in range(50)]
    verdict = draw.integers(0, 3, len(rows)).astype(np.int8)
    pairs = pairing(sample(rows), A, B)
    whole = table(pairs, verdict)
    by_setting = tables(pairs, verdict, 4)
    assert by_setting.sum(axis=0).tolist() == [
        whole.both,
        whole.only_a,
        whole.only_b,
        whole.neither,
    ]
    here = pairs.setting == 2
    both = (verdict[pairs.a[here]] == 1) & (verdict[pairs.b[here]] == 1)
    assert by_setting[2, 0] == both.sum()


def test_pairs_are_counted_over_settled_cohorts_with_what_is_missing(
    sessions: sessionmaker[Session],
) -> None:
    sweep = create(sessions, grid={}, seeds=4, cohort=2)
    taken = claim(sessions, sweep, 8)
    wins = {(0, 0.0): 0.95, (0, 0.01): 0.95, (1, 0.0): 0.1, (1, 0.01): 0.95}

    def counted() -> PairTable:
        with sessions() as session:
            plan = plan_of(session, sweep)
            found = read(session, sweep, plan)
        return table(pairing(found, plan.arms[1], plan.arms[0]), won(found, plan.criteria[0]))

    complete(sessions, [outcome(t, wins[t.seed, t.values["noise_eta"]]) for t in taken[:4]])
    complete(sessions, [outcome(t, 0.95) for t in taken[4:6]])  # half of the second cohort
    assert counted() == PairTable(1, 1, 0, 0)
    complete(sessions, [outcome(taken[6], 0.95)])
    complete(sessions, [Failure(taken[7].trial, 1, "e", "t")], attempts=1)
    assert counted() == PairTable(2, 1, 0, 0, b_won=1)

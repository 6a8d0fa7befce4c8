"""Replays name the worker that was wrong, whatever its trials' rate of success."""

import random

import pytest

from service.evidence.replayed import Fault, Replayed, faults


def same(author: str, by: str) -> Replayed:
    return Replayed(author, by, equal=True)


def other(author: str, by: str) -> Replayed:
    return Replayed(author, by, equal=False)


def test_equal_replays_are_nobodys_fault() -> None:
    assert faults([]) == []
    assert faults([same("a", "b"), same("b", "c")]) == []


def test_the_worker_with_a_part_in_every_difference_is_at_fault() -> None:
    """As author of some and runner of others."""
    found = [other("a", "b"), other("a", "c"), other("d", "a"), same("b", "c"), same("a", "d")]
    assert faults(found) == [Fault(("a",), 3, 4)]


def test_two_broken_workers_are_both_named() -> None:
    found = [other("a", w) for w in "cdef"] + [other("b", w) for w in "cde"]
    assert [f.workers for f in faults(found)] == [("a",), ("b",)]


def test_one_difference_names_both_of_its_workers() -> None:
    assert faults([other("a", "b"), same("a", "c")]) == [Fault(("a", "b"), 1, 2)]


def test_a_worker_that_differs_from_itself_is_named_alone() -> None:
    assert faults([other("a", "a")]) == [Fault(("a",), 1, 1)]


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.5])
def test_a_worker_that_flips_a_fifth_is_named_when_7_percent_of_300_trials_are_replayed(
    rate: float,
) -> None:
    """In at least 95 of 100 sweeps, alone or first; it flips what it replays too."""
    draw = random.Random(3)
    named = 0
    for _ in range(100):
        found = []
        for author in range(8):
            for _ in range(300):
                if draw.random() >= 0.07:
                    continue
                truth = draw.random() < rate
                by = draw.choice([w for w in range(8) if w != author])
                first = truth ^ (author == 0 and draw.random() < 0.2)
                again = truth ^ (by == 0 and draw.random() < 0.2)
                found.append(Replayed(str(author), str(by), equal=first == again))
        blamed = faults(found)
        named += bool(blamed) and blamed[0].workers == ("0",)
    assert named >= 95

"""A sweep that is locked for long is told of once, each time that it is."""

from service.dispatch.passed import OVER_S, TELL_S, Passed


def test_a_sweep_is_told_of_once_it_has_been_passed_for_long() -> None:
    passed = Passed()
    told = [t for t in range(200) if passed.heard(["one"], float(t))]
    assert told == [TELL_S]


def test_one_that_was_free_meanwhile_is_not() -> None:
    passed = Passed()
    told = [passed.heard(["one"] if t % (OVER_S + 2) == 0 else [], float(t)) for t in range(200)]
    assert not any(told)


def test_locked_again_it_is_told_of_again() -> None:
    passed = Passed()
    times = [*range(100), *range(200, 300)]
    assert [t for t in times if passed.heard(["one", "other"][: 1 + (t > 150)], t)] == [60, 260]
    assert passed.heard([], 400.0) == []

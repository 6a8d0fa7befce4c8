"""What a schedule promises, for every seed."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.schedule import AWAY_S, Kind, deal

KINDS = list(Kind)


@given(st.integers(0, 2**32), st.integers(len(KINDS), 60), st.integers(200, 5000))
def test_a_schedule_deals_every_kind_in_order_of_progress(
    seed: int, faults: int, trials: int
) -> None:
    found = deal(seed, faults, trials, KINDS)
    assert len(found) == faults
    often = Counter(fault.kind for fault in found)
    assert set(often) == set(KINDS)
    assert max(often.values()) - min(often.values()) <= 1
    moments = [fault.after for fault in found]
    assert moments == sorted(set(moments))
    assert moments[0] >= 0
    assert moments[-1] < trials
    assert all(AWAY_S[0] <= fault.while_s <= AWAY_S[1] for fault in found)


def test_a_seed_repeats_its_schedule_and_another_has_another() -> None:
    assert deal(7, 30, 2000, KINDS) == deal(7, 30, 2000, KINDS)
    assert deal(7, 30, 2000, KINDS) != deal(8, 30, 2000, KINDS)


@pytest.mark.parametrize(
    ("faults", "trials", "words"), [(3, 2000, "ask for 13 or more"), (30, 24, "more trials")]
)
def test_a_schedule_that_cannot_be_is_refused(faults: int, trials: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        deal(1, faults, trials, KINDS)

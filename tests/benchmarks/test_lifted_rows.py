"""A bench row of a lifted experiment is made only of sound numbers."""

import pytest

from tests.benchmarks import lifted
from workers import pack


def test_each_subject_has_a_row_with_its_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifted, "SUBJECTS", lifted.SUBJECTS[:1])
    [row] = lifted.rows(0.01)
    assert (row["row"], row["tile"], row["law"]) == ("lifted digits_cnn", 8, "held")
    assert row["ratio"] == pytest.approx(row["lane_steps_per_s"] / row["plain_loop_steps_per_s"])


def test_a_row_whose_law_fails_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack.Pack, "_filled", lambda self, items: items)
    with pytest.raises(lifted.LawFailedError, match="other bits alone"):
        lifted.rows(0.01)

"""A bench row of a lifted experiment is made only of sound numbers."""

from typing import Any

import pytest

from models.lifting import program
from models.program import Leaves
from tests.benchmarks import lifted


def test_each_subject_has_a_row_with_its_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifted, "SUBJECTS", lifted.SUBJECTS[:1])
    [row] = lifted.rows(0.01)
    assert (row["row"], row["tile"], row["law"]) == ("lifted digits_cnn", 8, "held")
    assert row["ratio"] == pytest.approx(row["lane_steps_per_s"] / row["plain_loop_steps_per_s"])


def test_a_row_whose_law_fails_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = program.Lifted.loss

    def leaky(self: program.Lifted, params: Leaves, batches: Any, step: int) -> Any:
        """Every row reads a little of its neighbours."""
        mixed = {k: v + 1e-4 * v.mean(0, keepdim=True) for k, v in params.items()}
        return sound(self, mixed, batches, step)

    monkeypatch.setattr(program, "check_rows", lambda *_: None)
    monkeypatch.setattr(program, "rehearsed", {})
    monkeypatch.setattr(program.Lifted, "loss", leaky)
    with pytest.raises(lifted.LawFailedError, match="other bits alone"):
        lifted.rows(0.01)

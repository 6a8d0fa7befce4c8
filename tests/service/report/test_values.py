"""Final values in the findings: exact means, however large."""

from dataclasses import replace

import numpy as np

from service.report.values import finals
from tests.service.report.test_times import made
from tests.service.samples import plan


def test_finite_values_whose_sum_is_not_have_a_mean() -> None:
    sample, _ = made(plan())
    large = replace(sample, final={"loss": np.full(sample.trials, 1.7e308)})
    found = finals(large, 0)["loss"]
    assert (found["mean"], found["lowest"], found["highest"]) == (1.7e308, 1.7e308, 1.7e308)
    assert isinstance(found["mean"], float)
    assert found["count"]

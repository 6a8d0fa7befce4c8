"""Finals of every metric by arm, summed exactly, so that no order of arrival shows."""

import math

import numpy as np

from service.report.sample import Sample


def finals(sample: Sample, arm: int) -> dict[str, dict[str, float | int | None]]:
    """Metric -> count, mean, lowest and highest final value of an arm's settled outcomes."""
    here = (sample.arm == arm) & sample.has_outcome()
    if not here.any():
        return {}
    found = {}
    for name, column in sample.final.items():
        values = column[here & ~np.isnan(column)]
        count = len(values)
        found[name] = {
            "count": count,
            "mean": math.fsum(values) / count if count else None,
            "lowest": float(values.min()) if count else None,
            "highest": float(values.max()) if count else None,
        }
    return found

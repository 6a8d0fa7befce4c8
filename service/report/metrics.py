"""Finals of every metric by arm, summed exactly, so that no order of arrival shows."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


class Finals:
    """Gathers final metric values while outcomes stream by."""

    def __init__(self, arms: int) -> None:
        self._values: list[dict[str, list[float]]] = [{} for _ in range(arms)]

    def add(self, arm: int, metrics: Mapping[str, Sequence[Any]]) -> None:
        """Notes one outcome: metric -> [final, best, best step]."""
        for name, (final, _best, _step) in metrics.items():
            values = self._values[arm].setdefault(name, [])
            if final is not None:
                values.append(final)

    def of(self, arm: int) -> dict[str, dict[str, float | int | None]]:
        """Metric -> count, mean, lowest and highest final value of an arm's settled outcomes."""
        return {
            name: {
                "count": len(values),
                "mean": math.fsum(values) / len(values) if values else None,
                "lowest": min(values, default=None),
                "highest": max(values, default=None),
            }
            for name, values in sorted(self._values[arm].items())
        }

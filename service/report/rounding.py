"""Findings to 10 significant digits: what every machine agrees on.

NumPy has kernels of log, exp and others for each kind of CPU, and so have math libraries; their
last digits differ, and iteration carries this on: an interval's end is found to about 13 digits.
Ten are the same but for a value that happens to lie on the border between two of them
(docs/adr/0028).
"""

import math
from collections.abc import Mapping
from typing import Any

DIGITS = 10

#: what was given or frozen and is in no way derived stays to the last bit, wherever it stands
EXACT = frozenset({"spec", "extensions", "first_plan", "threshold", "setting", "effect", "alpha"})


def rounded(findings: Mapping[str, Any]) -> dict[str, Any]:
    """Findings whose derived floats have 10 significant digits; all else is what it was."""
    return {k: v if k in EXACT else _rounded(v) for k, v in findings.items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        near = float(f"{value:.{DIGITS}g}")
        return near if math.isfinite(near) else value  # the largest floats would round to infinity
    if isinstance(value, Mapping):
        return rounded(value)
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    return value

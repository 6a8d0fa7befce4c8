"""In how many pairs one arm did better by a metric, and Wilcoxon's test of it."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.evidence.prefer import prefer, signed_rank
from service.evidence.values import Better
from service.report.contrasts import Compared


def preference(
    compared: Compared, column: NDArray[np.float64], has: NDArray[np.bool_], better: Better
) -> dict[str, Any]:
    """An exploratory comparison: the primary contrast is of a criterion."""
    pairs = compared.pairing
    whole = has[pairs.a] & has[pairs.b]
    a, b = column[pairs.a[whole]], column[pairs.b[whole]]
    found = prefer(a, b, better)
    return {
        "arm": compared.arm.name,
        "against": compared.against.name,
        "exploratory": True,
        "pairs": len(a),
        **asdict(found),
        "p_better": asdict(found.share()),
        "wilcoxon": asdict(signed_rank(a, b, better)),
    }

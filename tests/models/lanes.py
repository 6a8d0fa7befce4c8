"""Lanes for tests of update rules and programs."""

from collections.abc import Mapping

import numpy as np
import torch

from models.program import Lanes
from models.streams import TrialKey

CPU = torch.device("cpu")


def lanes(count: int, values: Mapping[str, object], *, start: int = 0, segment: int = 10) -> Lanes:
    """So many lanes of one setting; a value is a number for all or a list of one a lane."""
    columns = {
        k: np.broadcast_to(np.asarray(v, np.float64), (count,)).copy() for k, v in values.items()
    }
    keys = tuple(TrialKey(1, 2, i) for i in range(count))
    return Lanes(keys, columns, (start,) * count, segment, CPU)

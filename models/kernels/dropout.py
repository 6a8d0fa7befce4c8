"""Factors that drop units: 1 / keep with probability keep, else 0, each lane from its own key."""

import numpy as np
import torch
from torch import Tensor

from models.kernels.compiler import kernel
from models.kernels.threefry import U, words, words_on_device


def keep_factors(keep: np.ndarray, keys: np.ndarray, step: int, out: Tensor) -> None:
    """Fills `out` (R, n), float32; a lane that keeps everything gets exact ones and draws nothing.

    Args:
        keep: (R,) float64 probabilities in (0, 1].
        keys: (R, 4) uint32.
        step: the counter's second word.
    """
    limits = np.minimum(np.round(keep * 2.0**32), 2.0**32 - 1).astype(np.uint32)
    factors = np.where(keep < 1, 1 / keep, 1).astype(np.float32)
    if out.device.type == "cpu":
        _keep_factors(out.numpy(), keep < 1, limits, factors, keys, np.uint32(step))
        return
    lanes, size = out.shape
    drawn = words_on_device(
        torch.from_numpy(keys.astype(np.int64)).to(out.device), 0, -(-size // 4), step
    )
    kept = (
        drawn.flatten(1)[:, :size]
        < torch.from_numpy(limits.astype(np.int64)).to(out.device)[:, None]
    )
    factor = torch.from_numpy(factors).to(out.device)[:, None]
    drops = torch.from_numpy(keep < 1).to(out.device)[:, None]
    out.copy_(torch.where(drops, kept * factor, torch.ones(lanes, 1, device=out.device)))


@kernel
def _keep_factors(out, drops, limits, factors, keys, step):
    for lane in range(len(out)):
        row = out[lane]
        if not drops[lane]:
            row[:] = np.float32(1.0)
            continue
        k0, k1, k2, k3 = keys[lane, 0], keys[lane, 1], keys[lane, 2], keys[lane, 3]
        limit, factor = limits[lane], factors[lane]
        blocks = (row.size + 3) // 4
        for i in range(blocks):
            drawn = words(k0, k1, k2, k3, U(i), step)
            for j in range(4):
                at = i + j * blocks
                if at < row.size:
                    row[at] = factor if drawn[j] < limit else np.float32(0.0)

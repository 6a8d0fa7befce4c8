"""Loops over all leaves of a pack at once: lane norms, and the addition of an update.

On the CPU a call hands over the leaves' addresses, so that one compiled loop serves any number of
leaves; elsewhere the same formulas run in torch.
"""

from collections.abc import Mapping

import numba
import numpy as np
import torch
from torch import Tensor

from models.kernels.compiler import floats_at, kernel, summing_kernel


class LeafList:
    """Leaves of one pack in order of name; on the CPU also as addresses.

    Args:
        leaves: (R, ...) tensors by name. They must stay where they are: work on them in place.

    Attributes:
        names: of the leaves, in order.
        tensors: the leaves, in order of name.
        lanes: R.
        addresses: (L,) uint64; None on another device.
        sizes: (L,) int64, numbers a lane.

    Raises:
        ValueError: a leaf on the CPU is not contiguous float32.
    """

    def __init__(self, leaves: Mapping[str, Tensor]) -> None:
        self.names = sorted(leaves)
        self.tensors = [leaves[name] for name in self.names]
        self.lanes = len(self.tensors[0])
        self.addresses: np.ndarray | None = None
        self.sizes = np.array([leaf.numel() // self.lanes for leaf in self.tensors], np.int64)
        if self.tensors[0].device.type == "cpu":
            for leaf in self.tensors:
                if leaf.dtype != torch.float32 or not leaf.is_contiguous():
                    raise ValueError(
                        f"a leaf is {leaf.dtype} with strides {leaf.stride()}; kernels take "
                        "contiguous float32; call contiguous() on it first"
                    )
            self.addresses = np.array([leaf.data_ptr() for leaf in self.tensors], np.uint64)

    def copy(self) -> "LeafList":
        """Equal leaves elsewhere."""
        pairs = zip(self.names, self.tensors, strict=True)
        return LeafList({name: leaf.clone() for name, leaf in pairs})


def squared_norm(leaves: LeafList) -> Tensor:
    """(R,) float64 sums of each lane's squares over all its leaves, in their order."""
    if leaves.addresses is None:
        total = torch.zeros(leaves.lanes, dtype=torch.float64, device=leaves.tensors[0].device)
        for leaf in leaves.tensors:
            flat = leaf.flatten(1)
            total = total + (flat * flat).sum(1)
        return total
    out = np.empty(leaves.lanes)
    _squares(leaves.addresses, leaves.sizes, out)
    return torch.from_numpy(out)


@summing_kernel
def _squares(addresses, sizes, out):
    for lane in range(out.size):
        total = 0.0
        for k in range(addresses.size):
            x = numba.carray(floats_at(addresses[k]), (out.size, sizes[k]))[lane]
            part = np.float32(0.0)
            for i in range(x.size):
                part += x[i] * x[i]
            total += np.float64(part)
        out[lane] = total


def add_scaled(params: LeafList, updates: LeafList, gain: Tensor) -> None:
    """Params <- params + gain x updates, in place; gain is (R,) float32."""
    if params.addresses is None:
        for leaf, update in zip(params.tensors, updates.tensors, strict=True):
            leaf.addcmul_(update, gain.view(-1, *[1] * (leaf.ndim - 1)))
        return
    _add_scaled(params.addresses, updates.addresses, params.sizes, gain.numpy())


@kernel
def _add_scaled(params, updates, sizes, gain):
    for lane in range(gain.size):
        by = gain[lane]
        for k in range(params.size):
            p = numba.carray(floats_at(params[k]), (gain.size, sizes[k]))[lane]
            u = numba.carray(floats_at(updates[k]), (gain.size, sizes[k]))[lane]
            for i in range(p.size):
                p[i] += by * u[i]

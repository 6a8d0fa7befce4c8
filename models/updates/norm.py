"""The global norm of each lane's gradients."""

from torch import Tensor

from models.kernels.leaves import LeafList, squared_norm


def global_norm(leaves: LeafList) -> Tensor:
    """(R,) float64 square root of the sum over leaves, in order of name, of each lane's squares."""
    return squared_norm(leaves).sqrt()

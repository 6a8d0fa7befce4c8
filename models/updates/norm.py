"""The global norm of each lane's gradients."""

from torch import Tensor

from models.updates.chain import Leaves


def global_norm(leaves: Leaves) -> Tensor:
    """(R,) square root of the sum over leaves, in order of name, of each lane's squares."""
    total: Tensor | None = None
    for name in sorted(leaves):
        flat = leaves[name].flatten(1)
        square = (flat * flat).sum(1)
        total = square if total is None else total + square
    if total is None:
        raise ValueError("a global norm needs at least one leaf; the program has no parameters")
    return total.sqrt()

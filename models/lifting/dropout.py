"""Dropout in a lifted network: its masks come from each lane's own stream, drawn outside vmap.

A network says `nn.Dropout(p)` as anywhere. A first call of one network notes which shapes it drops
(`Noting`); in training each step's masks are drawn lane by lane and put in its place (`Dropping`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from models.lifting.refusals import LiftError


@dataclass(frozen=True)
class Drop:
    """One call of dropout: the shape that one network drops, and the probability to keep."""

    shape: tuple[int, ...]
    keep: float

    def draw(self, generators: Sequence[torch.Generator]) -> Tensor:
        """(R, *shape) factors, 0 or 1 / keep, each lane from its own generator, on the CPU."""
        scales = torch.empty(len(generators), *self.shape)
        for row, generator in zip(scales, generators, strict=True):
            row.uniform_(generator=generator)
        return (scales < self.keep) / self.keep if self.keep > 0 else torch.zeros_like(scales)


class Noting(TorchFunctionMode):
    """Notes every call of dropout in `drops`, and drops nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.drops: list[Drop] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func not in _DROPOUTS:
            return func(*args, **(kwargs or {}))
        whole, rate, _ = _call(*args, **(kwargs or {}))
        if rate > 0:
            self.drops.append(Drop(tuple(whole.shape), 1.0 - rate))
        return whole


class Dropping(TorchFunctionMode):
    """Multiplies by the masks in the order in which they were noted.

    Raises:
        LiftError: the network drops more often, or other shapes, than it did when noted.
    """

    def __init__(self, masks: Sequence[Tensor]) -> None:
        super().__init__()
        self._masks = list(masks)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func not in _DROPOUTS:
            return func(*args, **(kwargs or {}))
        whole, rate, inplace = _call(*args, **(kwargs or {}))
        if rate == 0:
            return whole
        if not self._masks or self._masks[0].shape != whole.shape:
            raise LiftError(
                f"dropout is called on shape {tuple(whole.shape)} where another step called it "
                "otherwise; masks are drawn ahead of a step, so each step makes the same calls; "
                "take what decides on them from shared hyper-parameters"
            )
        mask = self._masks.pop(0)
        return whole.mul_(mask) if inplace else whole * mask


_DROPOUTS = (functional.dropout, torch.dropout)


def _call(
    input: Tensor,  # noqa: A002 - torch's own name for it
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    train: bool = True,
) -> tuple[Tensor, float, bool]:
    """Tensor, rate and whether in place of one call, by the signatures of torch's dropouts."""
    return input, float(p) if training and train else 0.0, inplace

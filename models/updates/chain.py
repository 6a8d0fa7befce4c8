"""Update rules as composable lane-wise transformations, after the manner of optax.

A transformation maps gradients to updates; a chain runs several in order; the last one yields
what is added to the parameters. State travels as named tensors with the lane axis first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from models.kernels.leaves import LeafList

if TYPE_CHECKING:
    from models.program import Lanes

#: named tensors, each with the lane axis first
Leaves = dict[str, Tensor]


@dataclass(frozen=True)
class Updates:
    """What a link hands to the next: gain x leaves, lane by lane.

    A factor a lane (clipping, a step size) waits in `gain` until a link goes over the numbers
    anyway: going over them is what a step of a small network costs.

    Attributes:
        leaves: (R, ...) contiguous.
        gain: (R,) float32.
        mine: whether links may work in place on the leaves; a link that hands on tensors of its
            state says no.
        keep: (R,) float32 by which parameters are multiplied before the update is added, or None.
    """

    leaves: LeafList
    gain: Tensor
    mine: bool = True
    keep: Tensor | None = None

    def writable(self) -> "Updates":
        """The same updates on leaves that may be worked on in place."""
        return self if self.mine else Updates(self.leaves.copy(), self.gain, keep=self.keep)

    def settled(self) -> "Updates":
        """The same updates with a gain of 1, multiplied in place; a gain of 1 changes no bit."""
        found = self.writable()
        for leaf in found.leaves.tensors:
            leaf.mul_(wide(self.gain, leaf))
        return Updates(found.leaves, torch.ones_like(self.gain), keep=self.keep)


@dataclass(frozen=True)
class Step:
    """One step of a segment, as update rules see it.

    Attributes:
        index: position within the segment, 0 <= index < segment.
        grad_norm: (R,) global norm of the gradients that enter the chain.
        error: (R,) training error of the step's batch, or None where a program has none.
    """

    index: int
    grad_norm: Tensor
    error: Tensor | None = None


#: one link at work within a segment
Rule = Callable[[Updates, Step], Updates]


class Transformation(NamedTuple):
    """Two functions.

    `init(params)` -> state. `begin(lanes, state)` -> the rule for one segment, which closes over
    what the segment needs (schedules, keys). A rule works in place on the state, whose tensors stay
    the same tensors and belong to this segment alone, and on updates that are writable.
    """

    init: Callable[[Leaves], Leaves]
    begin: Callable[["Lanes", Leaves], Rule]


def chain(*links: Transformation) -> Transformation:
    """Runs transformations in order; state names are prefixed with the link's place."""

    def init(params: Leaves) -> Leaves:
        return {f"{i}.{k}": v for i, t in enumerate(links) for k, v in t.init(params).items()}

    def begin(lanes: "Lanes", state: Leaves) -> Rule:
        rules = [
            link.begin(
                lanes,
                {k.removeprefix(f"{i}."): v for k, v in state.items() if k.startswith(f"{i}.")},
            )
            for i, link in enumerate(links)
        ]

        def rule(updates: Updates, step: Step) -> Updates:
            for each in rules:
                updates = each(updates, step)
            return updates

        return rule

    return Transformation(init, begin)


def wide(values: Tensor, leaf: Tensor) -> Tensor:
    """(R,) values, shaped to multiply a leaf (R, ...)."""
    return values.view(-1, *[1] * (leaf.ndim - 1))

"""Update rules as composable lane-wise transformations, after the manner of optax.

A transformation maps gradients to updates; a chain runs several in order; the last one yields
what is added to the parameters. State travels as named tensors with the lane axis first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

if TYPE_CHECKING:
    from models.program import Lanes

#: named tensors, each with the lane axis first
Leaves = dict[str, Tensor]


@dataclass(frozen=True)
class Step:
    """One step of a segment, as update rules see it.

    Attributes:
        index: position within the segment, 0 <= index < segment.
        grad_norm: (R,) global norm of the gradients that enter the chain.
    """

    index: int
    grad_norm: Tensor


class Transformation(NamedTuple):
    """Three pure functions.

    `init(params)` -> state; `prepare(lanes)` -> what a segment needs (schedules, generators),
    called once a segment; `update(updates, state, params, prepared, step)` -> (updates, state).
    An update may work in place on the gradients it is given, never on the state or parameters.
    """

    init: Callable[[Leaves], Leaves]
    prepare: Callable[["Lanes"], Any]
    update: Callable[[Leaves, Leaves, Leaves, Any, Step], tuple[Leaves, Leaves]]


def chain(*links: Transformation) -> Transformation:
    """Runs transformations in order; state names are prefixed with the link's place."""

    def init(params: Leaves) -> Leaves:
        return {f"{i}.{k}": v for i, t in enumerate(links) for k, v in t.init(params).items()}

    def prepare(lanes: "Lanes") -> list[Any]:
        return [t.prepare(lanes) for t in links]

    def update(
        updates: Leaves, state: Leaves, params: Leaves, prepared: list[Any], step: Step
    ) -> tuple[Leaves, Leaves]:
        new: Leaves = {}
        for i, (link, ready) in enumerate(zip(links, prepared, strict=True)):
            head = f"{i}."
            own = {k.removeprefix(head): v for k, v in state.items() if k.startswith(head)}
            updates, own = link.update(updates, own, params, ready, step)
            new |= {head + k: v for k, v in own.items()}
        return updates, new

    return Transformation(init, prepare, update)

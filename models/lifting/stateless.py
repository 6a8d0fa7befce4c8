"""An ordinary nn.Module as functions of its parameters, with nothing of a trial left inside it."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from models.lifting.refusals import LiftError
from models.streams import TrialKey, torch_generator
from models.updates.chain import Leaves


class Stateless:
    """A module whose parameters are arguments; buffers may only be constants.

    Args:
        build: makes the module; its initial weights come from torch's global CPU generator, as
            every layer of torch.nn draws them.
        device: where it is called.

    Raises:
        LiftError: a parameter is frozen, or a buffer is drawn at random.
    """

    def __init__(self, build: Callable[[], nn.Module], device: torch.device) -> None:
        self._build = build
        one, other = (_built(build, torch_generator(TrialKey(0, 0, i), "init")) for i in range(2))
        _check_parameters(one)
        _check_buffers(one, other)
        self._training = one.to(device).train()
        self._predicting = copy.deepcopy(one).eval()

    def init(self, generator: torch.Generator) -> Leaves:
        """Fresh parameters by name, as the module draws them itself, from this stream."""
        module = _built(self._build, generator)
        return {name: leaf.detach().clone() for name, leaf in module.named_parameters()}

    def __call__(self, params: Leaves, *inputs: Any) -> Any:
        """The module in training mode: dropout drops.

        Raises:
            LiftError: the call changed a buffer, as BatchNorm's running statistics.
        """
        before = _versions(self._training)
        found = functional_call(self._training, params, inputs)
        after = _versions(self._training)
        changed = sorted(name for name in after if after[name] != before.get(name))
        if changed:
            raise LiftError(
                f"training changes buffer {changed[0]!r} of {type(self._training).__name__}; one "
                "module serves all lanes, so a trial would depend on its neighbours; use a layer "
                "without running statistics (GroupNorm, LayerNorm, or BatchNorm with "
                "track_running_stats=False)"
            )
        return found

    def predict(self, params: Leaves, *inputs: Any) -> Any:
        """The module in evaluation mode: dropout is off."""
        return functional_call(self._predicting, params, inputs)


def _built(build: Callable[[], nn.Module], generator: torch.Generator) -> nn.Module:
    """Builds with torch's global generator in the stream's state, and puts it back after."""
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(generator.get_state())
        module = build()
        generator.set_state(torch.get_rng_state())  # what is drawn next is new
    return module


def _check_parameters(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            raise LiftError(
                f"parameter {name!r} of {type(module).__name__} has requires_grad=False; a pack "
                "trains every parameter; register it as a buffer, or hold it on the network "
                "object, if it is a constant"
            )


def _check_buffers(one: nn.Module, other: nn.Module) -> None:
    again = dict(other.named_buffers())
    for name, buffer in one.named_buffers():
        if not torch.equal(buffer, again[name]):
            raise LiftError(
                f"buffer {name!r} of {type(one).__name__} is drawn at random; one module serves "
                "all lanes, so trials would share the draw; return it from init() to train it, "
                "or from batch() and held_out() to draw it for each trial"
            )


def _versions(module: nn.Module) -> dict[str, tuple[int, int]]:
    """Identity and count of in-place writes of each buffer."""
    return {name: _version(buffer) for name, buffer in module.named_buffers()}


def _version(buffer: Tensor) -> tuple[int, int]:
    return id(buffer), buffer._version  # noqa: SLF001 - torch has no other name for it

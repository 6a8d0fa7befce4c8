"""The lane-first protocol between an experiment's program and the pack engine.

The lane axis R leads every tensor. No operation may mix lanes: a lane's numbers are the same bits
alone, in any pack and beside any neighbours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from models.experiment import Settings, Tier
from models.kernels.leaves import LeafList
from models.streams import Purpose, TrialKey, counter_key, numpy_generator, torch_generator
from models.updates.chain import Transformation

#: named tensors, each with the lane axis first
Leaves = dict[str, Tensor]


@dataclass(frozen=True)
class Lanes:
    """The lanes that train together through one segment.

    Attributes:
        keys: R trial keys.
        values: per-lane hyper-parameter name -> (R,) float64 numpy array.
        starts: (R,) the step at which each lane's segment starts (a multiple of `segment`).
        segment: steps from boundary to boundary.
        device: where the tensors live.
        state: program state at the segment's start, (R, ...) each; empty outside a segment.
    """

    keys: tuple[TrialKey, ...]
    values: Mapping[str, np.ndarray]
    starts: tuple[int, ...]
    segment: int
    device: torch.device
    state: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        """R, the number of lanes."""
        return len(self.keys)

    def value(self, name: str) -> Tensor:
        """(R,) float32 tensor of a per-lane hyper-parameter."""
        return torch.from_numpy(self.values[name].astype(np.float32)).to(self.device)

    def numpy_generators(self, purpose: Purpose) -> list[np.random.Generator]:
        """R fresh generators of this segment's streams (CPU; init, data, evaluation)."""
        return [
            numpy_generator(k, purpose, start // self.segment)
            for k, start in zip(self.keys, self.starts, strict=True)
        ]

    def counter_keys(self, purpose: Purpose) -> np.ndarray:
        """(R, 4) uint32 keys of this segment's counter-based streams (noise, dropout)."""
        return np.stack(
            [
                counter_key(k, purpose, start // self.segment)
                for k, start in zip(self.keys, self.starts, strict=True)
            ]
        )

    def torch_generators(self, purpose: Purpose) -> list[torch.Generator]:
        """R fresh torch generators of this segment's streams (of lifted experiments)."""
        return [
            torch_generator(k, purpose, start // self.segment)
            for k, start in zip(self.keys, self.starts, strict=True)
        ]

    def once(self, purpose: Purpose) -> list[np.random.Generator]:
        """R fresh generators of streams that belong to the whole trial (init, evaluation)."""
        return [numpy_generator(k, purpose) for k in self.keys]

    @cached_property
    def steps(self) -> np.ndarray:
        """(segment, R) int64: the step number t, from 0, of each step of each lane."""
        return np.asarray(self.starts)[None, :] + np.arange(self.segment)[:, None]


#: everything that one segment's steps draw; each program has its own type
B = TypeVar("B")


class Program(Protocol[B]):
    """Trains lanes of one structure; built once a pack, holds no lane's state.

    A class that implements it is called as `Class(settings, segment, device)`, where settings
    hold the structure's shared values (per-lane fields are at their defaults and are not read).
    """

    #: update rule, from raw gradients to additive updates
    update: Transformation

    def init(self, lanes: Lanes) -> tuple[Leaves, Leaves]:
        """Initial parameters and program state (curriculum level, ...), (R, ...) each."""
        ...

    def level(self, state: Leaves) -> Tensor:
        """(R,) int64: lanes of equal level share a tensor program."""
        ...

    def batches(self, lanes: Lanes, level: int) -> B:
        """Everything that this segment's steps draw, from each lane's own streams."""
        ...

    def loss(self, params: Leaves, batches: B, step: int) -> tuple[Tensor, Tensor]:
        """Loss (R,) and training statistics (R, K) at step `step` of the segment.

        The last statistic, where there is one, is the training error that noise laws may read.
        """
        ...

    def boundary(self, params: Leaves, state: Leaves, stats: Tensor) -> Leaves:
        """Next program state from the segment's mean statistics (R, K), lane by lane.

        Parameters may be changed in place.
        """
        ...

    def evaluate(self, params: Leaves, lanes: Lanes, tier: Tier) -> dict[str, Tensor]:
        """Metric name -> (R,) of one tier, on draws that belong to the trial, not the step."""
        ...


@runtime_checkable
class Differentiated(Protocol):
    """A program that may compute gradients itself, where that is faster than autograd's way."""

    #: whether it does so for its settings and on its device
    compiled: bool

    def gradients(
        self, params: LeafList, batches: Any, step: int
    ) -> tuple[Tensor, Tensor, LeafList]:
        """Loss (R,), statistics (R, K), and the loss's gradient by each parameter.

        The gradients are the caller's to change, until the next call.
        """
        ...


class ProgramClass(Protocol):
    """What `Experiment.program` names."""

    def __call__(self, settings: Settings, segment: int, device: torch.device) -> Program[Any]:
        """A program for one structure."""
        ...

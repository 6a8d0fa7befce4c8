"""What a user writes: one network without a lane axis; every draw comes from a given stream.

`models.lifting.program.lift` turns it into a lane-first program. Nothing here may keep a trial's
state on `self`: one object serves all lanes.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from models.experiment import Settings, Tier
from models.updates.chain import Leaves

#: per-lane hyper-parameters of one trial, by name
Values = Mapping[str, float]


class Network(ABC):
    """One network, its data and its measures; built once a pack as `Class(settings, device)`.

    `init`, `batch` and `held_out` run once a trial on the CPU, outside vmap, and draw from the
    generator that they are given and from nothing else. `loss` and `evaluate` run under vmap: they
    are pure, write nothing in place that a lane could share, and branch on no tensor's value.
    What all trials read (a data set, a mask) is a tensor on `self`, on `self.device`.

    Args:
        settings: the structure's shared hyper-parameters; a per-lane field is not there, since each
            lane has its own (`values`, `hyper`).
        device: where `loss` and `evaluate` run.
    """

    def __init__(self, settings: Settings, device: torch.device) -> None:
        self.settings = settings
        self.device = device

    @abstractmethod
    def init(self, generator: torch.Generator, values: Values) -> Leaves:
        """Named float32 tensors, all of them trained; of one shape for every trial."""

    @abstractmethod
    def batch(self, generator: torch.Generator, values: Values, steps: int) -> Leaves:
        """Everything that `steps` steps read, as named tensors with the steps leading.

        Indices into a data set on `self` take far less memory than the examples themselves.
        """

    @abstractmethod
    def loss(self, params: Leaves, batch: Leaves, hyper: Leaves) -> Tensor:
        """Loss of one step, (); `batch` is one step's part, `hyper` per-lane values, () each.

        `nn.Dropout` and `functional.dropout` draw from the trial's own dropout stream; any other
        random call is refused.
        """

    def held_out(self, generator: torch.Generator, values: Values) -> Leaves:
        """What a trial's evaluations read and is drawn for it; equal at every evaluation."""
        return {}

    @abstractmethod
    def evaluate(
        self, params: Leaves, held_out: Leaves, hyper: Leaves, tier: Tier
    ) -> dict[str, Tensor]:
        """Every declared metric of one tier, by name, () each."""

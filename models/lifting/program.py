"""A lane-first program made of one network: vmap over the rows of a tile; no row sees another.

The engine always gives it tiles of the experiment's fixed number of rows (`Pack._filled`), since
the kernels that vmap chooses are not width-invariant.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.func import vmap

from models.experiment import LiftedExperiment, Settings, Tier
from models.lifting.dropout import Drop, Dropping
from models.lifting.network import Network, Values
from models.lifting.rehearsal import rehearse
from models.lifting.rows import check_rows
from models.lifting.structure import shared_only
from models.program import Lanes, Leaves, ProgramClass
from models.streams import torch_generator
from models.updates.rule import update_rule
from models.updates.settings import UpdateSettings

#: what passed its rehearsal in this process, with its calls of dropout: a worker that goes from
#: structure to structure comes back to each many times
rehearsed: dict[Hashable, tuple[Drop, ...]] = {}


@dataclass(frozen=True)
class Drawn:
    """One segment's draws.

    Attributes:
        batch: name -> (segment, R, ...).
        hyper: per-lane hyper-parameter -> (R,).
        generators: the lanes' dropout streams; none where the network drops nothing.
    """

    batch: Leaves
    hyper: Leaves
    generators: Sequence[torch.Generator]


class Lifted:
    """The program of one network, lifted; a lifted experiment has no curriculum.

    Raises:
        TypeError: the settings hold no update rule.
        LiftError: the network would break a promise; found by rehearsing a step when built.
    """

    def __init__(
        self,
        network: Callable[[Settings, torch.device], Network],
        experiment: LiftedExperiment,
        settings: Settings,
        segment: int,
        device: torch.device,
    ) -> None:
        if not isinstance(settings, UpdateSettings):
            raise TypeError(
                f"experiment {experiment.name!r} has settings {type(settings).__name__}; a lifted "
                "experiment's hyper-parameters include those of its update rule; derive them from "
                "models.updates.settings.UpdateSettings"
            )
        self.settings = settings
        self.segment = segment
        self.device = device
        self.update = update_rule(settings)
        done = (network, experiment.tile, settings.model_dump_json(), segment, device)
        self.drops = rehearsed.get(done, ())
        with shared_only(settings, experiment) as structure:
            self.network = network(structure, device)
            if done not in rehearsed:
                self.drops = rehearse(self.network, experiment, settings, segment)
                check_rows(self, experiment, settings)
                rehearsed[done] = self.drops

    def init(self, lanes: Lanes) -> tuple[Leaves, Leaves]:
        """Each lane's weights from its own stream, as the network draws them; level 0."""
        rows = [
            self.network.init(torch_generator(key, "init"), values)
            for key, values in zip(lanes.keys, _values(lanes), strict=True)
        ]
        level = torch.zeros(len(lanes), dtype=torch.int64, device=self.device)
        return self._stacked(rows, 0), {"level": level}

    def level(self, state: Leaves) -> Tensor:
        """(R,) zeros: there is no curriculum."""
        return state["level"]

    def batches(self, lanes: Lanes, level: int) -> Drawn:
        """Each lane's examples from its own data stream of this segment."""
        rows = [
            self.network.batch(generator, values, self.segment)
            for generator, values in zip(
                lanes.torch_generators("data"), _values(lanes), strict=True
            )
        ]
        generators = lanes.torch_generators("dropout") if self.drops else []
        return Drawn(self._stacked(rows, 1), _hyper(lanes), generators)

    def loss(self, params: Leaves, batches: Drawn, step: int) -> tuple[Tensor, Tensor]:
        """Each network's loss (R,), and no statistics (R, 0): nothing would read them."""
        batch = {name: leaf[step] for name, leaf in batches.batch.items()}
        masks = [drop.draw(batches.generators).to(self.device) for drop in self.drops]
        lifted = vmap(self._loss, randomness="error")
        loss: Tensor = lifted(params, batch, batches.hyper, masks)
        return loss, loss.new_zeros(len(loss), 0)

    def _loss(
        self, params: Leaves, batch: Leaves, hyper: Leaves, masks: Sequence[Tensor]
    ) -> Tensor:
        if not masks:
            return self.network.loss(params, batch, hyper)
        with Dropping(masks):
            return self.network.loss(params, batch, hyper)

    def boundary(self, params: Leaves, state: Leaves, stats: Tensor) -> Leaves:
        """Nothing changes at a boundary."""
        return state

    def evaluate(self, params: Leaves, lanes: Lanes, tier: Tier) -> dict[str, Tensor]:
        """Each network's metrics of one tier, (R,) each, on draws that belong to the trial."""
        rows = [
            self.network.held_out(torch_generator(key, "evaluation"), values)
            for key, values in zip(lanes.keys, _values(lanes), strict=True)
        ]
        lifted = vmap(partial(self.network.evaluate, tier=tier), randomness="error")
        found: dict[str, Tensor] = lifted(params, self._stacked(rows, 0), _hyper(lanes))
        return found

    def _stacked(self, rows: Sequence[Leaves], axis: int) -> Leaves:
        """R networks' tensors with the lanes at `axis`, on the device."""
        return {
            name: torch.stack([row[name] for row in rows], axis).to(self.device) for name in rows[0]
        }


def lift(
    network: Callable[[Settings, torch.device], Network], experiment: LiftedExperiment
) -> ProgramClass:
    """What `LiftedExperiment.program` stands for: the program of one network, lifted.

    Args:
        network: a class derived from `models.lifting.network.Network`.
        experiment: its description.
    """
    return partial(Lifted, network, experiment)


def _values(lanes: Lanes) -> list[Values]:
    """Per-lane hyper-parameters, one mapping a lane."""
    return [{k: float(v[i]) for k, v in lanes.values.items()} for i in range(len(lanes))]


def _hyper(lanes: Lanes) -> Leaves:
    """Per-lane hyper-parameter -> (R,)."""
    return {name: lanes.value(name) for name in lanes.values}

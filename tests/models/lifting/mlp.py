"""The network of deep_mlp as a user would write it for one network, in functional style."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, dropout

from models.deep_mlp.digits import digits5k
from models.deep_mlp.settings import DIGITS5K
from models.experiment import LiftedExperiment, Metric, Settings, Tier, per_lane, shared
from models.lifting.network import Network, Values
from models.updates.chain import Leaves
from models.updates.settings import UpdateSettings


class MlpSettings(UpdateSettings):
    depth: int = shared(4, ge=1, doc="hidden layers")
    width: int = shared(20, ge=1, doc="units of a layer")
    batch: int = shared(8, ge=1, doc="examples a step")
    dropout: float = shared(0.0, ge=0, lt=1, doc="rate")
    init_std: float = per_lane(0.2, ge=0, doc="standard deviation of the initial weights")


class Mlp(Network):
    def __init__(self, settings: Settings, device: torch.device) -> None:
        super().__init__(settings, device)
        assert isinstance(settings, MlpSettings)
        self.s = settings
        self.sizes = [784, *[settings.width] * settings.depth, 10]
        digits = digits5k()
        self.images = torch.from_numpy(digits.train_images).to(device)
        self.labels = torch.from_numpy(digits.train_labels).to(device)

    def init(self, generator: torch.Generator, values: Values) -> Leaves:
        found: Leaves = {}
        for layer, (i, o) in enumerate(zip(self.sizes, self.sizes[1:], strict=False)):
            found[f"w{layer:02d}"] = torch.randn(i, o, generator=generator) * values["init_std"]
            found[f"b{layer:02d}"] = torch.zeros(1, o)
        return found

    def batch(self, generator: torch.Generator, values: Values, steps: int) -> Leaves:
        return {"chosen": torch.randint(4000, (steps, self.s.batch), generator=generator)}

    def logits(self, params: Leaves, hidden: Tensor, *, training: bool) -> Tensor:
        for layer in range(self.s.depth):
            hidden = torch.relu(hidden @ params[f"w{layer:02d}"] + params[f"b{layer:02d}"])
            hidden = dropout(hidden, self.s.dropout, training)
        return hidden @ params[f"w{self.s.depth:02d}"] + params[f"b{self.s.depth:02d}"]

    def loss(self, params: Leaves, batch: Leaves, hyper: Leaves) -> Tensor:
        logits = self.logits(params, self.images[batch["chosen"]], training=True)
        return cross_entropy(logits, self.labels[batch["chosen"]])

    def held_out(self, generator: torch.Generator, values: Values) -> Leaves:
        """Each trial is measured on 200 digits of its own."""
        return {"chosen": torch.randint(4000, (200,), generator=generator)}

    def evaluate(
        self, params: Leaves, held_out: Leaves, hyper: Leaves, tier: Tier
    ) -> dict[str, Tensor]:
        logits = self.logits(params, self.images[held_out["chosen"]], training=False)
        labels = self.labels[held_out["chosen"]]
        if tier == "expensive":
            return {"test_loss": cross_entropy(logits, labels)}
        return {"test_accuracy": (logits.argmax(-1) == labels).float().mean()}


MLP = LiftedExperiment(
    name="lifted_mlp",
    description="the deep MLP, written for one network",
    settings=MlpSettings,
    metrics=lambda _: (
        Metric("test_accuracy", "higher", 0.0, 1.0, "cheap", "correct"),
        Metric("test_loss", "lower", 0.0, 1e30, "expensive", "cross-entropy"),
    ),
    segment=lambda _: 6,
    program="tests.models.lifting.mlp:Mlp",
    init_reads=frozenset({"init_std"}),
    data=lambda _: {"digits5k": DIGITS5K},
)

"""The network of `digits_cnn`: an ordinary nn.Module, one batch, one loss, and no lane anywhere."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from digits_cnn.description import DigitsCnnSettings
from models.deep_mlp.digits import digits5k
from models.experiment import Settings, Tier
from models.lifting.network import Network, Values
from models.lifting.stateless import Stateless
from models.updates.chain import Leaves


def network(settings: DigitsCnnSettings) -> nn.Module:
    """Two convolutions of stride 2 and a linear read-out; (B, 1, 28, 28) -> (B, 10) logits."""
    maps = settings.maps
    return nn.Sequential(
        nn.Conv2d(1, maps, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(maps, 2 * maps, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(settings.dropout),
        nn.Linear(2 * maps * 7 * 7, 10),
    )


class DigitsCnn(Network):
    """Trains the network on digits5k."""

    def __init__(self, settings: Settings, device: torch.device) -> None:
        super().__init__(settings, device)
        if not isinstance(settings, DigitsCnnSettings):
            raise TypeError(f"DigitsCnn takes DigitsCnnSettings, not {type(settings).__name__}")
        self.size = settings.batch
        self.net = Stateless(lambda: network(settings), device)
        digits = digits5k()
        self.images = torch.from_numpy(digits.train_images).view(-1, 1, 28, 28).to(device)
        self.labels = torch.from_numpy(digits.train_labels).to(device)
        self.test_images = torch.from_numpy(digits.test_images).view(-1, 1, 28, 28).to(device)
        self.test_labels = torch.from_numpy(digits.test_labels).to(device)

    def init(self, generator: torch.Generator, values: Values) -> Leaves:
        """The layers' own initial weights."""
        return self.net.init(generator)

    def batch(self, generator: torch.Generator, values: Values, steps: int) -> Leaves:
        """Indices of training digits, drawn with replacement: (steps, B)."""
        shape = (steps, self.size)
        return {"chosen": torch.randint(len(self.images), shape, generator=generator)}

    def loss(self, params: Leaves, batch: Leaves, hyper: Leaves) -> Tensor:
        """Mean cross-entropy with smoothed labels."""
        logits = self.net(params, self.images[batch["chosen"]])
        truth = cross_entropy(logits, self.labels[batch["chosen"]])
        uniform = -torch.log_softmax(logits, -1).mean()
        return (1 - hyper["smoothing"]) * truth + hyper["smoothing"] * uniform

    def evaluate(
        self, params: Leaves, held_out: Leaves, hyper: Leaves, tier: Tier
    ) -> dict[str, Tensor]:
        """Accuracy and loss on all test digits."""
        logits = self.net.predict(params, self.test_images)
        right = (logits.argmax(-1) == self.test_labels).float()
        return {
            "test_accuracy": right.mean(),
            "test_loss": cross_entropy(logits, self.test_labels),
        }

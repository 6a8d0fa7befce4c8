"""The deep MLP, lane-first: R networks of one shape in one chain of batched products."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.deep_mlp.digits import digits5k
from models.deep_mlp.settings import DeepMlpSettings
from models.experiment import Settings, Tier
from models.initialisers import he_std, sussillo_abbott_std
from models.program import Lanes, Leaves
from models.updates.rule import update_rule

CLASSES = 10
_TEST_CHUNK = 250


@dataclass(frozen=True)
class DigitBatches:
    """One segment's examples and dropout.

    Attributes:
        chosen: (segment, R, B) indices of training images.
        generators: of the lanes that drop units, None for the others.
        keep: (R,) probability that a unit is kept.
    """

    chosen: Tensor
    generators: list[torch.Generator | None]
    keep: Tensor


class DeepMlp:
    """`depth` hidden ReLU layers of `width` units and a linear read-out.

    Parameters: w00 (R, 784, width), w01 (R, width, width) ..., the last (R, width, 10); biases
    b00 (R, 1, width) ...; each its own leaf, since one flat vector makes backward several times
    slower. Its kernels are width-invariant (tests/workers), so it declares no tile.
    """

    def __init__(self, settings: Settings, segment: int, device: torch.device) -> None:
        if not isinstance(settings, DeepMlpSettings):
            raise TypeError(f"DeepMlp takes DeepMlpSettings, not {type(settings).__name__}")
        self.settings = settings
        self.segment = segment
        self.device = device
        self.update = update_rule(settings)
        digits = digits5k()
        self.images = torch.from_numpy(digits.train_images).to(device)
        self.labels = torch.from_numpy(digits.train_labels).to(device)
        self.test_images = torch.from_numpy(digits.test_images).to(device)
        self.test_labels = torch.from_numpy(digits.test_labels).to(device)
        width = settings.width
        self.sizes = [self.images.shape[1], *[width] * settings.depth, CLASSES]

    def init(self, lanes: Lanes) -> tuple[Leaves, Leaves]:
        """Weights are one standard normal draw a coordinate, scaled by the initialiser."""
        params: Leaves = {}
        generators = lanes.once("init")
        for layer, (fan_in, fan_out) in enumerate(zip(self.sizes, self.sizes[1:], strict=False)):
            draws = [g.standard_normal((fan_in, fan_out), np.float32) for g in generators]
            scale = self._std(lanes, fan_in).view(-1, 1, 1)
            params[f"w{layer:02d}"] = torch.from_numpy(np.stack(draws)).to(self.device) * scale
            params[f"b{layer:02d}"] = torch.zeros(len(lanes), 1, fan_out, device=self.device)
        return params, {"level": torch.zeros(len(lanes), dtype=torch.int64, device=self.device)}

    def _std(self, lanes: Lanes, fan_in: int) -> Tensor:
        """(R,) standard deviation of a layer's initial weights."""
        match self.settings.init:
            case "simple":
                return lanes.value("init_std")
            case "he":
                std = he_std(fan_in)
            case "sussillo_abbott":
                std = sussillo_abbott_std(fan_in)
            case "zero":
                std = 0.0
        return torch.full((len(lanes),), std, dtype=torch.float32, device=self.device)

    def level(self, state: Leaves) -> Tensor:
        """(R,) zeros: a plain network has no curriculum."""
        return state["level"]

    def batches(self, lanes: Lanes, level: int) -> DigitBatches:
        """Examples of the segment, drawn with replacement from each lane's data stream."""
        shape = (self.segment, self.settings.batch)
        chosen = [g.integers(len(self.images), size=shape) for g in lanes.numpy_generators("data")]
        rates = lanes.values["dropout"]
        generators: list[torch.Generator | None] = [None] * len(lanes)
        if (rates > 0).any():
            streams = lanes.torch_generators("dropout")
            generators = [g if p > 0 else None for g, p in zip(streams, rates, strict=True)]
        keep = torch.from_numpy((1.0 - rates).astype(np.float32)).to(self.device)
        return DigitBatches(torch.from_numpy(np.stack(chosen, 1)).to(self.device), generators, keep)

    def loss(self, params: Leaves, batches: DigitBatches, step: int) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy (R,), and the training error of the batch (R, 1)."""
        chosen = batches.chosen[step]  # (R, B)
        hidden = self.images[chosen]  # (R, B, 784)
        scales = self._dropout(batches)
        for layer in range(self.settings.depth):
            w, b = params[f"w{layer:02d}"], params[f"b{layer:02d}"]
            hidden = torch.relu(torch.baddbmm(b, hidden, w))  # (R, B, width)
            if scales is not None:
                hidden = hidden * scales[layer]
        logits = self._read_out(params, hidden)  # (R, B, 10)
        labels = self.labels[chosen]
        return cross_entropy(logits, labels).mean(1), wrong(logits, labels).mean(1, keepdim=True)

    def _read_out(self, params: Leaves, hidden: Tensor) -> Tensor:
        last = self.settings.depth
        return torch.baddbmm(params[f"b{last:02d}"], hidden, params[f"w{last:02d}"])

    def _dropout(self, batches: DigitBatches) -> Tensor | None:
        """(depth, R, B, width) factors, 1 for lanes that drop nothing; None if none does."""
        if all(g is None for g in batches.generators):
            return None
        s = self.settings
        scales = torch.ones(len(batches.generators), s.depth, s.batch, s.width)
        for row, generator in enumerate(batches.generators):
            if generator is not None:
                keep = batches.keep[row].item()
                scales[row].uniform_(generator=generator)
                scales[row] = (scales[row] < keep) / keep
        return scales.to(self.device).transpose(0, 1)

    def boundary(self, state: Leaves, stats: Tensor) -> Leaves:
        """Nothing changes at a boundary."""
        return state

    def evaluate(self, params: Leaves, lanes: Lanes, tier: Tier) -> dict[str, Tensor]:
        """Accuracy and loss on the whole test set, (R,) each."""
        if tier == "expensive":
            return {}
        right: list[Tensor] = []
        losses: list[Tensor] = []
        for images, labels in zip(
            torch.split(self.test_images, _TEST_CHUNK),
            torch.split(self.test_labels, _TEST_CHUNK),
            strict=True,
        ):
            hidden = images.expand(len(lanes), -1, -1)
            for layer in range(self.settings.depth):
                w, b = params[f"w{layer:02d}"], params[f"b{layer:02d}"]
                hidden = torch.relu(torch.baddbmm(b, hidden, w))
            logits = self._read_out(params, hidden)
            truth = labels.expand(len(lanes), -1)
            right.append(1.0 - wrong(logits, truth))
            losses.append(cross_entropy(logits, truth))
        return {"test_accuracy": overall_mean(right), "test_loss": overall_mean(losses)}


def overall_mean(chunks: Sequence[Tensor]) -> Tensor:
    """(R,) mean over the examples of all chunks, each (R, n).

    In float64, where 900 right of 1,000 is the 0.9 that a threshold says.
    """
    return torch.cat(list(chunks), 1).double().mean(1)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-log softmax at the label, (R, B) from (R, B, classes) and (R, B)."""
    return -torch.log_softmax(logits, -1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)


def wrong(logits: Tensor, labels: Tensor) -> Tensor:
    """(R, B) 1.0 where the largest logit is not the label's."""
    return (logits.detach().argmax(-1) != labels).float()

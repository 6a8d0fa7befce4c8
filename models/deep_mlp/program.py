"""The deep MLP, lane-first: R networks of one shape in one chain of batched products."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.deep_mlp import compiled
from models.deep_mlp.digits import data_set
from models.deep_mlp.settings import TEST_CHUNK, DeepMlpSettings
from models.experiment import Settings, Tier
from models.initialisers import he_std, sussillo_abbott_std
from models.kernels.dropout import keep_factors
from models.kernels.leaves import LeafList
from models.program import Lanes, Leaves
from models.updates.rule import update_rule

#: test examples that the compiled loops take at once
CHUNK = 40


@dataclass
class DigitBatches:
    """One segment's examples and dropout, and what its steps write into.

    Attributes:
        chosen: (segment, R, B) indices of training images.
        keep: (R,) probability that a unit is kept.
        keys: (R, 4) keys of the dropout streams.
        found: the gradients of the step before; every step writes into them anew.
    """

    chosen: Tensor
    keep: np.ndarray
    keys: np.ndarray
    found: LeafList | None = None


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
        digits = data_set(settings.data)
        self.images = torch.from_numpy(digits.train_images).to(device)
        self.labels = torch.from_numpy(digits.train_labels).to(device)
        self.test_images = torch.from_numpy(digits.test_images).to(device)
        self.test_labels = torch.from_numpy(digits.test_labels).to(device)
        self.sizes = settings.sizes
        self.compiled = device.type == "cpu" and settings.small
        self._counts = np.array(self.sizes, np.int64)
        # leaves lie in order of name, and b100 comes before b11
        layers = range(settings.depth + 1)
        wanted = [f"{kind}{layer:02d}" for kind in "bw" for layer in layers]
        self._order = [sorted(wanted).index(name) for name in wanted]
        self._scratch = np.empty(0, np.float32)
        if self.compiled:
            examples = max(settings.batch, CHUNK)
            self._scratch = np.empty(compiled.room(self.sizes, examples), np.float32)

    def init(self, lanes: Lanes) -> tuple[Leaves, Leaves]:
        """Weights are one standard normal draw a coordinate, scaled by the initialiser."""
        params: Leaves = {}
        generators = lanes.once("init")
        for layer, (fan_in, fan_out) in enumerate(zip(self.sizes, self.sizes[1:], strict=False)):
            draws = [g.standard_normal((fan_in, fan_out), np.float32) for g in generators]
            std = self._std(lanes, fan_in).view(-1, 1, 1)
            drawn = torch.from_numpy(np.stack(draws)).to(self.device)
            # 0 x draw would keep the draw's sign, and the fingerprint with it
            params[f"w{layer:02d}"] = torch.where(std > 0, drawn * std, 0.0)
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
        return DigitBatches(
            torch.from_numpy(np.stack(chosen, 1)).to(self.device),
            1.0 - lanes.values["dropout"],
            lanes.counter_keys("dropout"),
        )

    def loss(self, params: Leaves, batches: DigitBatches, step: int) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy (R,), and the training error of the batch (R, 1)."""
        chosen = batches.chosen[step]  # (R, B)
        hidden = self.images[chosen]  # (R, B, 784)
        scales = self._dropout(batches, step)
        for layer in range(self.settings.depth):
            w, b = params[f"w{layer:02d}"], params[f"b{layer:02d}"]
            hidden = torch.relu(torch.baddbmm(b, hidden, w))  # (R, B, width)
            if scales is not None:
                hidden = hidden * scales[:, layer]
        logits = self._read_out(params, hidden)  # (R, B, 10)
        labels = self.labels[chosen]
        return cross_entropy(logits, labels).mean(1), wrong(logits, labels).mean(1, keepdim=True)

    def gradients(
        self, params: LeafList, batches: DigitBatches, step: int
    ) -> tuple[Tensor, Tensor, LeafList]:
        """`loss` and its gradients, in one compiled loop."""
        found = batches.found
        if found is None:
            like = zip(params.names, params.tensors, strict=True)
            found = batches.found = LeafList({name: torch.empty_like(leaf) for name, leaf in like})
        scales = self._dropout(batches, step)
        lanes = params.lanes
        loss, error = np.empty(lanes, np.float32), np.empty((lanes, 1), np.float32)
        compiled.gradients(
            self._addresses(params),
            self._addresses(found),
            self._counts,
            self.images.numpy(),
            self.labels.numpy(),
            batches.chosen[step].numpy(),
            np.empty((lanes, 0, 0, 0), np.float32) if scales is None else scales.numpy(),
            self._scratch,
            loss,
            error[:, 0],
        )
        return torch.from_numpy(loss), torch.from_numpy(error), found

    def _read_out(self, params: Leaves, hidden: Tensor) -> Tensor:
        last = self.settings.depth
        return torch.baddbmm(params[f"b{last:02d}"], hidden, params[f"w{last:02d}"])

    def _dropout(self, batches: DigitBatches, step: int) -> Tensor | None:
        """(R, depth, B, width) factors, 1 for lanes that drop nothing; None if none does."""
        if (batches.keep == 1).all():
            return None
        s, lanes = self.settings, len(batches.keep)
        scales = torch.empty(lanes, s.depth, s.batch, s.width, device=self.device)
        keep_factors(batches.keep, batches.keys, step, scales.view(lanes, -1))
        return scales

    def boundary(self, params: Leaves, state: Leaves, stats: Tensor) -> Leaves:
        """Nothing changes at a boundary."""
        return state

    def evaluate(self, params: Leaves, lanes: Lanes, tier: Tier) -> dict[str, Tensor]:
        """Accuracy and loss on the whole test set, (R,) each."""
        if tier == "expensive":
            return {}
        if self.compiled:
            return self._test(LeafList(params))
        right: list[Tensor] = []
        losses: list[Tensor] = []
        for images, labels in zip(
            torch.split(self.test_images, TEST_CHUNK),
            torch.split(self.test_labels, TEST_CHUNK),
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

    def _addresses(self, leaves: LeafList) -> np.ndarray:
        """Of the biases of all layers, then of their weights."""
        assert leaves.addresses is not None  # noqa: S101 - compiled loops are the CPU's
        return leaves.addresses[self._order]

    def _test(self, params: LeafList) -> dict[str, Tensor]:
        shape = (params.lanes, len(self.test_images))
        losses, wrong_ = np.empty(shape, np.float32), np.empty(shape, np.float32)
        compiled.test(
            self._addresses(params),
            params.lanes,
            self._counts,
            self.test_images.numpy(),
            self.test_labels.numpy(),
            CHUNK,
            self._scratch,
            losses,
            wrong_,
        )
        right = 1.0 - torch.from_numpy(wrong_)
        return {
            "test_accuracy": overall_mean([right]),
            "test_loss": overall_mean([torch.from_numpy(losses)]),
        }


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

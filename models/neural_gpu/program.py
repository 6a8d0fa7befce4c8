"""The Neural GPU, lane-first: R networks of one shape, each with its own curriculum."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.experiment import Settings, Tier
from models.kernels.dropout import keep_factors
from models.neural_gpu import arithmetic, tasks
from models.neural_gpu.cgru import Cell, cell
from models.neural_gpu.recurrence import Rooms, recurrence
from models.neural_gpu.settings import EVAL_CHUNK, NeuralGpuSettings
from models.program import Lanes, Leaves
from models.streams import numpy_generator
from models.updates.rule import update_rule

_EMBEDDING_RANGE = 1.7
_UNIT_SCALING = 1.8
_DROPOUT_LENGTH = 8


@dataclass(frozen=True)
class Tapes:
    """One segment's examples and dropout at one level.

    Attributes:
        source: (segment, R, B, n) symbols.
        target: (segment, R, B, n) symbols, padding after the answer.
        keep: (R,) probability that an element is kept.
        keys: (R, 4) keys of the dropout streams.
    """

    source: Tensor
    target: Tensor
    keep: np.ndarray
    keys: np.ndarray


class NeuralGpu:
    """Embeds the symbols of a tape, runs as many steps of CGRUs, and reads the answer off.

    The mental image of n x width x maps numbers is held as rows of width x maps. The embedded
    input goes through a 1 x 1 convolution into width row 0; the answer is read from the same row.
    Every program of a level is the same for all lanes, and its kernels are width-invariant.
    """

    def __init__(self, settings: Settings, segment: int, device: torch.device) -> None:
        if not isinstance(settings, NeuralGpuSettings):
            raise TypeError(f"NeuralGpu takes NeuralGpuSettings, not {type(settings).__name__}")
        self.settings = settings
        self.segment = segment
        self.device = device
        self.update = update_rule(settings)
        self._rooms = Rooms()

    def init(self, lanes: Lanes) -> tuple[Leaves, Leaves]:
        """Uniform unit scaling, U(-a, a) with a = 1.8 init_weight sqrt(3 / fan_in); zero biases."""
        s, m = self.settings, self.settings.maps
        shapes: dict[str, tuple[int, ...]] = {
            "input.w": (m, m),
            "output.w": (m, arithmetic.SYMBOLS),
        }
        for layer in range(s.layers):
            shapes |= {f"cgru{layer}.{k}.w": (3, 3, m, m) for k in ("update", "reset", "candidate")}
        generators = lanes.once("init")
        scale = lanes.value("init_weight")
        params = {
            "embedding": self._uniform(generators, (arithmetic.SYMBOLS, m)) * _EMBEDDING_RANGE
        }
        for name, shape in sorted(shapes.items()):
            bound = _UNIT_SCALING * math.sqrt(3.0 / math.prod(shape[:-1]))
            draws = self._uniform(generators, shape)
            params[name] = draws * bound * scale.view(-1, *[1] * len(shape))
            bias = name.removesuffix("w") + "b"
            params[bias] = torch.zeros(len(lanes), shape[-1], device=self.device)
        level = torch.full((len(lanes),), s.start_bits, dtype=torch.int64, device=self.device)
        return params, {"level": level, "bound": lanes.value("curriculum_bound")}

    def _uniform(self, generators: list[np.random.Generator], shape: tuple[int, ...]) -> Tensor:
        """(R, *shape) from U(-1, 1)."""
        draws = [g.random(shape, np.float32) * 2 - 1 for g in generators]
        return torch.from_numpy(np.stack(draws).astype(np.float32)).to(self.device)

    def level(self, state: Leaves) -> Tensor:
        """(R,) digits of an operand."""
        return state["level"]

    def batches(self, lanes: Lanes, level: int) -> Tapes:
        """Training examples of `level` digits, drawn from each lane's data stream."""
        s = self.settings
        sources, targets = [], []
        for generator in lanes.numpy_generators("data"):
            count = self.segment * s.batch
            source, target = tasks.examples(s.task, generator, count, level, "train")
            sources.append(source.reshape(self.segment, s.batch, -1))
            targets.append(target.reshape(self.segment, s.batch, -1))
        rates = lanes.values["dropout"] * min(1.0, _DROPOUT_LENGTH / tasks.length(s.task, level))
        return Tapes(
            self._symbols(np.stack(sources, 1)),
            self._symbols(np.stack(targets, 1)),
            1.0 - rates,
            lanes.counter_keys("dropout"),
        )

    def _symbols(self, tape: np.ndarray) -> Tensor:
        return torch.from_numpy(tape.astype(np.int64)).to(self.device)

    def loss(self, params: Leaves, batches: Tapes, step: int) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy of the answer's digits (R,); digit and sequence error (R, 2)."""
        source, target = batches.source[step], batches.target[step]
        scales = self._dropout(batches, step, source.shape[1:])
        logits = self._logits(params, source, scales)
        live = (target != arithmetic.PAD).float()  # (R, B, n)
        log_p = torch.log_softmax(logits, -1).gather(-1, target.unsqueeze(-1)).squeeze(-1)
        digits = live.flatten(1).sum(1)
        loss = -(log_p * live).flatten(1).sum(1) / digits
        return loss, torch.stack(errors(logits, target), 1)

    def _logits(self, params: Leaves, source: Tensor, scales: Tensor | None) -> Tensor:
        """(R, B, n, symbols) from symbols (R, B, n)."""
        s = self.settings
        lanes, batch, length = source.shape
        state = self._write(params, source)
        cells = [self._cell(params, layer) for layer in range(s.layers)]
        state = recurrence(state, cells, s.width, s.gate_cutoff, scales, self._rooms)
        row = state[..., : s.maps].reshape(lanes, batch * length, s.maps)
        out = torch.baddbmm(params["output.b"].unsqueeze(1), row, params["output.w"])
        return out.reshape(lanes, batch, length, arithmetic.SYMBOLS)

    def _write(self, params: Leaves, source: Tensor) -> Tensor:
        """The first mental image, (R, B, n, w m): the embedded symbols in width row 0."""
        s = self.settings
        lanes, batch, length = source.shape
        table = torch.tanh(params["embedding"])
        table = torch.baddbmm(params["input.b"].unsqueeze(1), table, params["input.w"])
        # a product with one-hot rows: an indexed read's gradient would add up in no fixed order
        hot = torch.nn.functional.one_hot(source, arithmetic.SYMBOLS).to(table.dtype)
        row = hot.reshape(lanes, batch * length, arithmetic.SYMBOLS) @ table
        row = row.reshape(lanes, batch, length, s.maps)
        return torch.nn.functional.pad(row, (0, (s.width - 1) * s.maps))

    def _cell(self, params: Leaves, layer: int) -> Cell:
        names = [f"cgru{layer}.{kind}" for kind in ("update", "reset", "candidate")]
        kernels = tuple(params[f"{n}.w"] for n in names)
        biases = tuple(params[f"{n}.b"] for n in names)
        return cell((kernels[0], kernels[1], kernels[2]), (biases[0], biases[1], biases[2]))

    def _dropout(self, tapes: Tapes, index: int, shape: torch.Size) -> Tensor | None:
        """(R, n, B, n, w m) factors, exactly 1 for lanes that drop nothing; None if none does."""
        if (tapes.keep == 1).all():
            return None
        batch, length = shape
        lanes, row = len(tapes.keep), self.settings.width * self.settings.maps
        scales = torch.empty(lanes, length, batch, length, row, device=self.device)
        keep_factors(tapes.keep, tapes.keys, index, scales.view(lanes, -1))
        return scales

    def boundary(self, state: Leaves, stats: Tensor) -> Leaves:
        """A lane moves to the next length once its mean sequence error is below its bound."""
        ready = (stats[:, 1] < state["bound"]) & (state["level"] < self.settings.bits)
        return state | {"level": state["level"] + ready.long()}

    def evaluate(self, params: Leaves, lanes: Lanes, tier: Tier) -> dict[str, Tensor]:
        """Errors on held-out pairs; each length has one evaluation stream for the whole trial."""
        s = self.settings
        found: dict[str, Tensor] = {}
        for bits in (s.bits,) if tier == "cheap" else s.lengths_beyond:
            tapes = [
                tasks.examples(
                    s.task, numpy_generator(key, "evaluation", bits), s.eval_examples, bits, "test"
                )
                for key in lanes.keys
            ]
            source = self._symbols(np.stack([t[0] for t in tapes]))
            target = self._symbols(np.stack([t[1] for t in tapes]))
            logits = [
                self._logits(params, part, None) for part in torch.split(source, EVAL_CHUNK, 1)
            ]
            digit, sequence = errors(torch.cat(logits, 1), target)
            found |= {f"digit_error@{bits}": digit, f"sequence_error@{bits}": sequence}
        return found


def errors(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Fractions of wrong answer digits and of answers with any wrong digit, (R,) float64 each.

    Ratios of counts in float64 are the numbers that a threshold says: 32 of 640 is 0.05.
    """
    live = target != arithmetic.PAD
    wrong = (logits.detach().argmax(-1) != target) & live  # (R, B, n)
    digit = wrong.flatten(1).sum(1).double() / live.flatten(1).sum(1)
    return digit, wrong.any(2).double().mean(1)

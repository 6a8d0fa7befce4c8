"""The Neural GPU, lane-first: R networks of one shape, each with its own curriculum."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.experiment import Settings, Tier
from models.kernels.dropout import keep_factors
from models.neural_gpu import arithmetic, curriculum, tasks
from models.neural_gpu.cgru import Cell, cell
from models.neural_gpu.recurrence import Rooms, recurrence
from models.neural_gpu.settings import EVAL_CHUNK, NeuralGpuSettings
from models.program import Lanes, Leaves
from models.streams import numpy_generator
from models.updates.chain import wide
from models.updates.rule import update_rule

_EMBEDDING_RANGE = 1.7
_UNIT_SCALING = 1.8
_DROPOUT_LENGTH = 8
#: pull from which on sets are set to their mean
_STRONG = 0.1


@dataclass(frozen=True)
class Tapes:
    """One segment's examples and dropout at one level; a step's examples have one length n.

    Attributes:
        source: of each step, (R, B, n) symbols.
        target: of each step, (R, B, n) symbols, padding after the answer.
        keep: of each step, (R,) probability that an element is kept.
        keys: (R, 4) keys of the dropout streams.
        counted: of each step, 1.0 where the level is judged by it, else 0.0.
        pull: (R,) weight of the distance between sets of weights, or None where there is one set.
    """

    source: list[Tensor]
    target: list[Tensor]
    keep: list[np.ndarray]
    keys: np.ndarray
    counted: list[float]
    pull: Tensor | None = None


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
        #: names of every CGRU's gates and candidate, by set and layer
        self._names = [
            [
                [f"{prefix}cgru{layer}.{kind}" for kind in ("update", "reset", "candidate")]
                for layer in range(settings.layers)
            ]
            for prefix in _prefixes(settings.relaxation)
        ]

    def init(self, lanes: Lanes) -> tuple[Leaves, Leaves]:
        """Uniform unit scaling, U(-a, a) with a = 1.8 init_weight sqrt(3 / fan_in); zero biases."""
        s, m = self.settings, self.settings.maps
        shapes: dict[str, tuple[int, ...]] = {
            "input.w": (m, m),
            "output.w": (m, arithmetic.SYMBOLS),
        }
        for each in (name for cells in self._names for names in cells for name in names):
            shapes[f"{each}.w"] = (3, 3, m, m)
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
        state = {"level": level, "bound": lanes.value("curriculum_bound")}
        if s.relaxation > 1:
            state["pull"] = lanes.value("relaxation_pull")
            state["growth"] = lanes.value("relaxation_growth")
        return params, state

    def _uniform(self, generators: list[np.random.Generator], shape: tuple[int, ...]) -> Tensor:
        """(R, *shape) from U(-1, 1)."""
        draws = [g.random(shape, np.float32) * 2 - 1 for g in generators]
        return torch.from_numpy(np.stack(draws).astype(np.float32)).to(self.device)

    def level(self, state: Leaves) -> Tensor:
        """(R,) digits of an operand."""
        return state["level"]

    def batches(self, lanes: Lanes, level: int) -> Tapes:
        """Training examples drawn from each lane's data stream; lengths are the level's own."""
        s = self.settings
        digits = curriculum.schedule(s.lengths, level, s.bits, self.segment)
        source: dict[int, Tensor] = {}
        target: dict[int, Tensor] = {}
        generators = lanes.numpy_generators("data")
        for bits in np.unique(digits).tolist():
            steps = np.flatnonzero(digits == bits).tolist()
            drawn = [
                tasks.examples(s.task, g, len(steps) * s.batch, bits, "train") for g in generators
            ]
            for found, side in ((source, 0), (target, 1)):
                tapes = np.stack([pair[side] for pair in drawn])  # (R, steps B, n)
                parts = torch.split(self._symbols(tapes), s.batch, 1)
                found |= dict(zip(steps, parts, strict=True))
        lengths = [tasks.length(s.task, bits) for bits in digits.tolist()]
        return Tapes(
            [source[i] for i in range(self.segment)],
            [target[i] for i in range(self.segment)],
            [1.0 - lanes.values["dropout"] * min(1.0, _DROPOUT_LENGTH / n) for n in lengths],
            lanes.counter_keys("dropout"),
            [float(bits <= level) for bits in digits.tolist()],
            lanes.state["pull"] if s.relaxation > 1 else None,
        )

    def _symbols(self, tape: np.ndarray) -> Tensor:
        return torch.from_numpy(tape.astype(np.int64)).to(self.device)

    def loss(self, params: Leaves, batches: Tapes, step: int) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy of the answer's digits and the sets' distance times the pull, (R,).

        Statistics (R, 4): digit error; sequence error, where the level is judged by it; whether it
        is; and the sequence error.
        """
        source, target = batches.source[step], batches.target[step]
        scales = self._dropout(batches, step, source.shape[1:])
        logits = self._logits(params, source, scales)
        live = (target != arithmetic.PAD).float()  # (R, B, n)
        log_p = torch.log_softmax(logits, -1).gather(-1, target.unsqueeze(-1)).squeeze(-1)
        digits = live.flatten(1).sum(1)
        loss = -(log_p * live).flatten(1).sum(1) / digits
        if batches.pull is not None:
            loss = loss + batches.pull * self._distance(params)
        digit, sequence = errors(logits, target)
        counted = torch.full_like(sequence, batches.counted[step])
        return loss, torch.stack([digit, sequence * counted, counted, sequence], 1)

    def _distance(self, params: Leaves) -> Tensor:
        """(R,) sum of squared distances of all sets of weights to their mean."""
        total: Tensor | float = 0.0
        for leaves in self._relaxed():
            sets = torch.stack([params[name] for name in leaves], 1)  # (R, sets, ...)
            total = total + (sets - sets.mean(1, keepdim=True)).square().flatten(1).sum(1)
        return torch.as_tensor(total)

    def _relaxed(self) -> Iterator[list[str]]:
        """Names of the leaves that are one parameter in several sets."""
        for cells in zip(*self._names, strict=True):
            for names in zip(*cells, strict=True):
                for leaf in ("w", "b"):
                    yield [f"{name}.{leaf}" for name in names]

    def _logits(self, params: Leaves, source: Tensor, scales: Tensor | None) -> Tensor:
        """(R, B, n, symbols) from symbols (R, B, n)."""
        s = self.settings
        lanes, batch, length = source.shape
        state = self._write(params, source)
        sets = [[self._cell(params, names) for names in cells] for cells in self._names]
        state = recurrence(state, sets, s.width, s.gate_cutoff, scales, self._rooms)
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

    def _cell(self, params: Leaves, names: Sequence[str]) -> Cell:
        kernels = tuple(params[f"{n}.w"] for n in names)
        biases = tuple(params[f"{n}.b"] for n in names)
        return cell((kernels[0], kernels[1], kernels[2]), (biases[0], biases[1], biases[2]))

    def _dropout(self, tapes: Tapes, index: int, shape: torch.Size) -> Tensor | None:
        """(R, n, B, n, w m) factors, exactly 1 for lanes that drop nothing; None if none does."""
        keep = tapes.keep[index]
        if (keep == 1).all():
            return None
        batch, length = shape
        lanes, row = len(keep), self.settings.width * self.settings.maps
        scales = torch.empty(lanes, length, batch, length, row, device=self.device)
        keep_factors(keep, tapes.keys, index, scales.view(lanes, -1))
        return scales

    def boundary(self, params: Leaves, state: Leaves, stats: Tensor) -> Leaves:
        """A lane whose mean sequence error is below its bound moves on.

        It moves to the next length; its sets of weights are pulled together more, or, once the
        pull is strong, each set to their mean.
        """
        met = stats[:, 1] / stats[:, 2] < state["bound"]
        level = state["level"] + (met & (state["level"] < self.settings.bits)).long()
        if self.settings.relaxation == 1:
            return state | {"level": level}
        strong = state["pull"] >= _STRONG
        for leaves in self._relaxed():
            # one after another: a sum over a stack would depend on where a lane lies in it
            total = params[leaves[0]].clone()
            for name in leaves[1:]:
                total += params[name]
            mean = total / len(leaves)
            for name in leaves:
                leaf = params[name]
                leaf.copy_(torch.where(wide(met & strong, leaf), mean, leaf))
        grown = torch.where(met & ~strong, state["pull"] * state["growth"], state["pull"])
        return state | {"level": level, "pull": grown}

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


def _prefixes(sets: int) -> list[str]:
    return [""] if sets == 1 else [f"set{i:02d}." for i in range(sets)]


def errors(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Fractions of wrong answer digits and of answers with any wrong digit, (R,) float64 each.

    Ratios of counts in float64 are the numbers that a threshold says: 32 of 640 is 0.05.
    """
    live = target != arithmetic.PAD
    wrong = (logits.detach().argmax(-1) != target) & live  # (R, B, n)
    digit = wrong.flatten(1).sum(1).double() / live.flatten(1).sum(1)
    return digit, wrong.any(2).double().mean(1)

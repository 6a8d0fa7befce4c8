"""The Neural GPU on binary arithmetic and sequences, described without a tensor library.

Kaiser & Sutskever 2015, arXiv 1511.08228; trained with gradient noise in Neelakantan et al. 2015,
arXiv 1511.06807, section 4.5. What the papers leave open and is chosen here: all examples of a step
have one length; answers keep their leading zeros; unless asked for, one set of parameters (no
relaxation) and only examples of the level's length.
"""

from typing import Self

from pydantic import Field, model_validator

from models.experiment import Experiment, LaneMemory, Metric, Tier, per_lane, shared
from models.neural_gpu import tasks
from models.neural_gpu.arithmetic import SYMBOLS
from models.neural_gpu.curriculum import Lengths
from models.neural_gpu.tasks import Task
from models.updates.settings import Clip, Optimiser, UpdateSettings

#: the longest operand that is evaluated, in digits
LONGEST = 4000
#: held-out examples that are evaluated at once
EVAL_CHUNK = 32


class NeuralGpuSettings(UpdateSettings):
    """Hyper-parameters of `neural_gpu`."""

    optimiser: Optimiser = shared(
        "adam", doc="sgd and nesterov (with momentum), rmsprop, adam, adamax, adamw"
    )
    learning_rate: float = per_lane(0.001, gt=0, le=1e6, doc="step size of the optimiser")
    adam_eps: float = per_lane(1e-4, gt=0, doc="added to adam's root; 1e-4 in the paper's code")
    clip: Clip = shared(
        "norm",
        doc="clip gradients not at all, by each lane's global norm, by each tensor's, or by value",
    )
    clip_norm: float = per_lane(1.0, gt=0, doc="largest global norm, or value, after clipping")
    task: Task = shared(
        "binary_addition",
        doc="what is computed of two operands of equal length, or of one sequence of binary digits",
    )
    bits: int = shared(
        8, ge=1, le=400, doc="digits of an operand or sequence at the end of the curriculum"
    )
    start_bits: int = shared(
        1, ge=1, le=400, doc="digits at which the curriculum starts; equal to bits for none"
    )
    curriculum_bound: float = per_lane(
        0.15, ge=0, le=1, doc="a lane moves on once its training sequence error is below this"
    )
    lengths: Lengths = shared(
        "level",
        doc="digits of a step's examples: the level's; or mixed, most up to the level and some "
        "beyond, as in the Neural GPU's trainer",
    )
    relaxation: int = shared(
        1, ge=1, le=12, doc="sets of CGRU weights, taken in turn by the steps of the recurrence"
    )
    relaxation_pull: float = per_lane(
        0.0005, ge=0, le=1, doc="weight of the sets' squared distance to their mean, at first"
    )
    relaxation_growth: float = per_lane(
        1.2,
        ge=1,
        le=10,
        doc="factor of the pull at each boundary where the curriculum's bound is met; from a pull "
        "of 0.1 on the sets are set to their mean instead",
    )
    beyond: tuple[int, ...] | None = Field(
        None,
        strict=False,
        max_length=8,
        description="longer operands to evaluate, in digits; twice and ten times bits unless given",
        json_schema_extra={"placement": "shared"},
    )
    maps: int = shared(24, ge=1, le=512, doc="maps of the mental image")
    width: int = shared(4, ge=1, le=32, doc="width of the mental image")
    layers: int = shared(2, ge=1, le=8, doc="CGRUs a time step")
    batch: int = shared(32, ge=1, le=4096, doc="examples a step")
    eval_examples: int = shared(128, ge=1, le=8192, doc="held-out examples an evaluation draws")
    gate_cutoff: float = shared(
        1.2, ge=1, le=2, doc="gates are cutoff x sigmoid - (cutoff - 1) / 2, cut to [0, 1]"
    )
    init_weight: float = per_lane(
        1.0, gt=0, le=100, doc="scale of the uniform initial weights, relative to the paper's code"
    )
    dropout: float = per_lane(
        0.0, ge=0, lt=1, doc="rate at length 8, falling as 8 / length; on the whole state"
    )

    @model_validator(mode="after")
    def _lengths(self) -> Self:
        if self.start_bits > self.bits:
            raise ValueError(
                f"start_bits {self.start_bits} is beyond bits {self.bits}: the curriculum could "
                "not end; lower start_bits or raise bits"
            )
        steps = tasks.length(self.task, self.bits)
        if self.relaxation > steps:
            raise ValueError(
                f"relaxation {self.relaxation} is more sets than a tape of {self.bits} digits has "
                f"steps, {steps}: some would never be used; lower relaxation or raise bits"
            )
        if self.beyond is not None:
            for length in self.beyond:
                if not self.bits < length <= LONGEST:
                    raise ValueError(
                        f"beyond holds {length}; it lists lengths above bits {self.bits} and up "
                        f"to {LONGEST}; bits itself is always evaluated"
                    )
            if len(set(self.beyond)) != len(self.beyond):
                raise ValueError(f"beyond {list(self.beyond)} names a length twice; drop one")
        return self

    def conflicts(self, steps: int) -> list[tuple[str, str]]:
        """Also what only relaxation reads."""
        found = super().conflicts(steps)
        for name in ("relaxation_pull", "relaxation_growth"):
            value = getattr(self, name)
            if self.relaxation == 1 and value != type(self).model_fields[name].default:
                rule = f"{name} {value} is read only with relaxation above 1, and relaxation is 1"
                found.append((rule, f"set relaxation, or leave {name} out"))
        return found

    @property
    def lengths_beyond(self) -> tuple[int, ...]:
        """Operand digits of the expensive evaluations."""
        return (2 * self.bits, 10 * self.bits) if self.beyond is None else self.beyond

    @property
    def parameters(self) -> int:
        """Numbers of one network."""
        m = self.maps
        gates = 3 * (9 * m * m + m)
        cgrus = self.relaxation * self.layers * gates
        return SYMBOLS * m + m * m + m + m * SYMBOLS + SYMBOLS + cgrus


def metrics(settings: NeuralGpuSettings) -> tuple[Metric, ...]:
    """Per-digit and per-sequence error on held-out pairs, at the training length and beyond."""
    found: list[Metric] = []
    for bits in (settings.bits, *settings.lengths_beyond):
        tier: Tier = "cheap" if bits == settings.bits else "expensive"
        about = f"on held-out examples of {bits} digits"
        found += [
            Metric(f"digit_error@{bits}", "lower", 0.0, 1.0, tier, f"wrong digits {about}"),
            Metric(f"sequence_error@{bits}", "lower", 0.0, 1.0, tier, f"wrong answers {about}"),
        ]
    return tuple(found)


def memory(settings: NeuralGpuSettings, segment: int) -> LaneMemory:
    """At the last level of the curriculum, and as if dropout were on, which only lanes know.

    Of the CPU's program; on a GPU autograd keeps several times the images of a step.
    """
    s = settings
    numbers = s.parameters
    held = 4 * numbers * s.numbers_a_parameter
    row = s.width * s.maps
    length = tasks.length(s.task, s.bits)
    image = (s.batch * (length + 1) + 1) * row
    # a state, two gates and a candidate a CGRU and time; dropout; buffers of the way back
    copies = 2 if s.relaxation == 1 else 6
    step = copies * numbers + image * (length * (4 * s.layers + 1) + 13)
    tapes = 16 * segment * s.batch * length
    longest = tasks.length(s.task, max((s.bits, *s.lengths_beyond)))
    test = 10 * (EVAL_CHUNK * (longest + 1) + 1) * row  # images that live at once
    examples = s.eval_examples * longest * (16 + 8 * SYMBOLS)
    return LaneMemory(held, held + max(4 * step + tapes, 4 * test + examples))


EXPERIMENT = Experiment(
    name="neural_gpu",
    description="The Neural GPU learning binary addition, multiplication and tasks on sequences",
    settings=NeuralGpuSettings,
    metrics=metrics,
    segment=lambda _: 50,
    program="models.neural_gpu.program:NeuralGpu",
    init_reads=frozenset({"init_weight"}),
    memory=memory,
)

"""The deep MLP of the paper's MNIST experiment, described without a tensor library.

Neelakantan et al. 2015, arXiv 1511.06807, section 4.1: 20 hidden layers of 50 ReLU units, SGD
without momentum, weights N(0, 0.1^2), eta 0.01. The paper states neither batch size, bias init nor
input scaling; here: batch 32, biases zero, pixels in [0, 1].
"""

import hashlib
from itertools import pairwise
from typing import Literal

from models.experiment import Experiment, LaneMemory, Metric, per_lane, shared
from models.updates.settings import UpdateSettings

PIXELS, CLASSES = 784, 10
#: test digits that are evaluated at once
TEST_CHUNK = 250
#: units of a layer, and examples, between which compiled loops run (models.deep_mlp.compiled)
WIDEST, FEWEST = 256, 8
DataSet = Literal["digits5k", "mnist70k"]
#: SHA-256 of the arrays of data set digits5k (see models.deep_mlp.digits)
DIGITS5K = "b5a8526c55a787d151c4e10de5a56e930f58acf6147c2412c8dc10047f99ca95"
#: the four files of MNIST in the IDX format (LeCun, Cortes & Burges), unpacked -> SHA-256
MNIST_FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
#: what stands for a data set in a plan; of mnist70k the SHA-256 of its files' checksums
CHECKSUMS: dict[DataSet, str] = {
    "digits5k": DIGITS5K,
    "mnist70k": hashlib.sha256("".join(MNIST_FILES.values()).encode()).hexdigest(),
}


class DeepMlpSettings(UpdateSettings):
    """Hyper-parameters of `deep_mlp`."""

    data: DataSet = shared(
        "digits5k",
        doc="digits5k: 5,000 real MNIST digits, 4,000 to train and 1,000 to test; mnist70k: all "
        "70,000 (10,000 to test), read by each worker from the folder SEEDBED_MNIST",
    )
    depth: int = shared(20, ge=1, le=200, doc="hidden layers")
    width: int = shared(50, ge=1, le=2048, doc="units of each hidden layer")
    batch: int = shared(32, ge=1, le=4000, doc="examples a step, drawn with replacement")
    init: Literal["simple", "he", "sussillo_abbott", "zero"] = shared(
        "simple", doc="simple: N(0, init_std^2); he; sussillo_abbott; zero; biases are zero"
    )
    init_std: float = per_lane(0.1, ge=0, le=100, doc="standard deviation of init: simple")
    dropout: float = per_lane(
        0.0, ge=0, lt=1, doc="probability that a hidden unit is dropped in training"
    )

    @property
    def sizes(self) -> list[int]:
        """Units of each layer, from the pixels to the classes."""
        return [PIXELS, *[self.width] * self.depth, CLASSES]

    @property
    def small(self) -> bool:
        """Whether the CPU's compiled loops beat a library's products."""
        return self.width <= WIDEST and self.batch >= FEWEST


def metrics(_settings: DeepMlpSettings) -> tuple[Metric, ...]:
    """Accuracy and loss on the data set's fixed test digits: a claim about this test set."""
    return (
        Metric("test_accuracy", "higher", 0.0, 1.0, "cheap", "fraction of test digits correct"),
        Metric("test_loss", "lower", 0.0, 1e30, "cheap", "mean cross-entropy on test digits, nats"),
    )


def memory(settings: DeepMlpSettings, segment: int) -> LaneMemory:
    """Float32 throughout; as if dropout were on, which only lanes know.

    As autograd keeps activations, though the CPU's compiled loops keep fewer.
    """
    s = settings
    numbers = sum(i * o + o for i, o in pairwise(s.sizes))
    held = 4 * numbers * s.numbers_a_parameter
    units = s.depth * s.width
    step = s.batch * (PIXELS + 3 * units + 2 * max(s.sizes[1:]) + 4 * CLASSES)
    test = TEST_CHUNK * (PIXELS + 2 * s.width + 4 * CLASSES)
    drawn = 8 * segment * s.batch
    return LaneMemory(held, held + max(4 * (numbers + step) + drawn, 4 * test))


def lacking() -> dict[str, str]:
    """Data sets that are not on this machine, and what to do; reads and checks their files."""
    from models.deep_mlp.digits import lacking as found  # noqa: PLC0415 - only workers read data

    return found()


EXPERIMENT = Experiment(
    name="deep_mlp",
    description="Very deep fully connected ReLU networks on MNIST digits (the paper's Table 1)",
    settings=DeepMlpSettings,
    metrics=metrics,
    segment=lambda _: 100,
    program="models.deep_mlp.program:DeepMlp",
    init_reads=frozenset({"init", "init_std"}),
    data=lambda settings: {settings.data: CHECKSUMS[settings.data]},
    lacking=lacking,
    memory=memory,
)

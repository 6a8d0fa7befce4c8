"""The experiment `digits_cnn`, described without a tensor library."""

from models.deep_mlp.settings import DIGITS5K
from models.experiment import LiftedExperiment, Metric, per_lane, shared
from models.updates.settings import UpdateSettings


class DigitsCnnSettings(UpdateSettings):
    """Hyper-parameters of `digits_cnn`, beside those of the update rule."""

    maps: int = shared(8, ge=1, le=256, doc="maps of the first convolution; the second has twice")
    batch: int = shared(32, ge=1, le=4000, doc="examples a step, drawn with replacement")
    dropout: float = shared(0.0, ge=0, lt=1, doc="rate at which the read-out's inputs are dropped")
    smoothing: float = per_lane(0.0, ge=0, lt=1, doc="label smoothing of the training loss")


def metrics(_settings: DigitsCnnSettings) -> tuple[Metric, ...]:
    """Accuracy and loss on the fixed 1,000 test digits."""
    return (
        Metric("test_accuracy", "higher", 0.0, 1.0, "cheap", "fraction of test digits correct"),
        Metric("test_loss", "lower", 0.0, 1e30, "cheap", "mean cross-entropy on test digits, nats"),
    )


EXPERIMENT = LiftedExperiment(
    name="digits_cnn",
    description="A small convolutional network on MNIST digits, written for one network",
    settings=DigitsCnnSettings,
    metrics=metrics,
    segment=lambda _: 50,
    program="digits_cnn.network:DigitsCnn",
    init_reads=frozenset({"maps"}),
    data=lambda _: {"digits5k": DIGITS5K},
)

"""What cannot be lifted soundly is refused when the program is built, saying what, why and how."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.experiment import Experiment, LiftedExperiment, Metric, Settings, Tier
from models.lifting.network import Network, Values
from models.lifting.program import lift
from models.lifting.refusals import LiftError
from models.lifting.stateless import Stateless
from models.updates.chain import Leaves
from models.updates.settings import UpdateSettings

CPU = torch.device("cpu")


class Line(Network):
    """A straight line through noisy points, which nothing is wrong with."""

    def init(self, generator: torch.Generator, values: Values) -> Leaves:
        return {"slope": torch.randn(3, generator=generator)}

    def batch(self, generator: torch.Generator, values: Values, steps: int) -> Leaves:
        return {"x": torch.randn(steps, 5, 3, generator=generator)}

    def loss(self, params: Leaves, batch: Leaves, hyper: Leaves) -> Tensor:
        return ((batch["x"] * params["slope"]).sum(-1) - batch["x"][:, 0]).square().mean()

    def evaluate(
        self, params: Leaves, held_out: Leaves, hyper: Leaves, tier: Tier
    ) -> dict[str, Tensor]:
        return {"slope": params["slope"].sum()}


EXPERIMENT = LiftedExperiment(
    name="line",
    description="a line",
    settings=UpdateSettings,
    metrics=lambda _: (Metric("slope", "lower", -1e30, 1e30, "cheap", "a sum"),),
    segment=lambda _: 4,
    program="tests:Line",
    init_reads=frozenset(),
)


def build(changed: dict[str, Any], experiment: LiftedExperiment = EXPERIMENT) -> None:
    """Builds a program of the line with some methods changed."""
    network = type("Changed", (Line,), changed)
    lift(network, experiment)(experiment.resolve({}), 4, CPU)


def refused(message: str, **changed: Any) -> str:
    with pytest.raises(LiftError, match=message) as caught:
        build(changed)
    text = str(caught.value)
    assert text.count(";") >= 2, f"what, why, what to do: {text}"
    return text


def test_a_sound_network_is_built_and_leaves_torchs_global_stream_alone() -> None:
    before = torch.get_rng_state()
    build({})
    assert torch.equal(torch.get_rng_state(), before)


def loss_with(change: Callable[[Tensor, Leaves], Tensor]) -> Any:
    """The line's loss, with its slope changed first."""

    def loss(self: Line, params: Leaves, batch: Leaves, hyper: Leaves) -> Tensor:
        slope = change(params["slope"], batch)
        return Line.loss(self, {"slope": slope}, batch, hyper)

    return loss


def in_place(slope: Tensor, batch: Leaves) -> Tensor:
    total = torch.zeros(3)
    total += slope
    return total


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, _: s + torch.randn(3), "Changed.loss draws random numbers"),
        (lambda s, _: s * torch.bernoulli(torch.full((3,), 0.5)), "draws random numbers"),
        (lambda s, _: nn.functional.alpha_dropout(s, 0.5, training=True), "draws random numbers"),
        (in_place, "Changed.loss writes in place to a tensor that all lanes share"),
        (lambda s, _: s * s.sum().item(), "reads a tensor's value in Python"),
        (lambda s, _: s if s.sum() > 0 else -s, "reads a tensor's value in Python"),
        (lambda s, _: s + s[s > 0].sum(), "makes a tensor whose shape depends on values"),
    ],
)
def test_what_vmap_cannot_do_for_each_lane_is_refused_in_our_words(
    change: Callable[[Tensor, Leaves], Tensor], message: str
) -> None:
    refused(message, loss=loss_with(change))


def test_an_evaluation_that_draws_is_refused() -> None:
    def evaluate(self: Line, params: Leaves, *_: Any, tier: Tier) -> dict[str, Tensor]:
        return {"slope": nn.functional.dropout(params["slope"]).sum()}

    refused("Changed.evaluate draws random numbers", evaluate=evaluate)


def test_what_is_drawn_from_another_stream_is_refused() -> None:
    refused("init drew other numbers", init=lambda s, g, v: {"slope": torch.randn(3)})
    refused("batch drew other numbers", batch=lambda s, g, v, n: {"x": torch.randn(n, 5, 3)})
    refused("held_out drew other numbers", held_out=lambda s, g, v: {"x": torch.randn(3)})


def test_a_network_that_keeps_state_between_calls_is_refused() -> None:
    def loss(self: Any, params: Leaves, batch: Leaves, hyper: Leaves) -> Tensor:
        self.calls = getattr(self, "calls", 0) + 1
        return Line.loss(self, params, batch, hyper) * self.calls

    text = refused("has other bits when its lane lies in another row", loss=loss)
    assert "keep no state on the network object" in text


def test_a_per_lane_value_read_from_the_settings_is_refused() -> None:
    """It would be the default for every lane, whatever the sweep says."""

    def loss(self: Line, params: Leaves, batch: Leaves, hyper: Leaves) -> Tensor:
        return Line.loss(self, params, batch, hyper) * self.settings.noise_eta  # type: ignore[attr-defined]

    text = refused("reads 'noise_eta' from its settings", loss=loss)
    assert "take it from hyper['noise_eta'] in loss()" in text


def test_tensors_of_another_kind_than_the_protocol_says_are_refused() -> None:
    refused("no parameters", init=lambda s, g, v: {})
    refused("float64", init=lambda s, g, v: {"slope": torch.zeros(3, dtype=torch.float64)})
    refused("something else than named tensors", init=lambda s, g, v: {"slope": 1.0})
    refused("for 4 steps", batch=lambda s, g, v, n: {"x": torch.zeros(1, 5, 3)})
    refused("a tensor of shape", loss=lambda s, p, b, h: p["slope"])
    refused("a float", loss=lambda s, p, b, h: 0.0)
    refused("a tensor of shape", loss=lambda s, p, b, h: torch.zeros(()))

    def more(self: Line, generator: torch.Generator, values: Values) -> Leaves:
        return Line.init(self, generator, values) | {"idle": torch.zeros(2)}

    refused("does not depend on 'idle'", init=more)


def test_metrics_that_are_not_the_declared_ones_are_refused() -> None:
    refused("declares \\['slope'\\]", evaluate=lambda s, p, d, h, tier: {"s": p["slope"].sum()})
    refused("declares \\['slope'\\]", evaluate=lambda s, p, d, h, tier: {"slope": p["slope"]})


def stateless(build_module: Callable[[], nn.Module]) -> dict[str, Any]:
    """Methods of a line that is a module."""

    def init(self: Any, generator: torch.Generator, values: Values) -> Leaves:
        self.net = Stateless(build_module, CPU)
        found: Leaves = self.net.init(generator)
        return found

    def loss(self: Any, params: Leaves, batch: Leaves, hyper: Leaves) -> Tensor:
        out: Tensor = self.net(params, batch["x"])
        return out.square().mean()

    def evaluate(self: Any, params: Leaves, *_: Any, tier: Tier) -> dict[str, Tensor]:
        out: Tensor = self.net.predict(params, torch.ones(5, 3))
        return {"slope": out.sum()}

    return {"init": init, "loss": loss, "evaluate": evaluate}


def test_running_statistics_are_refused_and_layers_without_them_are_not() -> None:
    def norm(**options: Any) -> Callable[[], nn.Module]:
        return lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, **options), nn.ReLU())

    text = refused("training changes buffer '1.num_batches_tracked'", **stateless(norm()))
    assert "GroupNorm" in text
    build(stateless(norm(track_running_stats=False)))
    build(stateless(lambda: nn.Sequential(nn.Linear(3, 4), nn.GroupNorm(2, 4))))


def test_constant_buffers_are_kept_and_random_ones_refused() -> None:
    class Scaled(nn.Module):
        def __init__(self, scale: Tensor) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 3)
            self.register_buffer("scale", scale)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.linear(x) * self.scale
            return out

    build(stateless(lambda: Scaled(torch.arange(3.0))))
    refused("buffer 'scale' of Scaled is drawn", **stateless(lambda: Scaled(torch.randn(3))))


def test_a_frozen_parameter_is_refused() -> None:
    refused(
        "requires_grad=False",
        **stateless(lambda: nn.Linear(3, 3).requires_grad_(requires_grad=False)),
    )


def test_a_lifted_experiment_without_a_tile_or_an_update_rule_is_refused() -> None:
    fields = {k: v for k, v in vars(EXPERIMENT).items() if k != "tile"}
    assert LiftedExperiment(**fields).tile == 8
    for tile in (None, 0):
        with pytest.raises(ValueError, match="its kernels give other bits at other widths"):
            LiftedExperiment(**fields, tile=tile)
    assert Experiment(**fields).tile is None
    bare = LiftedExperiment(**(fields | {"settings": Settings}))
    with pytest.raises(TypeError, match="derive them from"):
        build({}, bare)

"""Each baseline trains what the engine trains, and the check would notice if it did not."""

from functools import partial
from typing import Any

import pytest

from tests.benchmarks import alike
from tests.benchmarks.baselines import plain_loop, workload
from tests.benchmarks.baselines.contender import Contender
from tests.benchmarks.baselines.func_vmap import FuncVmap
from tests.benchmarks.baselines.plain_loop import PlainLoop
from tests.benchmarks.baselines.workload import Workload

WORKLOADS = [workload.deep_mlp(), workload.neural_gpu(8), workload.neural_gpu(12)]
NAMES = [w.name for w in WORKLOADS]


def jax_vmap(generator: str = "threefry2x32") -> Any:
    """The JAX baseline, or a skip that says how to have it."""
    pytest.importorskip("jax", reason="jax is not installed; `make bench` installs it")
    import jax  # noqa: PLC0415 - only where it is

    from tests.benchmarks.baselines.jax_vmap import JaxVmap  # noqa: PLC0415 - only where jax is

    jax.config.update("jax_disable_most_optimizations", True)  # a few steps, not a race
    return partial(JaxVmap, generator=generator)


@pytest.mark.parametrize("work", WORKLOADS, ids=NAMES)
def test_the_plain_loop_trains_as_the_engine(work: Workload) -> None:
    alike.check(PlainLoop, work, 1)


@pytest.mark.parametrize("work", WORKLOADS, ids=NAMES)
def test_torch_func_trains_as_the_engine(work: Workload) -> None:
    alike.check(FuncVmap, work, 2)


def test_jax_trains_the_deep_mlp_as_the_engine_does() -> None:
    alike.check(jax_vmap(), WORKLOADS[0].but(depth=1), 2)


def test_jax_trains_the_neural_gpu_as_the_engine_does() -> None:
    alike.check_steps(jax_vmap(), WORKLOADS[1].but(layers=1), 2)


def test_the_other_generator_of_jax_draws_the_noise_of_the_law_too() -> None:
    alike.check_noise(jax_vmap("rbg"), WORKLOADS[0].but(depth=1), 2)


def test_every_baseline_learns_a_shallow_network() -> None:
    """On batches and noise of their own drawing they end where the engine ends."""
    work = workload.deep_mlp().but(depth=2)
    ends = {}
    for name, contender in (("plain", PlainLoop(work)), ("torch.func", FuncVmap(work, 2))):
        losses = contender.train(150)
        assert losses.shape == (150, contender.lanes)
        assert losses[0].mean() > 2.0
        ends[name] = losses[-50:].mean()
        assert contender.evaluate().shape == (contender.lanes,)
    assert ends["plain"] == pytest.approx(ends["torch.func"], abs=0.25), ends
    assert ends["plain"] < 1.0, ends


def test_a_baseline_that_forgets_to_clip_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_loop.nn.utils, "clip_grad_norm_", lambda *_, **__: None)
    with pytest.raises(alike.NotAlikeError, match="after 5 steps differs"):
        alike.check_steps(PlainLoop, WORKLOADS[0].but(depth=2), 1)


def test_a_baseline_without_decaying_noise_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(work: Workload, lanes: int) -> Contender:
        return PlainLoop(work.but(noise_gamma=0.0), lanes)

    with pytest.raises(alike.NotAlikeError, match="times the standard deviation"):
        alike.check_noise(faulty, WORKLOADS[0].but(depth=2), 1)


def test_a_workload_refuses_a_hyper_parameter_that_it_lacks() -> None:
    with pytest.raises(KeyError, match="has no dpeth"):
        WORKLOADS[0].but(dpeth=3)

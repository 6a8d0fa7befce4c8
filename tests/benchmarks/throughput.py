"""Lane-steps a second of any system: plain loop, torch.func, JAX, or the engine."""

# ruff: noqa: PLC0415 - a probe imports only the system that it measures, torch or JAX

import math
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any, Literal

from tests.benchmarks.baselines.contender import Contender
from tests.benchmarks.baselines.workload import EVALUATE_EVERY, Workload, workloads
from tests.benchmarks.launch import READY

System = Literal["plain loop", "torch.func.vmap", "JAX vmap", "Seedbed engine"]
SYSTEMS: tuple[System, ...] = ("plain loop", "torch.func.vmap", "JAX vmap", "Seedbed engine")
GENERATORS = ("threefry2x32", "rbg")
Options = dict[str, Any]
#: (what to time, seconds of an evaluation of a lane, steps)
Ready = tuple[Callable[[], object], Callable[[], float], int]
#: the width at which JAX's two generators are compared
_COMPARED_AT = 16
_LONGEST = 50


def alike(system: System, workload: str, device: str = "cpu") -> dict[str, Any]:
    """{"refused": how the baseline differs from the engine, or None}."""
    from tests.benchmarks.alike import NotAlikeError, check

    _settle(system)
    try:
        check(partial(_contender(system), device=device), workloads()[workload], _pair(system))
    except NotAlikeError as error:
        return {"refused": f"it does not train as the engine does: {error}"}
    return {"refused": None}


def search(
    system: System, workload: str, widths: list[int], lane_steps: int, device: str = "cpu"
) -> dict[str, Any]:
    """The width of the best rate, and the rate at each; of JAX also the faster generator."""
    _settle(system)
    work = workloads()[workload]
    generator = None
    curve: dict[int, float] = {}
    if system == "JAX vmap":
        at = min(_COMPARED_AT, max(widths))
        rates = {g: _rate(system, work, at, lane_steps, device, g) for g in GENERATORS}
        generator = max(rates, key=lambda g: rates[g])
        curve[at] = rates[generator]
    for width in [1] if system == "plain loop" else widths:
        if width not in curve:
            curve[width] = _rate(system, work, width, lane_steps, device, generator)
    best = max(curve, key=lambda w: curve[w])
    options = (
        {} if generator is None else {"generator": generator, "chunk": _steps(best, lane_steps)}
    )
    return {"lanes": best, "rate": curve[best], "curve": curve, "options": options}


def _rate(
    system: System, work: Workload, lanes: int, lane_steps: int, device: str, generator: str | None
) -> float:
    """Lane-steps a second, the best of three short tries."""
    steps = _steps(lanes, lane_steps)
    options = {} if generator is None else {"generator": generator, "chunk": steps}
    train = _ready(system, work, lanes, steps, device, options, segment=steps)[0]
    return lanes * steps / min(_timed(train) for _ in range(3))


def _steps(lanes: int, lane_steps: int) -> int:
    """Steps of a short try."""
    return min(_LONGEST, max(2, lane_steps // lanes))


def measure(
    system: System,
    workload: str,
    lanes: int,
    steps: int,
    device: str = "cpu",
    options: Options | None = None,
    *,
    wait: bool = False,
) -> dict[str, Any]:
    """Seconds a lane-step and seconds an evaluation, and what it took to get ready.

    Args:
        system: what trains.
        workload: its name.
        lanes: R.
        steps: that are timed; the engine rounds up to whole segments.
        device: "cpu" or "cuda".
        options: what the search chose beside the width, of JAX.
        wait: says that it is ready on standard output and starts at the next line of input.
    """
    _settle(system)
    work = workloads()[workload]
    began = time.perf_counter()
    train, evaluation, steps = _ready(system, work, lanes, steps, device, options or {})
    start_s = time.perf_counter() - began
    if wait:
        sys.stdout.write(f"{READY}\n")
        sys.stdout.flush()
        sys.stdin.readline()
    train_s = _timed(train) / (steps * lanes)
    evaluate_s = 0.0 if wait else evaluation()
    return {
        "train_s": train_s,
        "evaluate_s": evaluate_s,
        "rate": 1.0 / (train_s + evaluate_s / EVALUATE_EVERY),
        "lanes": lanes,
        "steps": steps,
        "start_s": start_s,
    }


def _ready(
    system: System,
    work: Workload,
    lanes: int,
    steps: int,
    device: str,
    options: Options,
    segment: int | None = None,
) -> Ready:
    """A system that is warmed up and compiled."""
    if system == "Seedbed engine":
        from tests.benchmarks.engine import Engine, evaluation_s

        Engine(work, lanes, device, segment=2).train(2)
        engine = Engine(work, lanes, device, segment=segment)
        whole = math.ceil(steps / engine.segment) * engine.segment
        return partial(engine.train, whole), partial(evaluation_s, work, lanes, device), whole
    if system == "JAX vmap":
        return _jax(work, lanes, steps, device, options)
    contender = _contender(system)(work, lanes, device)
    contender.train(2)
    return partial(contender.train, steps), _evaluation(contender), steps


def _jax(work: Workload, lanes: int, steps: int, device: str, options: Options) -> Ready:
    """A scan is compiled for a number of steps, so many steps are several scans of the search's."""
    contender = _contender("JAX vmap")(work, lanes, device, generator=options["generator"])
    chunk = options["chunk"]
    scans = max(1, round(steps / chunk))
    contender.train(chunk)

    def train() -> None:
        for _ in range(scans):
            contender.train(chunk)

    return train, _evaluation(contender), scans * chunk


def _evaluation(contender: Contender) -> Callable[[], float]:
    def seconds() -> float:
        contender.evaluate()
        return min(_timed(contender.evaluate) for _ in range(3)) / contender.lanes

    return seconds


def _contender(system: System) -> Any:
    match system:
        case "plain loop":
            from tests.benchmarks.baselines.plain_loop import PlainLoop

            return PlainLoop
        case "torch.func.vmap":
            from tests.benchmarks.baselines.func_vmap import FuncVmap

            return FuncVmap
        case "JAX vmap":
            if find_spec("jax") is None:
                raise ModuleNotFoundError("JAX is not installed; `make bench` installs it")
            from tests.benchmarks.baselines.jax_vmap import JaxVmap

            return JaxVmap
        case _:
            raise ValueError(f"there is no baseline {system!r}; there are {', '.join(SYSTEMS[:3])}")


def _settle(system: System) -> None:
    """One thread, denormals flushed to zero, as the engine; XLA does so by itself."""
    if system in ("plain loop", "torch.func.vmap"):
        import torch

        torch.set_num_threads(1)
        torch.set_flush_denormal(True)


def _pair(system: System) -> int:
    return 1 if system == "plain loop" else 2


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began

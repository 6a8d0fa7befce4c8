"""The roof of the deep MLP: its matrix products and its noise alone, at its own shapes."""

import itertools
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.benchmarks.baselines.workload import Workload, workloads

_CLASSES, _PIXELS = 10, 784
_NUMBERS = 88_210
Product = tuple[Tensor, Tensor, Tensor]


def measure(
    workload: str, widths: list[int], seconds: float, device: str = "cpu"
) -> dict[str, Any]:
    """Seconds a lane-step of forward, dW, dX and normal_, at the width where they are fastest."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    work = workloads()[workload]
    tried = [_parts(work, lanes, seconds / len(widths), device) for lanes in widths]
    best = min(tried, key=lambda found: found["products_s"])
    normal = _normal_s(seconds, device)
    numbers = _NUMBERS if work.values["noise_eta"] > 0 else 0
    total = best["products_s"] + numbers * normal
    return best | {
        "normal_ns": normal * 1e9,
        "noise_s": numbers * normal,
        "roof_s": total,
        "rate": 1.0 / total,
    }


def products(work: Workload, lanes: int, device: str = "cpu") -> dict[str, list[Product]]:
    """(left, right, out) of every product of a step: forward, dW, and dX of all but the first."""
    batch = work.shared["batch"]
    sizes = [_PIXELS, *[work.shared["width"]] * work.shared["depth"], _CLASSES]

    def drawn(*shape: int) -> Tensor:
        return torch.randn(lanes, *shape, device=device)

    found: dict[str, list[Product]] = {"forward": [], "weights": [], "inputs": []}
    for layer, (i, o) in enumerate(itertools.pairwise(sizes)):
        x, w, g = drawn(batch, i), drawn(i, o), drawn(batch, o)
        found["forward"].append((x, w, drawn(batch, o)))
        found["weights"].append((x.transpose(1, 2), g, drawn(i, o)))
        if layer:
            found["inputs"].append((g, w.transpose(1, 2), drawn(batch, i)))
    return found


def _parts(work: Workload, lanes: int, seconds: float, device: str) -> dict[str, Any]:
    found: dict[str, Any] = {"lanes": lanes}
    for name, part in products(work, lanes, device).items():

        def run(part: list[Product] = part) -> None:
            for left, right, out in part:
                torch.bmm(left, right, out=out)

        found[f"{name}_s"] = _typical(run, seconds / 3, device) / lanes
    found["products_s"] = sum(found[f"{n}_s"] for n in ("forward", "weights", "inputs"))
    return found


def _normal_s(seconds: float, device: str) -> float:
    """Seconds a number of torch's normal_, one lane's numbers at a time."""
    buffer = torch.empty(_NUMBERS, device=device)
    return _typical(buffer.normal_, seconds / 3, device) / _NUMBERS


def _typical(work: Callable[[], object], seconds: float, device: str) -> float:
    """The median of the times of repeated runs, at least five."""
    times: list[float] = []
    ends = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < ends:
        began = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return sorted(times)[len(times) // 2]

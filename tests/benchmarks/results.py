"""Results that no machine measured, for tests of what is made of them."""

from tests.benchmarks.campaign import (
    ENGINE,
    OCCUPANCY,
    PACK,
    REUSED,
    ROOF,
    SCALING,
    SEEDBED,
    SWEEP,
    TUNE,
)
from tests.benchmarks.row import Results, Row

WORK = "deep_mlp, noise"


def trained(name: str, rates: list[float], lanes: int) -> Row:
    """A row of a system at these rates, an evaluation being free."""
    samples = [
        {"rate": r, "train_s": 1 / r, "evaluate_s": 0.0, "start_s": 2.0, "lanes": lanes}
        for r in rates
    ]
    curve = {"1": rates[0] / 2, str(lanes): rates[0]} if lanes > 1 else {"1": rates[0]}
    return Row(WORK, name, "throughput", {"lanes": lanes}, curve=curve, samples=list(samples))


def sweep(name: str, rate: float) -> Row:
    """A row of whole sweeps."""
    sample = {"rate": rate, "seconds": [2.0, 8.0], "trials": [4, 16], "start_s": 9.0}
    return Row(SWEEP, name, "x", {"trials": [4, 16], "steps": 300}, samples=[sample])


def results() -> Results:
    """A run of three repeats in which one row was refused."""
    part = {"forward_s": 1e-4, "weights_s": 1e-4, "inputs_s": 1e-4, "noise_s": 2e-4}
    roof = part | {"normal_ns": 5.0, "rate": 2000.0}
    refused = trained("torch.func.vmap", [1.0], 8)
    refused.refused = "its law fails: AssertionError: trial 3 differs"
    rows = [
        trained("plain loop", [250.0, 200.0, 250.0], 1),
        refused,
        trained("JAX vmap", [500.0, 400.0, 500.0], 64),
        trained(ENGINE, [1000.0, 800.0, 1000.0], 32),
        Row(ROOF, WORK, "roof", samples=[roof] * 3),
        Row(PACK, SCALING, "scaling", {"workload": WORK}, samples=[
            {"one": 1000.0, "two": 1900.0, "ratio": 1.9}
        ]),
        Row(PACK, OCCUPANCY, "occupancy", samples=[
            {"occupancy": 0.987, "with_tail": 0.9, "pace": 0.95, "lanes": 8, "trials": 40,
             "steps": [20, 90, 300]}
        ]),
        sweep(SEEDBED, 6.0), sweep(TUNE, 0.25), sweep(REUSED, 1.0),
    ]  # fmt: skip
    calibration = [{"sgemm_gflops": 68.0, "fsyncs": 900.0}, {"sgemm_gflops": 67.0, "fsyncs": 880.0}]
    return Results(
        rows, calibration, "a machine, 2 cores", None, [], "seedbed bench", "2026-11-25", 3, False
    )

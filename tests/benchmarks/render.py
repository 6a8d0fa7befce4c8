"""The run as docs/bench.md: ratios first, each number with what it was measured as."""

from tests.benchmarks import campaign as names
from tests.benchmarks import tables
from tests.benchmarks.baselines.workload import EVALUATE_EVERY
from tests.benchmarks.row import Results
from tests.benchmarks.tables import Lines


def markdown(results: Results) -> str:
    """The whole page."""
    groups = dict.fromkeys(row.group for row in results.rows if row.measure == "throughput")
    parts = [_head(results)]
    parts += [tables.training(group, results.group(group)) for group in groups]
    parts += [
        tables.roof(results),
        tables.pack(results.group(names.PACK)),
        tables.sweeps(results.group(names.SWEEP)),
    ]
    parts += [tables.control(results), tables.widths(results.rows), _how(results)]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _head(results: Results) -> Lines:
    lines = ["# Bench", ""]
    if results.quick:
        lines += ["**A quick run: it shows that the bench works. Its numbers prove nothing.**", ""]
    lines += [f"**{note}**\n" for note in results.notes]
    before, after = results.calibration
    lines += [
        (
            f"Made by `{results.command}` on {results.date}, {results.repeats} "
            f"repeat{'s' if results.repeats > 1 else ''} of every row, interleaved."
        ),
        "",
        f"Machine: {results.machine}.",
        "",
        (
            "Calibration, before and after: sgemm of one core "
            f"{before['sgemm_gflops']:.1f} and {after['sgemm_gflops']:.1f} GFLOP/s; "
            f"{before['fsyncs']:.0f} and {after['fsyncs']:.0f} fsyncs a second."
        ),
        "",
        "![lane-steps a second of every system](bench.svg)",
    ]
    return lines


def _how(results: Results) -> Lines:
    left_out = " A quick run leaves the baselines' check out." if results.quick else ""
    return ["## How it is measured", "", _HOW + left_out]


_HOW = f"""\
- Every row runs in a process of its own, torch and XLA on one thread, pinned to one core unless it
  says all cores. Medians over repeats; a ratio is the median of the repeats' ratios; of fewer than
  20 repeats p95 is the worst.
- lane-steps/s has one evaluation every {EVALUATE_EVERY} steps spread over it, for every system.
- Start-up (building, data, compilation; not imports) stands apart.
- Before an engine row the pack law is run on its structure. Before a baseline's row its weights
  after a few steps, from the engine's weights on the engine's batches, are compared with the
  engine's, and the variance of its noise with the law. A row that fails is refused."""

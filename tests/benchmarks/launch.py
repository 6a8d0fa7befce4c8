"""Starts probes: each measurement in a process of its own, one thread, where asked one core."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 900.0
#: what stands before a probe's result on its standard output
MARK = "RESULT "
READY = "READY"

_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
#: where JAX keeps what it compiled, set for one run of the bench
CACHE: dict[str, str] = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


class ProbeFailedError(Exception):
    """A measurement raised or took too long; the message holds its last words."""


def cores() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


def environment() -> dict[str, str]:
    """The environment of a probe: this one, without threads and with this checkout first."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, **_ONE_THREAD, **CACHE, "PYTHONPATH": os.pathsep.join(paths)}


def probe(measure: str, *, core: int | None = None, **arguments: Any) -> dict[str, Any]:
    """Runs one measurement and returns its result.

    Args:
        measure: its name in `tests.benchmarks.probe.MEASURES`.
        core: the one core that it may use; None for all.
        **arguments: of the measurement, as JSON.

    Raises:
        ProbeFailedError: it raised or took longer than a quarter of an hour.
    """
    with _started(measure, core, arguments) as process:
        return _result(process, measure)


def together(measure: str, on: Sequence[int], **arguments: Any) -> list[dict[str, Any]]:
    """Runs a measurement on several cores at the same time, starting when all are ready.

    Raises:
        ProbeFailedError: one of them raised or took too long.
    """
    with contextlib.ExitStack() as stack:
        asked = arguments | {"wait": True}
        running = [stack.enter_context(_started(measure, core, asked)) for core in on]
        for process in running:
            assert process.stdout is not None
            line = ""
            while line.strip() != READY:
                line = process.stdout.readline()
                if not line:
                    _result(process, measure)
                    raise ProbeFailedError(f"probe {measure} ended before it was ready")
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [_result(process, measure) for process in running]


@contextlib.contextmanager
def _started(
    measure: str, core: int | None, arguments: dict[str, Any]
) -> Iterator["subprocess.Popen[str]"]:
    request = json.dumps({"measure": measure, "core": core, "arguments": arguments})
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.probe", request],
        cwd=ROOT,
        env=environment(),
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # so that what it started ends with it
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _result(process: "subprocess.Popen[str]", measure: str) -> dict[str, Any]:
    try:
        out, err = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        raise ProbeFailedError(
            f"probe {measure} took longer than {LIMIT_S:.0f} s and was ended; a row must be "
            "shorter; is the machine busy?"
        ) from None
    found = [line for line in out.splitlines() if line.startswith(MARK)]
    if process.returncode or not found:
        words = [line for line in err.splitlines() if line.strip()][-1:] or ["no word"]
        raise ProbeFailedError(f"probe {measure} ended with {process.returncode}: {words[0]}")
    value: dict[str, Any] = json.loads(found[-1].removeprefix(MARK))
    return value

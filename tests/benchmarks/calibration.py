"""What the machine gave at the time: sgemm of one core and fsyncs of the disk."""

import os
import tempfile
import time


def measure(seconds: float) -> dict[str, float]:
    """GFLOP/s of a 1024^3 sgemm on one thread, and fsyncs a second of 4 KiB appends."""
    import torch  # noqa: PLC0415 - a probe imports once its core is chosen

    torch.set_num_threads(1)
    n = 1024
    a, b, out = torch.randn(n, n), torch.randn(n, n), torch.empty(n, n)
    torch.mm(a, b, out=out)
    times = []
    ends = time.perf_counter() + seconds
    while not times or time.perf_counter() < ends:
        began = time.perf_counter()
        torch.mm(a, b, out=out)
        times.append(time.perf_counter() - began)
    return {
        "sgemm_gflops": 2 * n**3 / sorted(times)[len(times) // 2] / 1e9,
        "fsyncs": _fsyncs(seconds),
    }


def _fsyncs(seconds: float) -> float:
    count = 0
    with tempfile.NamedTemporaryFile() as file:
        began = time.perf_counter()
        while not count or time.perf_counter() - began < seconds:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            count += 1
        return count / (time.perf_counter() - began)

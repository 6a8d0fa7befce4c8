"""From one core to two: two engines at once, each on its own core, against one alone."""

from typing import Any

from tests.benchmarks.launch import cores, together


def measure(workload: str, lanes: int, steps: int) -> dict[str, Any]:
    """Lane-steps a second of one engine and of two at the same time.

    Raises:
        RuntimeError: this process may use only one core.
    """
    mine = cores()
    if len(mine) < 2:
        raise RuntimeError("scaling needs two cores and this process may use one; give it another")
    asked = {"system": "Seedbed engine", "workload": workload, "lanes": lanes, "steps": steps}
    alone = together("throughput", mine[-1:], **asked)[0]["rate"]
    both = sum(found["rate"] for found in together("throughput", mine[-2:], **asked))
    return {"one": alone, "two": both, "ratio": both / alone}

"""One measurement in this process: `python -m tests.benchmarks.probe REQUEST`, a result as JSON."""

import json
import os
import sys
from importlib import import_module

from tests.benchmarks.launch import MARK

#: name of a measurement -> the function that makes it; it is imported once the core is chosen
MEASURES = {
    "calibration": "tests.benchmarks.calibration:measure",
    "law": "tests.benchmarks.law:measure",
    "alike": "tests.benchmarks.throughput:alike",
    "search": "tests.benchmarks.throughput:search",
    "throughput": "tests.benchmarks.throughput:measure",
    "roof": "tests.benchmarks.roof:measure",
    "occupancy": "tests.benchmarks.occupancy:measure",
    "scaling": "tests.benchmarks.scaling:measure",
    "ray_tune": "tests.benchmarks.whole_sweep:tune",
    "seedbed": "tests.benchmarks.whole_sweep:seedbed",
    "control_plane": "tests.benchmarks.control:measure",
}


def main(request: str) -> None:
    """Pins, measures, prints."""
    asked = json.loads(request)
    if asked["core"] is not None:
        os.sched_setaffinity(0, {asked["core"]})
    module, _, name = MEASURES[asked["measure"]].partition(":")
    result = getattr(import_module(module), name)(**asked["arguments"])
    sys.stdout.write(f"\n{MARK}{json.dumps(result)}\n")


if __name__ == "__main__":
    main(sys.argv[1])

"""The rows of the control plane, which `tests/benchmarks/control_plane.py` makes where it exists.

That module has a function `rows() -> list[dict]`; a row holds `name`, `value`, `unit`, and perhaps
`note`.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

MODULE = "tests.benchmarks.control_plane"


def measure() -> dict[str, Any]:
    """{"rows": what the module measures}, or None for them where it is not built."""
    if find_spec(MODULE) is None:
        return {"rows": None}
    return {"rows": import_module(MODULE).rows()}

"""The numerics class: everything that can change the bits of a result, read off this process."""

import hashlib
import os
import socket
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from models.catalog import experiments
from models.kernels import compiler
from workers import CUBLAS_MODE, MKL_MODE

_ENGINE = ("__init__.py", "pack.py", "isolation.py", "lane.py", "lane_file.py", "numerics.py")


def settle() -> None:
    """Puts this thread of this process into the one mode that packs train in.

    One thread, deterministic kernels, denormals flushed to zero (a signal that shrinks layer by
    layer would otherwise slow the CPU down a hundredfold, and by amounts that vary by lane).
    """
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.set_flush_denormal(True)


def code_version() -> str:
    """SHA-256 (16 hex digits) of the source that can move results.

    That is models/, the pack engine, and for every installed experiment the whole top-level package
    (or the single module) of its program and of its settings; not what those import from elsewhere.
    """
    roots = {_source("models.catalog")}
    for experiment in experiments().values():
        roots |= {_source(experiment.program.partition(":")[0])}
        roots |= {_source(experiment.settings.__module__)}
    files = {f"workers/{name}": Path(__file__).parent / name for name in _ENGINE}
    for name, root in roots:
        found = [root] if root.is_file() else root.rglob("*.py")
        files |= {f"{name}/{path.relative_to(root.parent)}": path for path in found}
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\n".encode() + files[name].read_bytes())
    return digest.hexdigest()[:16]


def _source(module: str) -> tuple[str, Path]:
    """Name and path of the outermost package or module that has a file, from the left.

    Raises:
        ModuleNotFoundError: there is none; the experiment's description names what is not here.
    """
    parts = module.split(".")
    for length in range(1, len(parts) + 1):  # a namespace package has no file of its own
        name = ".".join(parts[:length])
        spec = find_spec(name)
        if spec is None:
            break
        if spec.origin is not None:
            path = Path(spec.origin)
            return name, path.parent if path.name == "__init__.py" else path
    raise ModuleNotFoundError(
        f"no source of module {module!r} was found; results are pinned to the source that made "
        "them; install the package that declares the experiment, or mend its description",
        name=module,
    )


def numerics(device: torch.device) -> dict[str, str]:
    """The parts of the class that this process decides; the experiment's tile completes it."""
    name = "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)
    return {
        "code": code_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "device": name,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "kernels": compiler.description() if device.type == "cpu" else "torch",
        "mkl": MKL_MODE,
        "cublas": "none" if device.type == "cpu" else CUBLAS_MODE,
        "threads": str(torch.get_num_threads()),
        "dtype": "float32",
        "mode": "eager",
    }


def node() -> str:
    """Host name and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"

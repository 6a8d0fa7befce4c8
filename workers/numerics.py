"""The numerics class: everything that can change the bits of a result, read off this process."""

import hashlib
import os
import socket
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from models.catalog import experiments
from models.kernels import compiler
from workers import MKL_MODE

_ENGINE = ("__init__.py", "pack.py", "lane.py", "numerics.py")


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

    That is models/, the pack engine, and the package of every installed experiment's program.
    """
    roots = {Path(str(import_module("models").__file__)).parent}
    for experiment in experiments().values():
        spec = find_spec(experiment.program.partition(":")[0].rpartition(".")[0] or "models")
        if spec is not None and spec.origin is not None:
            roots.add(Path(spec.origin).parent)
    files = {f"{r.name}/{p.relative_to(r)}": p for r in roots for p in r.rglob("*.py")}
    files |= {f"workers/{name}": Path(__file__).parent / name for name in _ENGINE}
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\n".encode() + files[name].read_bytes())
    return digest.hexdigest()[:16]


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
        "threads": str(torch.get_num_threads()),
        "dtype": "float32",
        "mode": "eager",
    }


def node() -> str:
    """Host name and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"

"""The machine in words, without its name."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

#: a load above this at the start means that others are measuring, or worse
IDLE_LOAD = 0.5


def machine(cores: int) -> str:
    """Processor, cores, memory, system and the versions that decide speed."""
    packages = ", ".join(f"{name} {_version(name)}" for name in ("torch", "numpy", "jax", "ray"))
    return (
        f"{_processor()}, {cores} core{'s' if cores > 1 else ''}, {_memory_gib():.0f} GiB; "
        f"{platform.system()}, Python {platform.python_version()}, {packages}"
    )


def load_note() -> str | None:
    """A warning if the machine was not idle when the run began."""
    load = os.getloadavg()[0]
    if load <= IDLE_LOAD:
        return None
    return (
        f"The machine was not idle: its load was {load:.1f} when the run began. The numbers are "
        "too low, and ratios are less sure."
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"

"""How many lanes a worker's memory holds, from what one lane takes."""

from pathlib import Path

import psutil
import torch

from models.experiment import LaneMemory

_CGROUP = Path("/sys/fs/cgroup")
#: of a GPU's free memory, what its allocator can use without pieces too small for anything
_GPU_SHARE = 0.9
_RECLAIMABLE = ("active_file", "inactive_file", "slab_reclaimable")


def budget(device: torch.device, workers: int = 1) -> int:
    """Bytes that one worker may use now: its share of what a GPU has, or of what a machine has.

    Args:
        workers: that share the GPU, or the machine, each with a core.
    """
    if device.type == "cuda":
        used = torch.cuda.memory_allocated(device)
        spare = torch.cuda.memory_reserved(device) - used
        free, total = torch.cuda.mem_get_info(device)
        return gpu_budget(free + spare, total, used, workers)
    free = min(psutil.virtual_memory().available, _container())
    return int(free / max(1, workers))


def gpu_budget(free: int, total: int, used: int, workers: int) -> int:
    """Bytes of a GPU that one of several workers may still use.

    What others have not taken yet is theirs: each keeps to its share of the whole, however much is
    free when it is the first to look.

    Args:
        free: what nobody else has.
        total: the GPU's.
        used: by this worker.
        workers: that share it.
    """
    return max(0, int(min(_GPU_SHARE * free, _GPU_SHARE * total / workers - used)))


def _container() -> int:
    """Bytes left of this container's own limit, or more than any machine has.

    What the kernel would give back when asked, such as cached files, counts as free.
    """
    try:
        most = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
        lines = (_CGROUP / "memory.stat").read_text().splitlines()
    except OSError:
        return 2**62
    stat = {name: int(value) for name, value in (line.split() for line in lines)}
    used -= sum(stat.get(name, 0) for name in _RECLAIMABLE)
    return 2**62 if most == "max" else max(0, int(most) - max(0, used))


def capacity(lane: LaneMemory, free: int) -> int:
    """Lanes that may be held while one of them trains; at least one, to fail by itself.

    What is held exists twice while a segment ends: lanes as they were, and as they are.
    """
    return max(1, (free - lane.training) // max(1, 2 * lane.held))


def widest(lane: LaneMemory, free: int, lanes: int) -> int:
    """Lanes that may train at once while `lanes` are held; at least one."""
    return max(1, (free - 2 * lanes * lane.held) // max(1, lane.training))

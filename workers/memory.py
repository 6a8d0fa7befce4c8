"""How many lanes a worker's memory holds, from what one lane takes."""

from pathlib import Path

import psutil
import torch

from models.experiment import LaneMemory

_CGROUP = Path("/sys/fs/cgroup")
#: of a GPU's free memory, what its allocator can use without pieces too small for anything
_GPU_SHARE = 0.9


def budget(device: torch.device) -> int:
    """Bytes that one worker may use now: of a GPU most, of a machine the share of one core."""
    if device.type == "cuda":
        return int(_GPU_SHARE * torch.cuda.mem_get_info(device)[0])
    free = min(psutil.virtual_memory().available, _container())
    return int(free / (psutil.cpu_count() or 1))


def _container() -> int:
    """Bytes left of this container's own limit, or more than any machine has."""
    try:
        most = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
    except OSError:
        return 2**62
    return 2**62 if most == "max" else max(0, int(most) - used)


def capacity(lane: LaneMemory, free: int) -> int:
    """Lanes that may be held while one of them trains; at least one, to fail by itself."""
    return max(1, (free - lane.training) // max(1, lane.held))


def widest(lane: LaneMemory, free: int, lanes: int) -> int:
    """Lanes that may train at once while `lanes` are held; at least one."""
    return max(1, (free - lanes * lane.held) // max(1, lane.training))

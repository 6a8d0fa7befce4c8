"""A Ray node that ends with the process that started it: `python -m workers.node WORDS...`.

A driver needs a node on its own machine. This one is `ray start` with these words, in a process
that the kernel kills when its parent dies, however that dies; and what Ray starts dies with it.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Runs until it is ended; its parent's process id stands first."""
    parent = int(sys.argv[1])
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel was told
        sys.exit(1)
    from ray.scripts.scripts import main as ray  # noqa: PLC0415 - slow, and after the above

    sys.argv = ["ray", "start", *sys.argv[2:]]
    ray()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()

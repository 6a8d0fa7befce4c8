"""Waits for files as long as storage moves: slow is waited for, hung is given up."""

import time
from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any


def await_files(
    files: Collection[Future[Any]],
    patience_s: float,
    answered: Callable[[Future[Any]], bool] = lambda file: file.exception() is None,
) -> None:
    """Waits until all are done, or for so long none was answered; what then hangs is not ended.

    A worker says nothing meanwhile. What bounds it in all is therefore the dispatcher's patience
    (`service.dispatch.patience`): a worker that is silent for `SEEDBED_PATIENCE_S` (600 s), for
    three times that in its first call to a pack, or for ten times its longest call where that is
    more, is taken for lost, and its trials run again from their checkpoints: files that take longer
    together are in vain.

    Args:
        files: reads or writes that were begun or wait for their turn.
        patience_s: each answer begins it anew.
        answered: whether one that is done shows that storage moves; refusals do not.
    """
    left, end = set(files), time.monotonic() + patience_s
    while left and (left_s := end - time.monotonic()) > 0:
        done, left = wait(left, left_s, FIRST_COMPLETED)
        if any(not file.cancelled() and answered(file) for file in done):
            end = time.monotonic() + patience_s

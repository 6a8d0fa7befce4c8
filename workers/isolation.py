"""Runs work on groups, and where a group raises finds the one at fault: the others go on.

Work changes nothing of what it is given, so what was in a group that raised is tried again.
"""

import traceback
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from workers.messages import Assignment, Failure

T = TypeVar("T")
Found = TypeVar("Found")


def isolated(
    items: Sequence[T],
    sizes: Sequence[int],
    work: Callable[[list[T]], Found],
    assignment: Callable[[T], Assignment],
    short: Callable[[int], None] = lambda _: None,
) -> tuple[list[Found], list[Failure]]:
    """Results of the groups, and failures of the items that raise alone.

    Args:
        items: what is worked on.
        sizes: of the groups that they are cut into, in order.
        work: on one group; whatever it raises halves the group.
        assignment: of an item, for its failure.
        short: told the size of a group for which memory ran out.
    """
    waiting: list[list[T]] = []
    start = 0
    for size in sizes:
        waiting.append(list(items[start : start + size]))
        start += size
    done: list[Found] = []
    failures: list[Failure] = []
    while waiting:
        group = waiting.pop(0)
        try:
            done.append(work(group))
        except Exception as error:  # noqa: BLE001 - whatever a program raises is its trial's failure
            if out_of_memory(error):
                short(len(group))
            if len(group) > 1:
                half = len(group) // 2
                waiting[:0] = [group[:half], group[half:]]
                continue
            failures.append(failed(assignment(group[0]), error))
    return done, failures


def out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, in Python, on a GPU, or in torch's allocator on the CPU."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)


def failed(assignment: Assignment, error: Exception) -> Failure:
    """An attempt that raised, with its traceback."""
    text = f"{type(error).__name__}: {error}"
    lines = "".join(traceback.format_exception(error))
    return Failure(assignment.trial, assignment.attempt, text, lines)

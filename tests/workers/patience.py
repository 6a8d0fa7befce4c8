"""Patience of a test's own: its time passes by what happens, and not by how busy a machine is."""

import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future, wait
from typing import Any

import pytest

from workers import moving

#: what surely comes is waited for so long, on whatever machine
SURELY_S = 120.0


class Patience:
    """The clock by which `workers.moving` waits for files.

    Args:
        monkeypatch: puts it there.
        each_s: another file takes so long.
        hung: files that never come: once only so many are left, patience runs out.
        before: what must have happened by then.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *,
        each_s: float = 0.0,
        hung: int = 0,
        before: Callable[[], object] = lambda: None,
    ) -> None:
        self.now = 0.0
        self._each_s, self._hung, self._before = each_s, hung, before
        self._turns = threading.Semaphore(0)
        monkeypatch.setattr(moving, "time", self)
        monkeypatch.setattr(moving, "wait", self.wait)

    def monotonic(self) -> float:
        return self.now

    def wait(self, files: Collection[Future[Any]], limit_s: float, when: str) -> Any:
        """As of `concurrent.futures`: one file's turn, or the end of patience."""
        if len(files) == self._hung:
            self._before()
            self.now += limit_s
            return wait(files, 0.0, when)
        self._turns.release()
        found = wait(files, SURELY_S, when)
        self.now += self._each_s
        return found

    def turn(self) -> None:
        """In a file's own thread: waits until its turn, so that one comes after another."""
        assert self._turns.acquire(timeout=SURELY_S), "nobody waits for files"

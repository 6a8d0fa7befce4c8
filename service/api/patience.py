"""Asks what may hang, such as storage, in threads of its own, and waits only so long for an answer.

A thread that hangs cannot be ended. It is kept here, among few, until it returns, and takes none
that requests need.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Patience:
    """For one kind of question.

    Args:
        threads: that ask at once; the questions of others wait in line meanwhile.
    """

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads)

    async def ask(self, question: Callable[[], T], timeout_s: float) -> T:
        """The answer.

        Raises:
            TimeoutError: none came by then; a question that waits in line is not asked any more.
        """
        async with asyncio.timeout(timeout_s):
            return await asyncio.wrap_future(self._threads.submit(question))

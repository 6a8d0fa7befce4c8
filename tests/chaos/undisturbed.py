"""The sweep when nothing happens to it: one trainer in one process, no Ray, no network, SQLite.

It runs as a process of its own (`python -m tests.chaos.undisturbed STORE TRIALS STEPS`), since
training sets how a thread rounds. What it shares with the system under fire is the engine and the
store's functions; all that can be shot at is absent.
"""

import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any

from models.catalog import experiments
from service.dispatch.leadership import now
from service.dispatch.loop import Dispatcher, Rules
from service.spec import parse
from service.store import sweeps
from service.store.engine import open_engine, session_factory, upgrade
from service.store.progress import progress
from tests.chaos.parts import START_S, PartError
from tests.chaos.sweep import CELLS, spec
from workers.messages import Order
from workers.pool import Reply


class Alone:
    """One trainer, called when its answer is waited for."""

    size = 1

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self._calls: deque[Order | None] = deque()

    def spawn(self) -> str:
        self._calls.append(None)
        return "alone"

    def send(self, worker: str, order: Order) -> None:
        self._calls.append(order)

    def wait(self, timeout_s: float) -> list[Reply]:
        found = []
        while self._calls:
            order = self._calls.popleft()
            value = self._trainer.describe() if order is None else self._trainer.advance(order)
            found.append(Reply("alone", value=value))
        return found

    def pending(self) -> frozenset[str]:
        return frozenset()

    def discard(self, worker: str) -> None:
        raise AssertionError("nothing is lost where nothing happens")


class Finished(threading.Event):
    """Set once the sweep has ended."""

    def __init__(self, sessions: Any, sweep: str) -> None:
        super().__init__()
        self._sessions, self._sweep = sessions, sweep

    def is_set(self) -> bool:
        with self._sessions() as session:
            return bool(progress(session, self._sweep).state == "finished")


def train(store: Path, trials: int, steps: int) -> None:
    """Trains the sweep to its end in a store of its own."""
    from workers.trainer import Trainer  # noqa: PLC0415 - torch only here

    engine = open_engine(f"sqlite:///{store}")
    upgrade(engine)
    sessions = session_factory(engine)
    with sessions.begin() as session:
        sweep, _ = sweeps.create(session, parse(spec(trials, steps), experiments()), now=now())
    dispatcher = Dispatcher(sessions, Alone(Trainer("cpu")), Rules(64, 1.0, 1), "alone")
    dispatcher.run(Finished(sessions, sweep), 0.0)
    engine.dispose()


def warm(folder: Path) -> None:
    """Compiles what packs need, once: under fire a first call would be shot before it is kept.

    Raises:
        PartError: it did not end well.
    """
    ended(begin(folder / "warm.db", CELLS, 100), folder / "warm.log", START_S * 5)


def ended(process: "subprocess.Popen[bytes]", log: Path, limit_s: float) -> None:
    """Waits for its end.

    Raises:
        PartError: it did not end well; its log says why.
    """
    try:
        if process.wait(limit_s) == 0:
            return
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    raise PartError(f"the undisturbed run failed: {log.read_text(errors='replace')[-3000:]}")


def begin(store: Path, trials: int, steps: int) -> "subprocess.Popen[bytes]":
    """Starts it beside whatever else goes on."""
    words = [sys.executable, "-m", "tests.chaos.undisturbed", str(store), str(trials), str(steps)]
    with store.with_suffix(".log").open("wb") as sink:
        return subprocess.Popen(words, stdout=sink, stderr=subprocess.STDOUT)


if __name__ == "__main__":
    train(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

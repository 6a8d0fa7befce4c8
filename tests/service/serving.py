"""The real application over a real SQLite store on a free port; trials end when a test says so."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service.api.app import Health, create_app
from service.api.server import Server
from service.bus import Bus
from service.configuration import Configuration
from service.processes.binding import KEPT_S, bind
from service.store import claims, classes, completion
from service.store.engine import reading_factory, session_factory
from tests.service.samples import CHEAP, NUMERICS, moment, outcome
from workers.messages import Assignment, Failure, Outcome

Yield = Callable[[Assignment], Outcome | Failure]
WAIT_S = 60


@dataclass
class Served:
    """A served application and its store."""

    url: str
    engine: Engine

    def train(self, limit: int, yields: Yield = outcome, *, max_attempts: int = 3) -> int:
        """Claims up to `limit` trials of the first queue that has some and ends them at once.

        In one transaction, so that who looks meanwhile sees none that train.
        """
        with session_factory(self.engine).begin() as session:
            queues = claims.queues(session)
            if not queues:
                return 0
            queue = queues[0]
            classes.pin(session, queue.sweep, NUMERICS)
            tasks = claims.claim(
                session, queue.sweep, queue.structure, limit, worker="stand-in", now=moment(1)
            )
            _complete(session, [yields(task) for task in tasks], max_attempts)
        return len(tasks)

    def complete(self, returned: Sequence[Outcome | Failure], *, max_attempts: int = 3) -> None:
        """Writes what a dispatcher would."""
        with session_factory(self.engine).begin() as session:
            _complete(session, returned, max_attempts)

    def train_all(self, yields: Yield = outcome, *, max_attempts: int = 3) -> None:
        """Ends everything."""
        while self.train(64, yields, max_attempts=max_attempts):
            pass


def _complete(session: Session, returned: Sequence[Outcome | Failure], max_attempts: int) -> None:
    completion.complete(
        session,
        outcomes=[r for r in returned if isinstance(r, Outcome)],
        failures=[r for r in returned if isinstance(r, Failure)],
        dropped=[],
        numerics_id=classes.class_id(NUMERICS),
        max_attempts=max_attempts,
        now=moment(60),
    )


@contextlib.contextmanager
def serving(
    engine: Engine, folder: Path, bus: Bus | None = None, **options: Any
) -> Iterator[Served]:
    """Serves until the block ends.

    Args:
        engine: its store.
        folder: its state folder.
        bus: its bus.
        options: of its configuration.
    """
    app = create_app(
        writing=session_factory(engine),
        reading=reading_factory(engine),
        configuration=Configuration(state_folder=folder, **options),
        wake=lambda: None,
        health=lambda: Health(store=True, dispatcher=True, workers=1),
        hasher=CHEAP,
        bus=bus,
    )
    quiet = not structlog.is_configured()
    if quiet:  # or a request's line would come into what a command in this process prints
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    started = threading.Event()
    listener = bind("127.0.0.1", 0)
    server = _Announced(uvicorn.Config(app, log_config=None, timeout_keep_alive=KEPT_S), started)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        assert started.wait(WAIT_S), "the application did not start"
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", engine)
    finally:
        server.should_exit = True
        thread.join(WAIT_S)
        listener.close()
        if quiet:
            structlog.reset_defaults()


class _Announced(Server):
    """Says when it listens, so that nobody has to poll."""

    def __init__(self, config: uvicorn.Config, started: threading.Event) -> None:
        super().__init__(config)
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's own, and then the word."""
        await super().startup(sockets)
        self._started.set()

"""The service as a process of its own, with the stub for its workers: API, dispatcher and store.

`python -m tests.benchmarks.stub.serve DATABASE_URL FOLDER LANES WORKERS [PROFILE]` prints the port
on a line, runs until its standard input ends, and writes the dispatcher's profile, if asked.
"""

import contextlib
import cProfile
import logging
import sys
import threading
from pathlib import Path

import structlog
import uvicorn

from service.api.app import Health, create_app
from service.configuration import Configuration
from service.dispatch.loop import Dispatcher, Rules
from service.processes.binding import bind
from service.store.engine import open_engine, reading_factory, session_factory, upgrade
from tests.benchmarks.stub.experiment import install
from tests.benchmarks.stub.workers import StubWorkers


def main(url: str, folder: str, lanes: str, workers: str, profile: str = "") -> None:
    """Serves until standard input ends."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    install()
    engine = open_engine(url)
    upgrade(engine)
    sessions = session_factory(engine)
    dispatcher = Dispatcher(sessions, StubWorkers(int(workers)), Rules(int(lanes), 1.0, 3), "stub")
    app = create_app(
        writing=sessions,
        reading=reading_factory(engine),
        configuration=Configuration(state_folder=Path(folder), rate_limit=0),
        wake=dispatcher.wake,
        health=lambda: Health(
            store=True, dispatcher=True, workers=dispatcher.announcement().workers
        ),
    )
    listener = bind("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, server_header=False))
    api = threading.Thread(target=server.run, args=([listener],))
    api.start()
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    watch = cProfile.Profile() if profile else None
    try:
        with watch or contextlib.nullcontext():
            dispatcher.run(stop)
    finally:
        if watch is not None:
            watch.dump_stats(profile)
        server.should_exit = True
        api.join()
        engine.dispose()


if __name__ == "__main__":
    main(*sys.argv[1:])

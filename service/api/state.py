"""What routes are given: the store's sessions, the catalogue, the configuration, the dispatcher."""

import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session, sessionmaker

from service.access.login import Attempts
from service.api.acting import act_of, judge, record
from service.api.door import Door
from service.api.journal import Journal, entry_of
from service.api.patience import Patience
from service.api.permits import Permits
from service.api.streams import Streams
from service.bus import Bus, sweep_topic
from service.configuration import Configuration
from service.errors import ProblemError
from service.folder import store_file
from service.store.keys import Hasher


@dataclass(frozen=True)
class Health:
    """What /readyz says.

    Attributes:
        storage: what is wrong with storage; None: nothing that is known.
        on_demand: whether workers come when there is work for them.
    """

    store: bool
    dispatcher: bool
    workers: int
    storage: str | None = None
    on_demand: bool = False


@dataclass(frozen=True)
class State:
    """The parts that routes use.

    Attributes:
        wake: tells the dispatcher that the queue may have changed.
        free_bytes: free disk where the store lies, or None where that is another machine.
        running_share: of a sweep's running trials, how far through their budget they are on
            average, 0 to 1; None where nobody knows.
        lacking: of the data sets named, those that no worker has -> what to do.
        classes: numerics classes that workers are of; None where nobody knows.
        hasher: what API keys are hashed with.
        bus: says that sweeps changed.
        streams: who is told so as it happens.
        door: what checks keys and sessions; None where nobody is asked.
        permits: whether who follows a stream still may.
        journal: where it is written down who did what.
        attempts: failed log-ins of late.
        storage: what asks storage.
    """

    writing: sessionmaker[Session]
    reading: sessionmaker[Session]
    configuration: Configuration
    wake: Callable[[], None]
    health: Callable[[], Health]
    free_bytes: Callable[[], int | None]
    running_share: Callable[[str], float | None]
    lacking: Callable[[Iterable[str]], Mapping[str, str]]
    classes: Callable[[], Collection[str] | None]
    hasher: Hasher
    bus: Bus
    streams: Streams
    door: Door | None
    permits: Permits
    journal: Journal
    attempts: Attempts
    storage: Patience


def free_bytes_of(configuration: Configuration) -> Callable[[], int | None]:
    """Measures free disk where the SQLite file lies; PostgreSQL keeps its own house."""

    def measure() -> int | None:
        file = store_file(configuration.database_url)
        return None if file is None else shutil.disk_usage(file.parent).free

    return measure


def storage_bytes_of(configuration: Configuration) -> int | None:
    """Free disk where kept weights go; None where that is no folder of this machine."""
    url = configuration.storage_url
    folder = Path(url.removeprefix("file://"))
    if "://" in str(folder) or not folder.is_absolute():
        return None
    there = next((f for f in (folder, *folder.parents) if f.exists()), None)
    return None if there is None else shutil.disk_usage(there).free


def state_of(request: Request) -> State:
    """The state of the application that serves a request."""
    found: State = request.app.state.seedbed
    return found


def reading(request: Request) -> Iterator[Session]:
    """A session that never takes a write lock."""
    with state_of(request).reading() as session:
        yield session


def writing(request: Request) -> Iterator[Session]:
    """One transaction, committed before the reply is sent (hence scope="function").

    Only of what the caller may change.

    Raises:
        ProblemError: 403, it is another's.
    """
    state = state_of(request)
    act = act_of(request)
    try:
        with state.reading() as session:  # whose it is never changes, and no lock is needed
            judge(act, request, session)
    except ProblemError:
        refused = entry_of(request.scope, act.principal, act.access.act, act.on, "refused")
        state.journal.refused(refused)
        raise
    with state.writing.begin() as session:
        yield session
        record(act, request, state.journal, session)
    state.wake()
    sweep = request.path_params.get("sweep")
    if sweep is not None:
        state.bus.publish(sweep_topic(sweep), {})


StateDep = Annotated[State, Depends(state_of)]
Reading = Annotated[Session, Depends(reading, scope="function")]
Writing = Annotated[Session, Depends(writing, scope="function")]

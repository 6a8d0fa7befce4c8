"""A served application with real sweeps in every state, for requests that hit something."""

import json
import random
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from models.catalog import experiments
from service.access.key import id_of
from service.access.principal import Scope
from service.store import claims, classes, keys
from service.store.engine import open_engine, session_factory, upgrade
from service.store.errors import StoreError
from tests.service.samples import CHEAP, NUMERICS, moment, spec
from tests.service.serving import Served, serving
from workers.messages import Assignment, Failure, MetricRecord, Outcome, PackSpec

SWEEPS = "/api/v1/sweeps"
#: seconds between two rounds of the stand-in for a dispatcher
PACE_S = 0.1
#: sweeps that are known at once
MOST = 40


class Stage:
    """Sweeps that requests may name; what is deleted is replaced.

    Args:
        served: the application.
        seed: of what is drawn.
        key: an admin's, where the application asks for one.
    """

    def __init__(self, served: Served, seed: int, key: str | None = None) -> None:
        self.served = served
        self.headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self.key_id = None if key is None else id_of(key)
        self._dice = random.Random(seed)
        self._client = httpx.Client(base_url=served.url, timeout=60, headers=self.headers)
        self._sweeps: list[str] = []
        self._trials: list[int] = []
        self._asked = 0

    def fill(self) -> None:
        """Sweeps that wait, are paused, cancelled, partly settled and finished."""
        made = [self.submit(seeds=seeds) for seeds in (6, 6, 4, 2)]
        self.end(1000)
        made.append(self.submit(leave="at_success", success=_ANY))
        self.end(20)
        paused, cancelled = self.submit(), self.submit()
        self._client.post(f"{SWEEPS}/{paused}/pause", json={})
        self._client.post(f"{SWEEPS}/{cancelled}/cancel", json={})
        self.submit(seeds=500)
        self.look()

    def submit(self, **changes: Any) -> str:
        """A sweep that is valid."""
        reply = self._client.post(SWEEPS, json=spec(**changes))
        reply.raise_for_status()
        return str(reply.json()["id"])

    def look(self) -> None:
        """Learns which sweeps and trials there are."""
        items = self._client.get(SWEEPS, params={"limit": MOST}).json()["items"]
        self._sweeps = [item["id"] for item in items]
        self._trials = []
        for sweep in self._dice.sample(self._sweeps, min(3, len(self._sweeps))):
            found = self._client.get(f"{SWEEPS}/{sweep}/trials", params={"limit": 20})
            if found.is_success:
                self._trials += [item["id"] for item in found.json()["items"]]

    def described(self) -> set[str]:
        """Every operation that the service describes, by method and path."""
        paths = self._client.get("/openapi.json").json()["paths"]
        return {f"{method.upper()} {path}" for path, found in paths.items() for method in found}

    def chance(self, share: float) -> bool:
        """True so often."""
        return self._dice.random() < share

    def sweep(self) -> str:
        """The id of one that was there a moment ago."""
        self._asked += 1
        if self._asked % 50 == 0 or not self._sweeps:
            if self._dice.random() < 0.5 or not self._sweeps:
                self.submit(seeds=self._dice.choice([2, 4, 60]))
            self.look()
        return self._dice.choice(self._sweeps)

    def trial(self) -> int | None:
        """The id of a trial that was there a moment ago, if any was."""
        self.sweep()
        return self._dice.choice(self._trials) if self._trials else None

    def spec(self) -> dict[str, Any]:
        """A spec that is accepted."""
        dice = self._dice
        found = spec(seeds=dice.randint(1, 40), name=dice.choice(["small", "größer", "小"]))
        if dice.random() < 0.3:
            found["primary"] = {"arm": "noisy", "against": "plain"}
        if dice.random() < 0.3:
            found["power"] = {"baseline": 0.1, "effect": 0.1}
        return found

    def end(self, limit: int) -> int:
        """Ends trials of the first queue that has some."""
        sessions = session_factory(self.served.engine)
        with sessions.begin() as session:
            queues = claims.queues(session)
            if not queues:
                return 0
            queue = self._dice.choice(queues)
            classes.pin(session, queue.sweep, NUMERICS)
            tasks = claims.claim(
                session, queue.sweep, queue.structure, limit, worker="stand-in", now=moment(1)
            )
        returned = [ended(task, queue.pack) for task in tasks]
        self.served.complete(returned, max_attempts=1)
        return len(tasks)

    def close(self) -> None:
        """Closes connections."""
        self._client.close()


_ANY = {"metric": "test_accuracy", "at_least": 0.9, "at": "any"}


def ended(task: Assignment, pack: PackSpec) -> Outcome | Failure:
    """What a trial yields, by what it is: now and then it raises or diverges."""
    dice = random.Random(f"{task.setting} {task.seed} {sorted(task.values.items())}")
    if dice.random() < 0.05:
        return Failure(task.trial, task.attempt, "it raised", "Traceback: none\n")
    lost = dice.random() < 0.05
    found = experiments()[pack.experiment]
    records, courses, half = {}, {}, pack.steps // 2
    for metric in found.metrics(found.resolve(pack.shared)):
        value = metric.low + dice.random() * (min(metric.high, metric.low + 10) - metric.low)
        final = None if lost else value
        records[metric.name] = MetricRecord(final, value, half)
        courses[metric.name] = [value, final]
    course = {"steps": [half, pack.steps], "metrics": courses}
    return Outcome(
        trial=task.trial,
        attempt=task.attempt,
        end_state="diverged" if lost else "finished",
        steps=pack.steps,
        metrics=records,
        curve=zlib.compress(json.dumps(course).encode()),
        fingerprint=f"{task.setting:x}-{task.seed}",
    )


@contextmanager
def staged(url: str, folder: Path, seed: int, *, auth: str = "none") -> Iterator[Stage]:
    """An application on an empty database, with a stage that goes on while it is asked.

    Args:
        auth: none, or keys: the stage is an admin then.
    """
    engine = open_engine(url, 40)
    upgrade(engine)
    try:
        key = _admin(engine) if auth == "keys" else None
        with serving(engine, folder, rate_limit=0, auth=auth) as served:
            stage = Stage(served, seed, key)
            stage.fill()
            with _going_on(lambda: stage.end(64)):
                yield stage
            stage.close()
    finally:
        engine.dispose()


def _admin(engine: Engine) -> str:
    with session_factory(engine).begin() as session:
        now, name = datetime.now(UTC), "fuzz"
        made = keys.create(session, name=name, owner=name, scope=Scope.ADMIN, now=now, hasher=CHEAP)
        return made[1]


@contextmanager
def _going_on(step: Callable[[], object]) -> Iterator[None]:
    """Repeats a step in a thread until the block ends; what it meets a request may have done."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def repeat() -> None:
        while not stop.wait(PACE_S):
            try:
                with suppress(StoreError):  # deleted between two transactions
                    step()
            except SQLAlchemyError as error:
                failures.append(error)
                return

    thread = threading.Thread(target=repeat, name="stand-in")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        if failures:
            raise failures[0]

"""The dispatcher tells how far it is: what is new, some times a second at most, and the end."""

import itertools
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from service.bus import WAKE, LocalBus
from service.bus.choice import bus_of, waking
from service.configuration import Configuration
from service.dispatch.loop import Dispatcher
from service.dispatch.peers import Peer
from service.dispatch.telemetry import telemetries, telemetry
from service.dispatch.telling import LEAST_S, Teller
from service.store.engine import session_factory
from tests.service.dispatch.stand_ins import RULES, FakeWorkers, look, submit
from workers.messages import PackSpec

#: many times what it takes, and many times less than the next look at the queue
WAIT_S = 60
PACK = PackSpec("deep_mlp", {}, segment=100, steps=1000, evaluate_every=1, expensive="end")


class Talk(LocalBus):
    """Remembers what was said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[str, Any]] = []

    def publish(self, topic: str, message: Any) -> None:
        self.said.append((topic, message["telemetry"]))
        super().publish(topic, message)


def test_a_sweep_is_told_of_when_something_is_new_and_when_it_rests(
    sessions: sessionmaker[Session],
) -> None:
    bus, clock = Talk(), iter(range(100))
    sweep = submit(sessions)
    workers = FakeWorkers(1)
    teller = Teller(bus, lambda: float(next(clock)))
    dispatcher = Dispatcher(sessions, workers, RULES, "me", tell=teller.tell)
    for _ in range(12):
        dispatcher.tick(0.0)
    topics = {topic for topic, _ in bus.said}
    assert topics == {f"sweep:{sweep}"}
    told = [words for _, words in bus.said]
    assert told[0] == {"running": 5, "share": 0.0}  # four lanes and one that waits
    assert told[-1] == {"running": 0, "share": None}
    assert all(a != b for a, b in itertools.pairwise(told)), "nothing is said twice"


def test_it_is_told_some_times_a_second_at_most() -> None:
    bus, now = Talk(), 0.0
    teller = Teller(bus, lambda: now)
    for n in range(1000):
        now = n * LEAST_S / 100
        teller.tell([_peer(n)])
    assert len(bus.said) == 10


def _peer(steps: int) -> Peer:
    return Peer(pack=PACK, sweeps={1: "a"}, steps={1: steps})


def test_one_pass_finds_what_a_pass_for_each_sweep_finds() -> None:
    peers = [_peer(10), _peer(20)]
    assert telemetries(peers) == {"a": telemetry(peers, "a", 0)}


@pytest.mark.parametrize("kind", ["local", "redis"])
def test_a_write_wakes_the_dispatcher_at_once(
    sqlite: Engine, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    """Not at its next look at the queue, which here would be in ten minutes."""
    url = request.getfixturevalue("redis_server") if kind == "redis" else None
    configuration = Configuration(state_folder=tmp_path, redis_url=url)
    here, there = bus_of(configuration), bus_of(configuration)
    api = there if url else here
    sessions = session_factory(sqlite)
    dispatcher = Dispatcher(sessions, FakeWorkers(1), RULES, "me")
    stop = threading.Event()
    loop = threading.Thread(target=dispatcher.run, args=(stop, 600.0), daemon=True)
    with waking(here, dispatcher.wake):
        loop.start()
        try:
            sweep = submit(sessions)
            deadline = time.monotonic() + WAIT_S
            while look(sessions, sweep).state != "finished":
                api.publish(WAKE, {})
                assert time.monotonic() < deadline
                time.sleep(0.05)
            stop.set()
            while loop.is_alive():
                api.publish(WAKE, {})
                assert time.monotonic() < deadline
                loop.join(0.05)
        finally:
            stop.set()
            dispatcher.wake()
            loop.join(5.0)
    here.close()
    there.close()

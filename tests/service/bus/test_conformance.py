"""One suite for every bus: the newest word on each topic, to all who hear it, at no one's cost."""

import threading
import time
from collections.abc import Iterator

import pytest

from service.bus import EVERY_SWEEP, WAKE, Bus, LocalBus, Message, sweep_topic
from service.bus.mailbox import MOST_TOPICS
from service.bus.protocol import MOST_BYTES
from service.bus.redis import RedisBus

WAIT_S = 20
NOT_LONG_S = 0.2


@pytest.fixture(params=["local", "redis"])
def bus(request: pytest.FixtureRequest) -> Iterator[Bus]:
    """Each bus; Redis is a real server."""
    found: Bus
    found = (
        LocalBus()
        if request.param == "local"
        else RedisBus(request.getfixturevalue("redis_server"))
    )
    yield found
    found.close()


def test_every_subscriber_hears_what_is_published(bus: Bus) -> None:
    with bus.subscribe(WAKE) as one, bus.subscribe(WAKE) as other:
        bus.publish(WAKE, {"why": "test", "n": [1, 2.5, None, True]})
        said = Message(WAKE, {"why": "test", "n": [1, 2.5, None, True]})
        assert one.next(WAIT_S) == said
        assert other.next(WAIT_S) == said
        assert one.next(0) is None


def test_a_subscriber_hears_its_topics_alone(bus: Bus) -> None:
    with bus.subscribe(sweep_topic("a"), WAKE) as heard, bus.subscribe(EVERY_SWEEP) as every:
        bus.publish(sweep_topic("b"), {})
        bus.publish(sweep_topic("a"), {"share": 0.5})
        bus.publish(WAKE, {})
        found = [heard.next(WAIT_S), heard.next(WAIT_S)]
        assert {m.topic for m in found if m} == {"sweep:a", WAKE}
        assert [m.topic for m in (every.next(WAIT_S), every.next(WAIT_S)) if m] == [
            "sweep:b",
            "sweep:a",
        ]
        assert every.next(0) is None


def test_whoever_has_left_hears_nothing_more(bus: Bus) -> None:
    """Not even what came in time and was not taken."""
    with bus.subscribe(EVERY_SWEEP) as left, bus.subscribe(EVERY_SWEEP) as stays:
        bus.publish(sweep_topic("a"), {})
        assert stays.next(WAIT_S) is not None
    with bus.subscribe(EVERY_SWEEP) as other:
        bus.publish(sweep_topic("b"), {})
        assert other.next(WAIT_S) is not None
    assert left.next(0) is None
    assert stays.next(0) is None


def test_whoever_sleeps_finds_the_newest_and_no_pile(bus: Bus) -> None:
    """A thousand messages on a topic take the room of one."""
    with bus.subscribe(sweep_topic("a"), "mark") as heard:
        for n in range(1000):
            bus.publish(sweep_topic("a"), {"n": n})
        bus.publish("mark", {})
        seen = []
        while (message := heard.next(WAIT_S)) is not None:
            seen.append(message)
            if message.topic == "mark":
                break
        numbers = [m.content["n"] for m in seen if m.topic != "mark"]
        assert numbers == sorted(numbers)
        assert numbers[-1] == 999


def test_topics_without_number_take_bounded_room(bus: Bus) -> None:
    with bus.subscribe("sweep:*") as heard:
        for n in range(MOST_TOPICS + 500):
            bus.publish(sweep_topic(str(n)), {"n": n})
        newest, deadline = None, time.monotonic() + WAIT_S
        count = 0
        while newest != MOST_TOPICS + 499 and time.monotonic() < deadline:
            message = heard.next(NOT_LONG_S)
            if message is not None:
                newest = message.content["n"]
                count += 1
        assert newest == MOST_TOPICS + 499
        assert len(heard._waiting) <= MOST_TOPICS  # type: ignore[attr-defined]


def test_a_wait_ends_when_a_message_comes(bus: Bus) -> None:
    """Not at its time limit."""
    with bus.subscribe(WAKE) as heard:
        teller = threading.Timer(0.1, bus.publish, (WAKE, {}))
        teller.start()
        began = time.monotonic()
        assert heard.next(10 * WAIT_S) == Message(WAKE, {})
        assert time.monotonic() - began < WAIT_S
        teller.join()


def test_a_wait_without_a_message_ends_at_its_time(bus: Bus) -> None:
    with bus.subscribe(WAKE) as heard:
        assert heard.next(0.01) is None


@pytest.mark.parametrize("topic", ["", "Wake", "sweep:", "sweep:a*", "sweep:a b", "a:b:c"])
def test_a_topic_that_is_none_is_refused(bus: Bus, topic: str) -> None:
    with pytest.raises(ValueError, match="is none; a topic is a word"):
        bus.publish(topic, {})


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"x": object()}, "is no JSON"),
        ({"x": float("nan")}, "is no JSON"),
        ({"x": "y" * MOST_BYTES}, "bytes; a bus carries hints"),
    ],
)
def test_a_message_that_no_process_could_read_is_refused(
    bus: Bus, message: dict[str, object], why: str
) -> None:
    """On every bus, or one process would accept what several do not."""
    with pytest.raises(ValueError, match=why):
        bus.publish(WAKE, message)


def test_what_is_said_after_the_end_reaches_nobody_and_raises_nothing(bus: Bus) -> None:
    bus.close()
    bus.publish(WAKE, {})

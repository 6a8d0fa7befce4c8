"""What a bus promises, whatever carries it: the newest word on each topic, or nothing at all.

A message is a hint. Whoever hears one looks at the store sooner than it would have; whoever hears
none looks all the same, later. So any message may be lost, and nothing that must not be goes here.
"""

import json
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

#: the queue may have changed: a sweep was created, steered or deleted
WAKE = "wake"
#: whatever is said of any sweep
EVERY_SWEEP = "sweep:*"
#: a longer message is a mistake of whoever wrote it
MOST_BYTES = 1 << 16
_TOPIC = re.compile(r"[a-z]+(:[A-Za-z0-9_-]+)?")


def sweep_topic(sweep: str) -> str:
    """Something of this sweep changed; may carry telemetry."""
    return f"sweep:{sweep}"


@dataclass(frozen=True)
class Message:
    """What was said on a topic: JSON's own types."""

    topic: str
    content: Mapping[str, Any]


class Messages(Protocol):
    """What a subscriber hears.

    Of each topic the newest message is kept until it is taken; what it replaces is gone. So a
    subscriber that is slow, or asleep, costs a bounded amount of memory and finds the newest.
    """

    def next(self, timeout_s: float) -> Message | None:
        """The message that waited longest, or None if none came within the time."""
        ...


class Bus(Protocol):
    """Carries messages to every subscriber in every process; safe to use from any thread.

    Messages of one publisher on one topic arrive in order, each at most once. A subscription that
    was entered hears what is published from then on, as far as the bus can be reached.
    """

    def publish(self, topic: str, message: Mapping[str, Any]) -> None:
        """Says something; returns at once and whether or not anybody can be reached.

        Raises:
            ValueError: the topic or the message is none.
        """
        ...

    def subscribe(self, *topics: str) -> AbstractContextManager[Messages]:
        """Hears topics until the block ends; one that ends in `*` is every topic so begun."""
        ...

    def close(self) -> None:
        """Lets go of connections and threads; what is said afterwards reaches nobody."""
        ...


def encode(topic: str, message: Mapping[str, Any]) -> str:
    """A message as JSON.

    Raises:
        ValueError: the topic is none, or the message is too long or no JSON.
    """
    if not _TOPIC.fullmatch(topic):
        raise ValueError(
            f"topic {topic!r} is none; a topic is a word, or a word, a colon and an id "
            f"({_TOPIC.pattern}); see service/bus/protocol.py for those that there are"
        )
    try:
        text = json.dumps(dict(message), separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the message on {topic} is no JSON ({error}); a bus carries JSON alone; send numbers, "
            "strings, lists and objects"
        ) from error
    if len(text) > MOST_BYTES:
        raise ValueError(
            f"the message on {topic} has {len(text):,} bytes; a bus carries hints of at most "
            f"{MOST_BYTES:,}; keep it in the store and say that it is there"
        )
    return text


def decode(topic: str, text: str | bytes) -> Message:
    """What `encode` made.

    Raises:
        ValueError: it is too long, or no JSON object.
    """
    if len(text) > MOST_BYTES:
        raise ValueError(f"it has {len(text):,} bytes, more than {MOST_BYTES:,}")
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - of what was sent, not of the call
    return Message(topic, content)

"""Reads server-sent events, as HTML's standard says, from the pieces in which they come."""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

#: a longer event is not the service's
MOST_CHARACTERS = 1 << 22
_LINE_END = re.compile(r"\r\n|\n|\r")


class NoEventsError(Exception):
    """What came is no event stream."""


@dataclass(frozen=True)
class Event:
    """One event; `id` is the last one that the stream gave, '' before the first."""

    name: str
    data: str
    id: str


def events(pieces: Iterable[bytes]) -> Iterator[Event]:
    """Every event that is whole; one that breaks off is none.

    Raises:
        NoEventsError: a line has no end.
    """
    name, data, last_id = "", list[str](), ""
    for line in lines(pieces):
        if not line:
            if data:
                yield Event(name or "message", "\n".join(data), last_id)
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
            if sum(map(len, data)) > MOST_CHARACTERS:
                raise NoEventsError(f"an event is longer than {MOST_CHARACTERS:,} characters")
        elif field == "id" and "\0" not in value:
            last_id = value


def lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Lines without their ends, of which the standard has three, and which may be cut in two."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
    rest = ""
    for piece in pieces:
        rest += decoder.decode(piece)
        held = rest.endswith("\r")  # a \n may follow
        *whole, rest = _LINE_END.split(rest[:-1] if held else rest)
        if held:
            rest += "\r"
        if len(rest) > MOST_CHARACTERS:
            raise NoEventsError(f"a line is longer than {MOST_CHARACTERS:,} characters")
        yield from whole

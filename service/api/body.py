"""The body of a request: JSON alone, not too long, not too deep, nothing in it twice."""

import asyncio
import json
import re
from collections import Counter
from typing import Any

from service.api.refusal import Receive, Refusal
from service.spec.problems import shown

MOST_BYTES = 1 << 20
#: a body must be there after so many seconds
MOST_S = 30.0
MOST_FORM_BYTES = 1 << 14
MOST_DEPTH = 16


async def read_body(receive: Receive, headers: dict[str, str]) -> bytes:
    """The body, counted while it comes, whatever its declared length.

    Raises:
        Refusal: 413 when it is too long, 408 when it takes too long.
    """
    try:
        async with asyncio.timeout(MOST_S):
            return await _counted(receive, headers)
    except TimeoutError as error:
        raise Refusal(
            408,
            f"the body was not there after {MOST_S:.0f} s",
            "send it whole, and again if the connection was bad",
            connection="close",
        ) from error


async def _counted(receive: Receive, headers: dict[str, str]) -> bytes:
    too_long = Refusal(
        413,
        f"the body is longer than {MOST_BYTES:,} bytes, the most a request may hold",
        "send a smaller spec; a grid is written as lists, not as cells",
        connection="close",  # or the rest of the body would have to be read
    )
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > MOST_BYTES:
        raise too_long
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BYTES:
            raise too_long
        if not message.get("more_body", False):
            break
    return b"".join(parts)


def judge_body(headers: dict[str, str], body: bytes) -> None:
    """Only JSON, also where there is no body: a page of another site can send no such type.

    And not too deep.

    Raises:
        Refusal: 415 or 422.
    """
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise Refusal(
            415,
            f"the content type is {media or 'unknown'!r}; the service takes JSON only",
            "send Content-Type: application/json",
        )
    if depth(body) > MOST_DEPTH:
        raise Refusal(
            422,
            f"the body is nested deeper than {MOST_DEPTH} levels",
            "flatten it; no spec needs more",
        )
    if body:
        judge_text(body)


def judge_form(headers: dict[str, str], body: bytes) -> None:
    """A form of the service's own pages: small, and with an Origin, which was judged before.

    Raises:
        Refusal: 403, 413 or 415.
    """
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/x-www-form-urlencoded":
        raise Refusal(
            415,
            f"the content type is {media or 'unknown'!r}; this is where the dashboard's form goes",
            "open /login in a browser; programs send Authorization: Bearer KEY",
        )
    if "origin" not in headers:
        raise Refusal(
            403,
            "the form has no Origin header; a page of another site could have sent it",
            "send it from the service's own page, with a browser that sends one",
        )
    if len(body) > MOST_FORM_BYTES:
        raise Refusal(413, f"the form holds {len(body):,} bytes", "send a key and nothing more")


def judge_text(body: bytes) -> None:
    """UTF-8, and no key twice in one object: of two values one would be ignored.

    What else is wrong with its JSON the route says.

    Raises:
        Refusal: 422.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = Counter(keys).most_common(1)[0][0]
            raise Refusal(422, f"key {shown(twice)} is there twice in one object", "drop one")
        return found

    try:
        json.loads(body.decode(), object_pairs_hook=unique)
    except UnicodeDecodeError as error:
        where = f"the body is not UTF-8 at byte {error.start}; JSON is"
        raise Refusal(422, where, "save it as UTF-8") from error
    except ValueError:
        return


# possessive, and an unclosed string goes to the end: a body of quotes costs no more than its length
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


def depth(body: bytes) -> int:
    """The deepest nesting of brackets outside strings."""
    deepest = level = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", body)):
        level += 1 if bracket in b"[{" else -1
        deepest = max(deepest, level)
    return deepest

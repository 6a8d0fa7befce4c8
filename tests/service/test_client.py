"""The client: refusals that say what to do, pages, and a submission that survives a lost reply."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from service.client import Client, ReplyLostError, ServiceError, ServiceUnreachableError

Answer = Callable[[httpx.Request], httpx.Response]


def client(answer: Answer) -> Client:
    return Client("http://127.0.0.1:1", transport=httpx.MockTransport(answer))


def test_a_problem_says_what_why_and_what_to_do() -> None:
    """Title, detail, each field with value, rule and cure, then the cure of the whole."""
    body = {
        "title": "The request breaks a rule",
        "detail": "the spec breaks 1 rule",
        "cure": "mend it",
        "errors": [{"field": "seeds", "value": "0", "rule": "at least 1", "cure": "use 1"}],
    }
    with client(lambda _: httpx.Response(422, json=body)) as c, pytest.raises(ServiceError) as e:
        c.submit({})
    assert e.value.status == 422
    assert str(e.value) == (
        "The request breaks a rule (422)\nthe spec breaks 1 rule\n"
        "  seeds = 0: at least 1; use 1\nWhat to do: mend it"
    )


def test_a_refusal_that_is_no_problem_json_still_has_a_status() -> None:
    with (
        client(lambda _: httpx.Response(502, text="<html>")) as c,
        pytest.raises(ServiceError, match="502"),
    ):
        c.sweep("a")


def test_a_reply_that_is_not_json_is_said_to_be_another_service() -> None:
    with (
        client(lambda _: httpx.Response(200, text="<html>")) as c,
        pytest.raises(ServiceError, match="check --url"),
    ):
        c.sweep("a")


def test_nobody_there_names_the_url_and_serve() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with client(refuse) as c, pytest.raises(ServiceUnreachableError) as e:
        c.presets()
    assert "http://127.0.0.1:1" in str(e.value)
    assert "seedbed serve" in str(e.value)


def test_a_submission_whose_reply_is_lost_is_sent_again_under_the_same_key() -> None:
    """Two replies are lost; the third says which sweep the first request made."""
    keys: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) < 3:
            raise httpx.ReadError("reset", request=request)
        return httpx.Response(201, json={"id": "a"})

    with client(answer) as c:
        assert c.submit({"name": "x"})["id"] == "a"
        c.submit({"name": "x"})
    assert keys[0] == keys[1] == keys[2] != keys[3]


def test_a_submission_gives_up_after_three_lost_replies_and_says_that_it_may_be_done() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow", request=request)

    with client(answer) as c, pytest.raises(ReplyLostError, match="may have been done"):
        c.submit({})


def test_nothing_else_is_sent_twice() -> None:
    """A cancel whose reply is lost is reported, not repeated."""
    count = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        raise httpx.ReadError("reset", request=request)

    with client(answer) as c, pytest.raises(ReplyLostError):
        c.cancel("a")
    assert count == 1


def test_a_bundle_that_breaks_off_is_an_error_and_no_hash() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        class Broken(httpx.SyncByteStream):
            def __iter__(self) -> Iterator[bytes]:
                yield b"PK"
                raise httpx.ReadError("reset", request=request)

        return httpx.Response(200, headers={"x-seedbed-bundle": "ab"}, stream=Broken())

    with client(answer) as c, pytest.raises(ReplyLostError):
        c.export("a", io.BytesIO())


def test_pages_are_followed_to_the_end_and_filters_go_along() -> None:
    asked: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        after = request.url.params.get("after")
        page: dict[str, Any] = {None: {"items": [1, 2], "next": 2}, "2": {"items": [3]}}[after]
        return httpx.Response(200, json={"next": None} | page)

    with client(answer) as c:
        assert list(c.trials("s", arm="noisy", success=True, criterion=0)) == [1, 2, 3]
    assert asked[1]["after"] == "2"
    assert all(a["arm"] == "noisy" and a["success"] == "true" for a in asked)


def test_an_id_cannot_reach_into_another_route() -> None:
    seen: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path)
        return httpx.Response(200, json={})

    with client(answer) as c:
        c.sweep("../presets?x=1")
    assert seen == [b"/api/v1/sweeps/..%2Fpresets%3Fx%3D1"]


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False)])
def test_ready_is_a_yes_or_a_no(status: int, *, ready: bool) -> None:
    with client(lambda _: httpx.Response(status, json={})) as c:
        assert c.ready() is ready


def test_a_url_without_a_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="begins with http"):
        Client("127.0.0.1:8321")


@pytest.mark.parametrize(
    "url", ["http://[::1", "localhost:8321", "ftp://here", "http://", "", "http://a:b"]
)
def test_what_is_no_url_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ValueError, match=r"use one such as http://127\.0\.0\.1:8321"):
        Client(url)

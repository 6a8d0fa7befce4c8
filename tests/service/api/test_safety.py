"""Safe from the first day: each rule of the design's section 9 that the API holds."""

import json
import time

import httpx
import pytest

from service.api.body import MOST_BYTES, depth
from tests.service.api.conftest import Served
from tests.service.samples import spec

pytestmark = pytest.mark.anyio

POST = "/api/v1/sweeps"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "10.0.0.1:8321"])
async def test_a_foreign_host_is_refused(api: httpx.AsyncClient, host: str) -> None:
    reply = await api.get("/healthz", headers={"Host": host})
    assert reply.status_code == 403
    assert "Host" in reply.json()["detail"]


@pytest.mark.parametrize("host", ["localhost:8321", "127.0.0.1:9", "[::1]:8321", "localhost"])
async def test_loopback_names_are_served(api: httpx.AsyncClient, host: str) -> None:
    assert (await api.get("/healthz", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:1", "http://127.0.0.1:9999"]
)
async def test_a_page_of_another_origin_is_refused(api: httpx.AsyncClient, origin: str) -> None:
    reply = await api.post(POST, json=spec(), headers={"Origin": origin})
    assert reply.status_code == 403
    own = {"Origin": "http://127.0.0.1:8321"}
    assert (await api.post(POST, json=spec(), headers=own)).status_code == 201


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_only_json_is_taken(api: httpx.AsyncClient, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    reply = await api.post(POST, content=json.dumps(spec()), headers=headers)
    assert reply.status_code == 415


async def test_a_long_body_is_refused_whatever_it_declares(served: Served) -> None:
    async def body():  # type: ignore[no-untyped-def]  # noqa: ANN202 - a stream without a length
        for _ in range(40):
            yield b" " * 2**15

    async with served.client() as api:
        declared = await api.post(POST, content=b" " * (MOST_BYTES + 1), headers=JSON)
        streamed = await api.post(POST, content=body(), headers=JSON)
    assert (declared.status_code, streamed.status_code) == (413, 413)


async def test_a_deep_body_is_refused_and_brackets_in_strings_do_not_count(
    api: httpx.AsyncClient,
) -> None:
    deep = b"[" * 17 + b"]" * 17
    assert (await api.post(POST, content=deep, headers=JSON)).status_code == 422
    assert depth(json.dumps({"name": '[[[[[[[[[[[[[[[[[[[\\"[['}).encode()) == 1
    assert depth(b'{"a": [{"b": "\\\\"}, [[]]]}') == 4


async def test_a_body_of_the_largest_size_is_judged_quickly() -> None:
    body = b'["' + b'\\"[' * (MOST_BYTES // 3 - 2) + b'"]'
    began = time.process_time()
    assert depth(body) == 1
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "text", ["{", "[1, 2]", '"spec"', "null", '{"seeds": NaN}', "1e999", '{"a": Infinity}']
)
async def test_json_of_the_wrong_shape_is_refused(api: httpx.AsyncClient, text: str) -> None:
    reply = await api.post(POST, content=text, headers=JSON)
    assert reply.status_code == 422
    assert reply.headers["content-type"] == "application/problem+json"
    assert (await api.get(POST)).json()["items"] == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"seeds": 5, "name": "x", "seeds": 6}', "'seeds' is there twice"),
        (b'{"success": {"at": "end", "at": "any"}}', "'at' is there twice"),
        (b'{"name": "\xff"}', "not UTF-8 at byte 10"),
    ],
)
async def test_a_body_of_which_a_part_would_be_ignored_is_refused(
    api: httpx.AsyncClient, body: bytes, words: str
) -> None:
    reply = await api.post(POST, content=body, headers=JSON)
    assert reply.status_code == 422
    assert words in reply.json()["detail"]


async def test_counts_are_multiplied_before_anything_is_built(api: httpx.AsyncClient) -> None:
    grid = {
        k: [0.001 * i for i in range(1, 400)] for k in ("learning_rate", "init_std", "momentum")
    }
    began = time.process_time()
    reply = await api.post(POST, json=spec(grid=grid, seeds=10**300, cohort=None))
    assert reply.status_code == 422
    assert time.process_time() - began < 5


async def test_replies_carry_headers_that_keep_pages_to_themselves(api: httpx.AsyncClient) -> None:
    reply = await api.get("/")
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert reply.headers["x-content-type-options"] == "nosniff"


async def test_an_unknown_route_and_method_are_problems(api: httpx.AsyncClient) -> None:
    assert (await api.get("/nope")).headers["content-type"] == "application/problem+json"
    assert (await api.put(POST)).status_code == 405


def test_the_depth_of_a_body_costs_no_more_than_its_length() -> None:
    """A string that is never closed, of escaped quotes: a megabyte in well under a second."""
    hostile = b'"' + b'\\"' * (1 << 19)
    began = time.process_time()
    assert depth(hostile) == 0
    assert time.process_time() - began < 2
    assert depth(b'{"a]": ["}", [1]]}') == 3

"""Workers on GPUs: one each, never more than there are, and the option reaches the pool."""

from typing import Any

import pytest

from service.configuration import Configuration
from service.gpus import TooFewGpusError, workers_on
from service.processes import binding, dispatcher


@pytest.mark.parametrize(
    ("gpus", "asked", "each", "workers"),
    [(1, None, 1, 1), (8, None, 1, 8), (8, 3, 1, 3), (2, 2, 1, 2), (2, None, 3, 6), (2, 5, 3, 5)],
)
def test_every_gpu_gets_its_workers_unless_fewer_are_asked_for(
    gpus: int, asked: int | None, each: int, workers: int
) -> None:
    assert workers_on(gpus, asked, each) == workers


def test_more_workers_than_gpus_would_wait_for_ever_and_are_refused() -> None:
    with pytest.raises(TooFewGpusError, match=r"4 workers.*sees 1 GPU for 1 each; use at most 1"):
        workers_on(1, 4)
    with pytest.raises(TooFewGpusError, match=r"7 workers.*2 GPUs for 3 each; use at most 6"):
        workers_on(2, 7, 3)
    with pytest.raises(TooFewGpusError, match=r"sees no GPU.*SEEDBED_DEVICE=cpu"):
        workers_on(0, None)


@pytest.mark.parametrize(("device", "each"), [("cpu", "cpu"), ("cuda", "cuda:0")])
def test_the_device_reaches_the_pool(
    device: str, each: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker sees one GPU, its own, under the number 0."""
    asked: list[Any] = []
    monkeypatch.setattr(dispatcher, "Pool", lambda *given, **more: asked.append((*given, more)))
    dispatcher.pool_of(Configuration(workers=3, device=device, workers_per_gpu=2))
    assert asked == [(3, each, {"per_gpu": 2})]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8321"),
        ("localhost", "http://localhost:8321"),
        ("::1", "http://[::1]:8321"),
    ],
)
def test_the_url_that_is_said_can_be_opened(host: str, url: str) -> None:
    assert binding.url_of(host, 8321) == url

"""Several workers a GPU: Ray places as many as are to share it, and no more."""

from typing import Any

import pytest

from workers import pool as pools
from workers.messages import WorkerDescription

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]


class OneGpu:
    """A Ray that is told of a GPU and a CPU, whether they are there or not."""

    def start(self) -> Any:
        import ray  # noqa: PLC0415 - reads the environment at import

        ray.init(
            address="local",
            num_cpus=1,
            num_gpus=1,
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            object_store_memory=100 * 2**20,
            log_to_driver=False,
        )
        return ray

    def fault(self) -> str | None:
        return None

    def stop(self) -> None:
        import ray  # noqa: PLC0415 - as above

        ray.shutdown()


def saying() -> type[Any]:
    """A worker that only says how many share its GPU; made here, so that Ray sends it whole."""

    class Worker:
        def __init__(self, device: str) -> None:
            self.device = device

        def describe(self, workers: int) -> WorkerDescription:
            return WorkerDescription({}, node=self.device, device=str(workers))

    return Worker


def test_three_workers_share_a_gpu_and_a_fourth_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    from workers.local import settle_environment  # noqa: PLC0415 - beside its only use

    settle_environment()
    monkeypatch.setattr(pools, "Worker", saying())
    pool = pools.Pool(4, "cuda:0", host=OneGpu(), per_gpu=3)
    pool.start()
    try:
        workers = [pool.spawn() for _ in range(4)]
        said: dict[str, Any] = {}
        while len(said) < 3:
            said |= {reply.worker: reply.value for reply in pool.wait(60.0)}
        assert {value.device for value in said.values()} == {"3"}
        assert pool.pending() == set(workers) - said.keys()
        pool.discard(next(iter(said)))
        while len(said) < 4:
            said |= {reply.worker: reply.value for reply in pool.wait(60.0)}
        assert pool.pending() == frozenset()
    finally:
        pool.stop()


@pytest.mark.parametrize("each", range(1, 65))
def test_all_that_share_a_gpu_fit(each: int) -> None:
    assert round(pools.part_of(each) * 10_000) * each <= 10_000
    assert pools.part_of(each) > 0.9 / (each + 1)

"""Ray's own autoscaler goes by what the dispatcher asks for: nodes come for a sweep, and go."""

import contextlib
import re
from pathlib import Path
from typing import Any

import psutil
import pytest

from service.client import Client
from service.local import free_port
from tests.cluster import Cluster, ray_cluster
from tests.e2e.conftest import READY_S, outcomes, until
from tests.e2e.test_cluster import SPEC, TRIALS, sited

pytestmark = [pytest.mark.alone, pytest.mark.service, pytest.mark.ray, pytest.mark.timeout(600)]


def autoscaling(address: str) -> dict[str, Any]:
    """At most two nodes of a CPU, which go after six idle seconds."""
    none: list[str] = []
    return {
        "cluster_name": "seedbed",
        "max_workers": 2,
        "provider": {
            "type": "fake_multinode",
            "gcs_address": address,
            "use_node_id_as_ip": True,  # all nodes are on one address
            "disable_node_updaters": True,
        },
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "trainer": {
                "resources": {"CPU": 1, "object_store_memory": 80 * 2**20},
                "node_config": {},
                "min_workers": 0,
                "max_workers": 2,
            },
        },
        "head_node_type": "ray.head.default",
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": 0.1,
        "auth": {},
        "docker": {},
        "initialization_commands": none,
        "setup_commands": none,
        "head_setup_commands": none,
        "worker_setup_commands": none,
        "head_start_ray_commands": none,
        "worker_start_ray_commands": none,
        "file_mounts": {},
        "cluster_synced_files": none,
        "file_mounts_sync_continuously": False,
        "rsync_exclude": none,
        "rsync_filter": none,
    }


def raylets(cluster: Cluster) -> int:
    """Nodes that the autoscaler has started: raylets of the head's, without its own.

    A raylet's child has its name until it becomes what it is to be.
    """
    found = set()
    for process in cluster.head.everybody():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name() == "raylet" and process.ppid() not in found:
                found.add(process.pid)
    return len(found) - 1


def test_nodes_come_with_a_sweep_and_go_after_it(postgres: str, tmp_path: Path) -> None:
    """None before; one at least while it trains; none again once its workers were let go."""
    with (
        ray_cluster(autoscaling=autoscaling) as cluster,
        sited(postgres, tmp_path, cluster) as site,
    ):
        site.environment["SEEDBED_IDLE_S"] = "5"
        port = free_port()
        site.start("api", "--port", str(port))
        _, log = site.dispatcher()
        with Client(f"http://127.0.0.1:{port}") as client:
            until(client.ready, READY_S, log.read_text)  # they come on demand
            assert raylets(cluster) == 0
            sweep = client.submit(SPEC)["id"]
            until(lambda: raylets(cluster) > 0, 120, lambda: log.read_text()[-3000:])
            until(
                lambda: client.sweep(sweep)["state"] == "finished",
                180,
                lambda: log.read_text()[-3000:],
            )
            assert len(outcomes(client, sweep)) == TRIALS
            until(lambda: raylets(cluster) == 0, 180, lambda: log.read_text()[-3000:])
        assert re.search("worker_let_go .*pending=False", log.read_text())
        assert "worker_lost" not in log.read_text()

"""What a lane takes is known before it trains, and a worker takes no more than it has."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models import catalog
from models.experiment import LaneMemory
from tests.laws import Case, assignments, run, same
from tests.workers.test_pack_laws import CASES, deep_mlp
from workers import memory, numerics
from workers.messages import Order
from workers.pack import Pack
from workers.trainer import Trainer

CASE = deep_mlp("memory", optimiser="sgd")
CPU = torch.device("cpu")

PROBE = """
import sys, torch
from models import catalog
from workers import numerics
from workers.messages import Assignment, PackSpec
from workers.pack import Pack
numerics.settle()
name, lanes = sys.argv[1], int(sys.argv[2])
values = {values}
experiment = catalog.experiment(name)
settings = experiment.resolve(values)
spec = PackSpec(name, experiment.shared_json(settings), 2, 2, 1, "end")
def train(lanes, seed):
    pack = Pack(spec, torch.device("cpu"))
    lane = experiment.lane_values(settings) | dict(dropout=0.1, noise_eta=0.01)
    pack.admit([Assignment(i, 1, 1, 1, seed + i, lane) for i in range(lanes)])
    assert not pack.advance().failures
def peak():  # not getrusage's, which begins at the parent's
    status = open("/proc/self/status").read()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
train(1, 0)
before = peak()
train(lanes, 1)
print(peak() - before)
"""
MOST_SHARE = 1.2
LARGE = {
    "deep_mlp": {"depth": 8, "width": 400, "batch": 64},
    "deep_mlp, small": {"depth": 40, "width": 250},
    "deep_mlp, adam": {"depth": 2, "width": 600, "batch": 512, "optimiser": "adam"},
    "neural_gpu": {"bits": 8, "start_bits": 8, "maps": 24, "batch": 16, "eval_examples": 4},
    "neural_gpu, relaxation": {
        "bits": 3, "start_bits": 3, "maps": 64, "width": 1, "batch": 2, "relaxation": 6,
        "eval_examples": 4, "beyond": [4],
    },
    "neural_gpu, ten times as long": {
        "bits": 4, "start_bits": 4, "maps": 8, "batch": 4, "beyond": [40], "eval_examples": 32
    },
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_a_lane_takes_what_was_said_and_not_much_less(name: str) -> None:
    """The allocator takes more now and then, a formula that says too little falls short always."""
    experiment, lanes = name.split(",", maxsplit=1)[0], 12
    found = catalog.experiment(experiment)
    assert found.memory is not None
    said = found.memory(found.resolve(LARGE[name]), 2)
    probe = PROBE.replace("{values}", repr(LARGE[name]))
    words = [sys.executable, "-c", probe, experiment, str(lanes)]

    def taken() -> float:
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
        return int(done.stdout) / (lanes * (said.held + said.training))

    shares = [taken()]
    while shares[-1] >= MOST_SHARE and len(shares) < 3:
        shares.append(taken())
    assert 0.6 < min(shares) < MOST_SHARE, (shares, said)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_what_is_held_is_counted_to_the_byte(case: Case) -> None:
    numerics.settle()
    pack = Pack(case.spec, CPU)
    pack.admit(assignments(case, 1))
    memory_of, settings = pack.experiment.memory, pack.experiment.resolve(case.spec.shared)
    assert memory_of is not None
    [lane] = pack.lanes
    rows = [*lane.params.values(), *lane.optimiser.values()]
    held = sum(t.numel() * t.element_size() for t in rows)
    assert memory_of(settings, case.spec.segment).held == held


def test_a_worker_with_room_for_five_lanes_holds_five_and_trains_all() -> None:
    trials = assignments(CASE, 12)
    expected = run(CASE.spec, trials, 12)
    numerics.settle()
    pack = Pack(CASE.spec, CPU)
    lane = pack._lane
    assert lane is not None
    pack = Pack(CASE.spec, CPU, measured=True, free=10 * lane.held + lane.training)
    assert pack.capacity == 5
    trainer = Trainer()
    trainer._pack = pack
    order = Order(CASE.spec, tuple(trials), lanes=64, slice_s=0.0)
    outcomes = {}
    widest = 0
    while len(outcomes) < 12:
        returned = trainer.advance(order)
        assert not returned.failures
        assert returned.lane_steps <= 5 * CASE.spec.segment
        widest = max(widest, len(pack.lanes))
        outcomes |= {o.trial: o for o in returned.outcomes}
        order = replace(order, add=())
    assert widest == 5
    assert max(pack._widths[0].rates, default=1) == 1
    assert all(same(outcomes[i], expected[i]) for i in expected)


def test_where_not_even_one_lane_fits_one_is_tried() -> None:
    lane = LaneMemory(held=100, training=1000)
    assert memory.capacity(lane, 50) == 1
    assert memory.widest(lane, 50, 1) == 1
    assert memory.capacity(lane, 2000) == 5
    assert memory.widest(lane, 4000, 5) == 3


def test_workers_that_share_a_gpu_keep_to_their_parts_of_it() -> None:
    """The first to look sees all of it free; the last, what the others left."""
    assert memory.gpu_budget(free=1000, total=1000, used=0, workers=1) == 900
    assert memory.gpu_budget(free=1000, total=1000, used=0, workers=4) == 225
    assert memory.gpu_budget(free=300, total=1000, used=100, workers=4) == 125
    assert memory.gpu_budget(free=100, total=1000, used=0, workers=4) == 90
    assert memory.gpu_budget(free=100, total=1000, used=300, workers=4) == 0


def test_a_containers_own_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("3000\n")
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.stat").write_text("anon 300\ninactive_file 400\nslab_reclaimable 100\n")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory.budget(CPU, 2) == 1250
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.budget(CPU) > 2**20

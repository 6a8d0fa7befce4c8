"""The pack law on a GPU, where there is one; and that noise is the same law there as on the CPU."""

import numpy as np
import pytest
import torch

from models.kernels.leaves import LeafList, add_scaled, squared_norm
from models.kernels.normal import add_normal
from models.kernels.truncated import add_truncated
from tests import laws
from tests.laws import Case, assignments, check_pack_law, run
from tests.workers.test_pack_laws import CASES

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU here: the laws were not run on one"
)


@pytest.fixture(autouse=True)
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs of the laws train on the first GPU."""
    monkeypatch.setattr(laws, "DEVICE", torch.device("cuda:0"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_trial_is_the_same_bits_alone_and_in_any_pack_on_a_gpu(case: Case) -> None:
    check_pack_law(case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_trial_learns_on_a_gpu_what_it_learns_on_a_cpu(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other bits, but the same streams and formulas: after three segments metrics agree closely."""
    trials = assignments(case, 3)
    there = run(case.spec, trials, 3)
    monkeypatch.setattr(laws, "DEVICE", torch.device("cpu"))
    here = run(case.spec, trials, 3)
    for trial, outcome in here.items():
        for name, record in outcome.metrics.items():
            other = there[trial].metrics[name].final
            assert record.final == pytest.approx(other, rel=2e-2, abs=6e-2), (trial, name)


@pytest.mark.parametrize("add", [add_normal, add_truncated])
def test_noise_on_a_gpu_is_the_cpus_but_for_rounding(add: object) -> None:
    assert callable(add)
    keys = np.random.default_rng(3).integers(0, 2**32, (3, 4), dtype=np.uint32)
    found = []
    for device in ("cpu", "cuda:0"):
        leaf = torch.zeros(3, 1001, device=device)
        ones = torch.ones(3, device=device)
        add(LeafList({"w": leaf}), ones, ones, keys, 5)
        found.append(leaf.cpu())
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-4)


def test_norms_and_updates_on_a_gpu_are_the_cpus_but_for_rounding() -> None:
    torch.manual_seed(0)
    leaves = {"a": torch.randn(3, 70), "b": torch.randn(3, 4, 5)}
    gain = torch.randn(3)
    found = []
    for device in ("cpu", "cuda:0"):
        here = LeafList({k: v.to(device, copy=True) for k, v in leaves.items()})
        norms = squared_norm(here)
        add_scaled(here, here.copy(), gain.to(device))
        found.append([norms.cpu(), *(t.cpu() for t in here.tensors)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-5)

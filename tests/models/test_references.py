"""One lane of each program equals a plain torch.nn network written here: loss and gradients."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.deep_mlp.digits import digits5k
from models.deep_mlp.program import DeepMlp
from models.deep_mlp.settings import DeepMlpSettings
from models.initialisers import he_std, sussillo_abbott_std
from models.kernels.leaves import LeafList
from models.neural_gpu.program import NeuralGpu
from models.neural_gpu.settings import NeuralGpuSettings
from models.program import Leaves
from tests.models.lanes import CPU, lanes

MLP = {
    "init_std": 0.2, "dropout": 0.0, "noise_eta": 0.0, "noise_gamma": 0.55,
    "learning_rate": 0.1, "momentum": 0.0, "adam_eps": 1e-8, "clip_norm": 1.0,
}  # fmt: skip
GPU = {
    "init_weight": 1.0, "curriculum_bound": 0.15, "dropout": 0.0,
    "relaxation_pull": 0.03, "relaxation_growth": 1.2,
}  # fmt: skip


def close(found: Tensor, expected: Tensor | None) -> None:
    """To 1e-5 of the largest."""
    assert expected is not None
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def leaves(params: Leaves) -> Leaves:
    """Parameters that record gradients."""
    return {k: v.clone().requires_grad_() for k, v in params.items()}


@pytest.mark.parametrize(("depth", "width"), [(1, 7), (5, 20), (20, 50)])
def test_deep_mlp_equals_a_stack_of_linear_layers(depth: int, width: int) -> None:
    program = DeepMlp(DeepMlpSettings(depth=depth, width=width, init="he"), 3, CPU)
    view = lanes(2, MLP, segment=3)
    params = leaves(program.init(view)[0])
    batches = program.batches(view, 0)
    assert program.compiled
    with torch.no_grad():
        loss, stats, found = program.gradients(LeafList(params), batches, 1)
        metrics = program.evaluate(params, view, "cheap")
    grads = dict(zip(found.names, found.tensors, strict=True))
    digits = digits5k()
    for lane in range(2):
        layers: list[nn.Module] = []
        for layer, (i, o) in enumerate(zip(program.sizes, program.sizes[1:], strict=False)):
            linear = nn.Linear(i, o)
            with torch.no_grad():
                linear.weight.copy_(params[f"w{layer:02d}"][lane].T)
                linear.bias.copy_(params[f"b{layer:02d}"][lane, 0])
            layers += [linear, nn.ReLU()]
        network = nn.Sequential(*layers[:-1])
        chosen = batches.chosen[1, lane].numpy()
        logits = network(torch.from_numpy(digits.train_images[chosen]))
        labels = torch.from_numpy(digits.train_labels[chosen])
        expected = functional.cross_entropy(logits, labels)
        expected.backward()  # type: ignore[no-untyped-call]
        torch.testing.assert_close(loss[lane], expected, rtol=1e-5, atol=1e-6)
        wrong = (logits.argmax(1) != labels).float().mean()
        torch.testing.assert_close(stats[lane, 0], wrong)
        for layer, linear in enumerate(m for m in network if isinstance(m, nn.Linear)):
            close(grads[f"w{layer:02d}"][lane].T, linear.weight.grad)
            close(grads[f"b{layer:02d}"][lane, 0], linear.bias.grad)
        with torch.no_grad():
            logits = network(torch.from_numpy(digits.test_images))
        labels = torch.from_numpy(digits.test_labels)
        right = (logits.argmax(1) == labels).double().mean()
        assert metrics["test_accuracy"][lane] == pytest.approx(right.item(), abs=1.5e-3)
        test_loss = functional.cross_entropy(logits, labels).item()
        assert metrics["test_loss"][lane].item() == pytest.approx(test_loss, rel=1e-5)


def cgrus(settings: NeuralGpuSettings) -> list[str]:
    """Names of all convolutions: of every set, layer and kind."""
    sets = [f"set{i:02d}." for i in range(settings.relaxation)] if settings.relaxation > 1 else [""]
    return [
        f"{each}cgru{layer}.{kind}"
        for each in sets
        for layer in range(settings.layers)
        for kind in ("update", "reset", "candidate")
    ]


class ReferenceGpu(nn.Module):
    """A Neural GPU with nn.Conv2d, one network, as the paper writes it."""

    def __init__(self, settings: NeuralGpuSettings, params: Leaves, lane: int) -> None:
        super().__init__()
        m = settings.maps
        self.s = settings
        self.embedding = nn.Parameter(params["embedding"][lane].detach().clone())
        self.input, self.output = nn.Linear(m, m), nn.Linear(m, 4)
        self.convolutions = nn.ModuleDict()
        with torch.no_grad():
            for name, linear in (("input", self.input), ("output", self.output)):
                linear.weight.copy_(params[f"{name}.w"][lane].T)
                linear.bias.copy_(params[f"{name}.b"][lane])
            for name in cgrus(settings):
                convolution = nn.Conv2d(m, m, 3, padding=1)
                kernel = params[f"{name}.w"][lane]  # (3, 3, in, out)
                convolution.weight.copy_(kernel.permute(3, 2, 0, 1))
                convolution.bias.copy_(params[f"{name}.b"][lane])
                self.convolutions[name.replace(".", "_")] = convolution

    def gate(self, x: Tensor) -> Tensor:
        """The saturating gate of the paper's code, for a cutoff c."""
        c = self.s.gate_cutoff
        return torch.clamp(c * torch.sigmoid(x) - (c - 1) / 2, 0, 1)

    def forward(self, source: Tensor) -> Tensor:
        """(B, n, 4) logits."""
        batch, n = source.shape
        row = self.input(torch.tanh(self.embedding)[source])  # (B, n, m)
        state = torch.zeros(batch, self.s.maps, n, self.s.width)
        state[:, :, :, 0] = row.transpose(1, 2)
        for time in range(n):
            prefix = f"set{time % self.s.relaxation:02d}_" if self.s.relaxation > 1 else ""
            for layer in range(self.s.layers):
                here = f"{prefix}cgru{layer}"
                u = self.gate(self.convolutions[f"{here}_update"](state) + 1)
                r = self.gate(self.convolutions[f"{here}_reset"](state) + 1)
                c = torch.tanh(self.convolutions[f"{here}_candidate"](r * state))
                state = u * state + (1 - u) * c
        out: Tensor = self.output(state[:, :, :, 0].transpose(1, 2))
        return out

    def distance(self) -> Tensor:
        """Squared distance of the sets' parameters to their mean."""
        total = torch.zeros(())
        for layer in range(self.s.layers):
            for kind in ("update", "reset", "candidate"):
                sets = [
                    module
                    for name, module in self.convolutions.items()
                    if name.endswith(f"cgru{layer}_{kind}")
                ]
                for each in ([c.weight for c in sets], [c.bias for c in sets]):
                    mean = sum(each) / len(each)
                    total = total + sum(((p - mean) ** 2).sum() for p in each)
        return total


@pytest.mark.parametrize(
    "more",
    [
        {"maps": 8},
        {"maps": 12},
        {"maps": 24},
        {"maps": 6, "lengths": "mixed"},
        {"maps": 5, "relaxation": 6},
        {"maps": 4, "width": 3, "layers": 1, "relaxation": 2, "task": "reverse"},
    ],
    ids=str,
)
def test_neural_gpu_equals_convolutions(more: dict[str, Any]) -> None:
    settings = NeuralGpuSettings(**{"bits": 3, "batch": 4} | more)
    program = NeuralGpu(settings, 2, CPU)
    view = lanes(2, GPU, segment=2)
    drawn, state = program.init(view)
    params = leaves(drawn)
    tapes = program.batches(replace(view, state=state), 3)
    loss, stats = program.loss(params, tapes, 1)
    grads = dict(zip(params, torch.autograd.grad(loss.sum(), list(params.values())), strict=True))
    for lane in range(2):
        network = ReferenceGpu(settings, params, lane)
        source, target = tapes.source[1][lane], tapes.target[1][lane]
        logits = network(source)
        live = target > 0
        expected = functional.cross_entropy(logits[live], target[live])
        if settings.relaxation > 1:
            expected = expected + GPU["relaxation_pull"] * network.distance()
        expected.backward()  # type: ignore[no-untyped-call]
        torch.testing.assert_close(loss[lane], expected, rtol=1e-5, atol=1e-6)
        wrong = (logits.argmax(-1) != target) & live
        torch.testing.assert_close(stats[lane, 0], wrong.sum().double() / live.sum())
        torch.testing.assert_close(stats[lane, 1], wrong.any(1).double().mean())
        for name in cgrus(settings):
            theirs = network.convolutions[name.replace(".", "_")]
            ours = grads[f"{name}.w"][lane].permute(3, 2, 0, 1)
            close(ours, theirs.weight.grad)
            bias = grads[f"{name}.b"][lane]
            close(bias, theirs.bias.grad)
        for name, linear in (("input", network.input), ("output", network.output)):
            ours = grads[f"{name}.w"][lane].T
            close(ours, linear.weight.grad)
            bias = grads[f"{name}.b"][lane]
            close(bias, linear.bias.grad)
        close(grads["embedding"][lane], network.embedding.grad)


@pytest.mark.parametrize("init", ["simple", "he", "sussillo_abbott", "zero"])
def test_initial_weights_have_the_scale_of_their_law(init: str) -> None:
    program = DeepMlp(DeepMlpSettings(depth=2, init=init), 3, CPU)  # type: ignore[arg-type]
    params, _ = program.init(lanes(4, MLP))
    expected = {
        "simple": 0.2,
        "he": math.sqrt(2 / 784),
        "sussillo_abbott": math.sqrt(2) * math.exp(1.2 / (784 - 2.4)) / math.sqrt(784),
        "zero": 0.0,
    }[init]
    assert params["w00"].std().item() == pytest.approx(expected, rel=0.02)
    assert all(not leaf.any() for name, leaf in params.items() if name.startswith("b"))
    assert he_std(784) == pytest.approx(math.sqrt(2 / 784))
    assert sussillo_abbott_std(3) == pytest.approx(math.sqrt(2 / 3) * math.exp(1.2 / 3.6))


def test_arms_that_differ_in_the_initialiser_share_its_draws() -> None:
    """The step-0 weights differ by a factor alone."""
    found = [
        DeepMlp(DeepMlpSettings(depth=1, init=init), 3, CPU).init(lanes(1, MLP))[0]["w00"]  # type: ignore[arg-type]
        for init in ("simple", "he")
    ]
    ratio = (found[0] / found[1]).flatten().numpy()
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)

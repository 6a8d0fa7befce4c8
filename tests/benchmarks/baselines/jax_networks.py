"""The two networks as pure JAX functions of one network's parameters, in Seedbed's layout."""

import math

import jax
import jax.numpy as jnp
from jax import lax

from tests.benchmarks.baselines.workload import Workload

Params = dict[str, jax.Array]
_SYMBOLS = 4


def draw(work: Workload, key: jax.Array) -> Params:
    """Initial weights of one network."""
    return _draw_mlp(work, key) if work.experiment == "deep_mlp" else _draw_gpu(work, key)


def forward(work: Workload, params: Params, inputs: jax.Array) -> jax.Array:
    """Logits of one network."""
    if work.experiment == "deep_mlp":
        return _mlp(params, inputs, work.shared["depth"])
    return _gpu(work, params, inputs)


def loss(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean cross-entropy over what is asked; symbol 0 of a tape is not."""
    log_p = jax.nn.log_softmax(logits)
    found = -jnp.take_along_axis(log_p, targets[..., None], -1)[..., 0]
    if targets.ndim == 1:
        return found.mean()
    asked = targets != 0
    return jnp.where(asked, found, 0.0).sum() / asked.sum()


def _draw_mlp(work: Workload, key: jax.Array) -> Params:
    sizes = [784, *[work.shared["width"]] * work.shared["depth"], 10]
    params: Params = {}
    for layer, key_of_layer in enumerate(jax.random.split(key, len(sizes) - 1)):
        shape = (sizes[layer], sizes[layer + 1])
        params[f"w{layer:02d}"] = work.values["init_std"] * jax.random.normal(key_of_layer, shape)
        params[f"b{layer:02d}"] = jnp.zeros((1, shape[1]))
    return params


def _mlp(params: Params, inputs: jax.Array, depth: int) -> jax.Array:
    hidden = inputs
    for layer in range(depth):
        hidden = jax.nn.relu(hidden @ params[f"w{layer:02d}"] + params[f"b{layer:02d}"])
    return hidden @ params[f"w{depth:02d}"] + params[f"b{depth:02d}"]


def _draw_gpu(work: Workload, key: jax.Array) -> Params:
    m = work.shared["maps"]
    shapes: dict[str, tuple[int, ...]] = {"input.w": (m, m), "output.w": (m, _SYMBOLS)}
    for layer in range(work.shared["layers"]):
        shapes |= {f"cgru{layer}.{k}.w": (3, 3, m, m) for k in ("update", "reset", "candidate")}
    keys = jax.random.split(key, len(shapes) + 1)
    params: Params = {
        "embedding": jax.random.uniform(keys[0], (_SYMBOLS, m), minval=-1.7, maxval=1.7)
    }
    for (name, shape), own in zip(shapes.items(), keys[1:], strict=True):
        bound = 1.8 * work.values["init_weight"] * math.sqrt(3.0 / math.prod(shape[:-1]))
        params[name] = jax.random.uniform(own, shape, minval=-bound, maxval=bound)
        params[name.removesuffix("w") + "b"] = jnp.zeros(shape[-1])
    return params


def _convolve(state: jax.Array, kernel: jax.Array) -> jax.Array:
    """A 3 x 3 convolution as one product; vmapped, XLA's grouped convolution is far slower."""
    _, length, width, maps = state.shape
    padded = jnp.pad(state, ((0, 0), (1, 1), (1, 1), (0, 0)))
    near = [padded[:, i : i + length, j : j + width] for i in range(3) for j in range(3)]
    return jnp.concatenate(near, -1) @ kernel.reshape(9 * maps, -1)


def _gpu(work: Workload, params: Params, source: jax.Array) -> jax.Array:
    """Kaiser & Sutskever 2015; the gates of a CGRU are one convolution, time is a scan."""
    cutoff, layers = work.shared["gate_cutoff"], range(work.shared["layers"])
    p = params
    gates = [jnp.concatenate([p[f"cgru{i}.update.w"], p[f"cgru{i}.reset.w"]], -1) for i in layers]
    biases = [
        jnp.concatenate([p[f"cgru{i}.update.b"], p[f"cgru{i}.reset.b"]]) + 1.0 for i in layers
    ]
    row = (jnp.tanh(p["embedding"]) @ p["input.w"] + p["input.b"])[source]  # (B, n, m)
    first = jnp.pad(row[:, :, None], ((0, 0), (0, 0), (0, work.shared["width"] - 1), (0, 0)))

    def cgrus(state: jax.Array, _: None) -> tuple[jax.Array, None]:
        for i in layers:
            opened = jax.nn.sigmoid(_convolve(state, gates[i]) + biases[i])
            opened = jnp.clip(cutoff * opened - (cutoff - 1) / 2, 0.0, 1.0)
            update, reset = jnp.split(opened, 2, -1)
            candidate = _convolve(reset * state, p[f"cgru{i}.candidate.w"])
            candidate = jnp.tanh(candidate + p[f"cgru{i}.candidate.b"])
            state = update * state + (1 - update) * candidate
        return state, None

    state, _ = lax.scan(cgrus, first, None, length=source.shape[1])
    return state[:, :, 0] @ p["output.w"] + p["output.b"]

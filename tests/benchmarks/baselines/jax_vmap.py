"""Many networks with JAX: jit over scan over vmap, buffers donated, either random generator."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.benchmarks.baselines.contender import Weights
from tests.benchmarks.baselines.jax_networks import draw, forward, loss
from tests.benchmarks.baselines.workload import Workload, tables

Tree = Any
_BETA1, _BETA2 = 0.9, 0.999


class JaxVmap:
    """R networks in one compiled program; a call of `train` is one scan.

    Args:
        work: what is trained.
        lanes: R.
        device: "cpu" or "cuda".
        seed: of weights, batches and noise.
        generator: "threefry2x32" or "rbg", JAX's two.
    """

    def __init__(
        self,
        work: Workload,
        lanes: int,
        device: str = "cpu",
        seed: int = 0,
        generator: str = "threefry2x32",
    ) -> None:
        self.work = work
        self.lanes = lanes
        self.device = jax.devices("gpu" if device.startswith("cuda") else "cpu")[0]
        t = tables(work)
        self.tables = self._put((t.inputs, t.targets))
        self.test = self._put((t.test_inputs, t.test_targets))
        keys = jax.random.split(jax.random.key(seed, impl=generator), (2, lanes))
        self.keys = self._put(keys[1])
        params = jax.jit(jax.vmap(partial(draw, work)))(keys[0])
        self._start(params)
        self._train = jax.jit(self._scan_drawn, static_argnums=1, donate_argnums=0)
        self._replay = jax.jit(self._scan_given, donate_argnums=0)
        self._evaluate = jax.jit(jax.vmap(self._loss, in_axes=(0, None, None)))

    def _put(self, tree: Tree) -> Tree:
        return jax.device_put(tree, self.device)

    def _start(self, params: Tree) -> None:
        moments: Tree = ()
        if self.work.shared["optimiser"] == "adam":
            moments = (jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params))
        self.carry = self._put((params, moments, jnp.zeros((), jnp.float32)))

    def _loss(self, params: Tree, inputs: jax.Array, targets: jax.Array) -> jax.Array:
        return loss(forward(self.work, params, inputs), targets)

    def _scan_drawn(self, state: Tree, steps: int, tables: Tree) -> Tree:
        def body(state: Tree, _: None) -> Tree:
            carry, keys = state
            keys, data, noise = jnp.moveaxis(jax.vmap(partial(jax.random.split, num=3))(keys), 1, 0)
            rows = jax.vmap(self._rows)(data)
            carry, losses = self._step(carry, rows, noise, tables)
            return (carry, keys), losses

        return lax.scan(body, state, None, length=steps)

    def _scan_given(self, state: Tree, chosen: jax.Array, tables: Tree) -> Tree:
        def body(state: Tree, rows: jax.Array) -> Tree:
            carry, keys = state
            keys, noise = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
            carry, losses = self._step(carry, rows, noise, tables)
            return (carry, keys), losses

        return lax.scan(body, state, chosen)

    def _rows(self, key: jax.Array) -> jax.Array:
        return jax.random.randint(key, (self.work.shared["batch"],), 0, len(self.tables[0]))

    def _step(self, carry: Tree, rows: jax.Array, keys: jax.Array, tables: Tree) -> Tree:
        params, moments, t = carry
        lanewise = jax.vmap(self._one, in_axes=(0, 0, None, 0, 0, None))
        params, moments, losses = lanewise(params, moments, t, rows, keys, tables)
        return (params, moments, t + 1.0), losses

    def _one(
        self,
        params: Tree,
        moments: Tree,
        t: jax.Array,
        rows: jax.Array,
        key: jax.Array,
        tables: Tree,
    ) -> Tree:
        """One step of one network."""
        v = self.work.values
        inputs, targets = tables[0][rows], tables[1][rows]
        value, grads = jax.value_and_grad(self._loss)(params, inputs, targets)
        norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in jax.tree.leaves(grads)))
        scale = jnp.minimum(1.0, v["clip_norm"] / norm)
        grads = jax.tree.map(lambda g: g * scale, grads)
        if v["noise_eta"] > 0:
            std = jnp.sqrt(v["noise_eta"] / (1.0 + t) ** v["noise_gamma"])
            leaves, form = jax.tree.flatten(grads)
            keys = jax.random.split(key, len(leaves))  # one flat draw, split, is a fifth slower
            drawn = [jax.random.normal(k, g.shape) for k, g in zip(keys, leaves, strict=True)]
            noisy = [g + std * n for g, n in zip(leaves, drawn, strict=True)]
            grads = jax.tree.unflatten(form, noisy)
        params, moments = self._optimise(params, moments, grads, t)
        return params, moments, value

    def _optimise(self, params: Tree, moments: Tree, grads: Tree, t: jax.Array) -> Tree:
        v = self.work.values
        rate = v["learning_rate"]
        if self.work.shared["optimiser"] == "sgd":
            return jax.tree.map(lambda p, g: p - rate * g, params, grads), moments
        mean = jax.tree.map(lambda m, g: _BETA1 * m + (1 - _BETA1) * g, moments[0], grads)
        square = jax.tree.map(lambda s, g: _BETA2 * s + (1 - _BETA2) * g * g, moments[1], grads)
        size = rate / (1 - _BETA1 ** (t + 1))
        root = jnp.sqrt(1 - _BETA2 ** (t + 1))

        def moved(p: jax.Array, m: jax.Array, s: jax.Array) -> jax.Array:
            return p - size * m / (jnp.sqrt(s) / root + v["adam_eps"])

        return jax.tree.map(moved, params, mean, square), (mean, square)

    def train(self, steps: int) -> np.ndarray:
        """Takes so many steps; losses (steps, R). Each new number of steps is compiled once."""
        (self.carry, self.keys), losses = self._train((self.carry, self.keys), steps, self.tables)
        return np.asarray(losses)

    def replay(self, chosen: np.ndarray) -> np.ndarray:
        """Trains on given rows (steps, R, B); losses (steps, R)."""
        rows = self._put(jnp.asarray(chosen))
        (self.carry, self.keys), losses = self._replay((self.carry, self.keys), rows, self.tables)
        return np.asarray(losses)

    def evaluate(self) -> np.ndarray:
        """(R,) mean loss on the test table."""
        return np.asarray(self._evaluate(self.carry[0], *self.test))

    def load(self, weights: Weights) -> None:
        """Starts again from these weights."""
        self._start({name: jnp.asarray(w) for name, w in weights.items()})

    def weights(self) -> dict[str, np.ndarray]:
        """The weights now."""
        return {name: np.asarray(w) for name, w in self.carry[0].items()}

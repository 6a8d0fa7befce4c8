"""One network rehearses a step before any lane trains: what it draws, returns and drops.

A network that draws from elsewhere than the streams that it is given is refused here, before its
numbers stand in a record.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from models.experiment import Experiment, Settings
from models.lifting.dropout import Drop, Noting
from models.lifting.network import Network
from models.lifting.refusals import LiftError
from models.program import Leaves
from models.streams import Purpose, TrialKey, torch_generator

KEY = TrialKey(0, 0, 0)


def rehearse(
    network: Network, experiment: Experiment, settings: Settings, segment: int
) -> tuple[Drop, ...]:
    """Draws and takes one step at the per-lane defaults; returns the calls of dropout it made.

    Raises:
        LiftError: a draw differs from an equal stream, or a tensor is not what the protocol says.
    """
    name = type(network).__name__
    values = experiment.lane_values(settings)
    params = _drawn(f"{name}.init", "init", lambda g: network.init(g, values))
    batch = _drawn(f"{name}.batch", "data", lambda g: network.batch(g, values, segment))
    _drawn(f"{name}.held_out", "evaluation", lambda g: network.held_out(g, values))
    _check_params(f"{name}.init", params)
    _check_steps(f"{name}.batch", batch, segment)
    device = network.device
    leaves = {k: v.detach().to(device).requires_grad_() for k, v in params.items()}
    first = {k: v[0].to(device) for k, v in batch.items()}
    hyper = {k: torch.tensor(v, dtype=torch.float32, device=device) for k, v in values.items()}
    with torch.random.fork_rng(devices=[]), Noting() as noted:
        loss = network.loss(leaves, first, hyper)
    _check_loss(f"{name}.loss", loss, leaves)
    return tuple(noted.drops)


def _drawn(where: str, purpose: Purpose, draw: Callable[[torch.Generator], Leaves]) -> Leaves:
    """What one stream yields, which is the same each time."""
    one, again = (draw(torch_generator(KEY, purpose)) for _ in range(2))
    if not all(isinstance(leaf, Tensor) for leaf in one.values()):
        raise LiftError(
            f"{where} returned something else than named tensors; they are stacked over the lanes "
            "of a tile; return a dict of name -> torch.Tensor"
        )
    if one.keys() != again.keys() or not all(torch.equal(one[k], again[k]) for k in one):
        raise LiftError(
            f"{where} drew other numbers from an equal stream; a trial is a function of its "
            "streams alone; pass the generator on (torch.randn(..., generator=generator)), or "
            "build modules through models.lifting.stateless.Stateless"
        )
    return one


def _check_params(where: str, params: Leaves) -> None:
    if not params:
        raise LiftError(f"{where} returned no parameters; there is nothing to train; return some")
    for name, leaf in params.items():
        if leaf.dtype != torch.float32:
            raise LiftError(
                f"{where} returned {name!r} as {leaf.dtype}; packs train float32, which is part "
                "of the numerics class; convert it, or hold a constant on the network object"
            )


def _check_steps(where: str, batch: Leaves, segment: int) -> None:
    for name, leaf in batch.items():
        if leaf.ndim == 0 or len(leaf) != segment:
            raise LiftError(
                f"{where} returned {name!r} of shape {tuple(leaf.shape)} for {segment} steps; "
                f"each step reads one part; give it {segment} as its first axis"
            )


def _check_loss(where: str, loss: object, leaves: Leaves) -> None:
    if not isinstance(loss, Tensor) or loss.ndim or not loss.requires_grad:
        found = (
            f"a tensor of shape {tuple(loss.shape)}"
            if isinstance(loss, Tensor)
            else f"a {type(loss).__name__}"
        )
        raise LiftError(
            f"{where} returned {found}; one network has one loss, differentiable in its "
            "parameters; return a tensor of shape (), such as a mean over the batch"
        )
    grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    unused = [name for name, grad in zip(leaves, grads, strict=True) if grad is None]
    if unused:
        raise LiftError(
            f"{where} does not depend on {', '.join(map(repr, unused))}; every parameter is "
            "trained and fingerprinted; leave out of init() what the loss does not read"
        )

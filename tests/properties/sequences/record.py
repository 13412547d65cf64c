"""A run that was made, and the comparison of everything that its handles give with what is right."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .model import Expected, Snapshot, compute
from .network import Handles, Network
from .twin import run_anew

MARGIN = 2e-5  # of the threshold: a membrane so close to it may be on either side by the order of summation


class Wrong(AssertionError):
    """A value, a gradient or an error is not what it has to be."""


class Flip(Exception):
    """A membrane lay so close to the threshold that rounding decided about the spike: nothing can be said."""


@dataclass(eq=False)
class Record:
    """Handles of a run, with a snapshot of what it computed with and the tensors that have gradients."""

    network: Network
    handles: Handles
    snapshot: Snapshot
    leaves: dict[str, Tensor]
    has_gradient: bool
    x: Tensor
    trial: int = 0
    written: bool = False  # whether the user has written to an operand in place since, so that torch may refuse
    found: Expected | None = None

    @property
    def expected(self) -> Expected:
        """What is right, computed from the snapshot alone."""
        if self.found is None:
            self.found = self.compute()
        return self.found

    def compute(self) -> Expected:
        """By the model; on the chip by a new network."""
        return run_anew(self.snapshot, self.trial) if self.snapshot.spec.chip else compute(self.snapshot)

    @property
    def names(self) -> list[str]:
        """Everything that can be read, as "handle.field"."""
        return [name for name in self.expected.values if name.split(".")[0] in self.handles]

    def read(self, name: str) -> Tensor:
        """A tensor of a handle; an empty field is `Wrong`."""
        handle, tensor_name = name.split(".")
        tensor = getattr(self.handles[handle], tensor_name)
        if not isinstance(tensor, Tensor):
            raise Wrong(f"{name} is {tensor}")
        return tensor


def compare(record: Record, names: Iterable[str]) -> None:
    """Read tensors in the given order; each must be right."""
    for name in names:
        tensor = record.read(name)
        right = record.expected.values[name].detach()
        if not same_values(name, tensor, right):
            _look_for_flips(record)
            raise Wrong(f"{name} differs: {_difference(tensor, right)}")


def same_values(name: str, tensor: Tensor, right: Tensor) -> bool:
    """Whether a tensor has shape, type and values of the right one; spikes exactly."""
    if tensor.shape != right.shape or tensor.dtype != right.dtype or tensor.device != right.device:
        return False
    if name.endswith(".spikes"):
        return torch.equal(tensor.detach(), right)
    tolerance = 1e-5 * max(1.0, float(right.abs().max()))
    return torch.allclose(tensor.detach(), right, rtol=1e-4, atol=tolerance)


def loss_of(values: dict[str, Tensor], seed: int) -> Tensor:
    """A weighted sum of tensors, with weights that follow from their names and the seed."""
    total: Any = 0.0
    for name, tensor in sorted(values.items()):
        step = 0.38 + (seed + sum(map(ord, name))) % 97 / 400
        weights = (torch.arange(tensor.numel(), device="cpu", dtype=torch.float32) * step % 1.0 - 0.5) * 3.5
        total = total + (weights.view(tensor.shape) * tensor).sum()
    assert isinstance(total, Tensor)
    return total


def compare_gradients(record: Record, names: list[str], seed: int, *, accumulate: bool = False) -> bool:
    """Gradients of a loss over `names` must be right; False if torch refused, as something was written in place."""
    right_loss = loss_of({name: record.expected.values[name] for name in names}, seed)
    loss = loss_of({name: record.read(name) for name in names}, seed)
    if not loss.requires_grad:
        raise Wrong(f"{', '.join(names)}: no gradient")
    keys = list(record.leaves)
    right = torch.autograd.grad(
        right_loss, [record.expected.leaves[key] for key in keys], retain_graph=True, allow_unused=True
    )
    try:
        found = (
            _accumulated(loss, record)
            if accumulate
            else torch.autograd.grad(
                loss, [record.leaves[key] for key in keys], retain_graph=True, allow_unused=True
            )
        )
    except RuntimeError as error:
        if record.written:
            return False
        raise Wrong(f"gradient of {', '.join(names)}: {type(error).__name__}: {error}") from error
    scale = max((float(grad.abs().max()) for grad in right if grad is not None), default=0.0)
    for key, grad, wanted in zip(keys, found, right, strict=True):
        if not same_gradient(grad, wanted, scale):
            compare(record, [n for n in record.names if n.endswith("spikes")])
            raise Wrong(f"gradient of {', '.join(names)} for {key}: {_difference(grad, wanted)}")
    return True


def _accumulated(loss: Tensor, record: Record) -> list[Tensor | None]:
    for leaf in record.leaves.values():
        leaf.grad = None
    loss.backward(retain_graph=True)
    grads = [leaf.grad for leaf in record.leaves.values()]
    for leaf in record.leaves.values():
        leaf.grad = None
    return grads


def same_gradient(grad: Tensor | None, right: Tensor | None, largest: float = 0.0) -> bool:
    """Whether a gradient is right, given the `largest` of its loss; None is zero; what overflows cannot be told."""
    if right is None:
        return grad is None or not bool(grad.abs().max() > 0)
    scale = float(right.abs().max())
    if not max(scale, largest) < 1e12:
        return True
    if grad is None:
        return scale == 0
    return grad.shape == right.shape and bool(((grad - right).abs() <= 1e-3 * scale + 2e-6 * largest + 1e-5).all())


def shuffled(names: list[str], seed: int) -> list[str]:
    """The names in an order that follows from the seed."""
    return random.Random(seed).sample(names, len(names))


def some(names: list[str], seed: int) -> list[str]:
    """One of the names, or two or three."""
    chooser = random.Random(seed)
    return chooser.sample(names, min(len(names), chooser.choice((1, 1, 2, 3))))


def _look_for_flips(record: Record) -> None:
    """Raise `Flip` if the first spikes that differ all have a membrane at the threshold."""
    for cell, distances in record.expected.distances.items():
        spikes = getattr(record.handles[cell], "spikes", None)
        right = record.expected.values[f"{cell}.spikes"].detach()
        if not isinstance(spikes, Tensor) or spikes.shape != right.shape:
            return
        differs = spikes.detach() != right
        if bool(differs.any()):
            first = int(differs.flatten(1).any(1).nonzero()[0])
            if bool((distances[first][differs[first]].abs() < MARGIN).all()):
                raise Flip(cell)
            return


def _difference(tensor: Tensor | None, right: Tensor | None) -> str:
    if tensor is None or right is None or tensor.shape != right.shape or tensor.dtype != right.dtype:
        shown = [None if t is None else (tuple(t.shape), t.dtype, t.device) for t in (tensor, right)]
        return f"{shown[0]} instead of {shown[1]}"
    with torch.inference_mode():
        off = (tensor - right).abs()
        largest = f"{float(off.max()):.3g} of {float(right.abs().max()):.3g}"
        return f"{int((off > 1e-5).sum())} of {off.numel()}, by {largest}"

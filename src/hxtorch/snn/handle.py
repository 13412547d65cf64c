"""Handles: what a module returns when it is called, a promise that `run` fills with tensors.

Tensors have the order (time, batch, neuron). Fields can be given by keyword or in the order in which each
class lists them; every field is None until it is filled.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from hxtorch.snn.display import handle_html


@dataclass(eq=False)
class Handle:
    """Base class of all handles; a subclass lists the tensors that it carries as fields."""

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the carried tensors, in positional order."""
        return tuple(item.name for item in fields(cls))

    def holds(self, name: str) -> bool:
        """Whether there is a tensor called `name`; False for an empty field and for unknown names."""
        return name in self.names() and getattr(self, name) is not None

    def put(self, *tensors: Tensor | None, **named: Tensor | None) -> None:
        """Fill fields, by position or by name. Unknown names and too many tensors: AssertionError."""
        names = self.names()
        if len(tensors) > len(names):
            raise AssertionError(f"{type(self).__name__} carries {len(names)} tensors {names}, got {len(tensors)}.")
        unknown = sorted(set(named) - set(names))
        if unknown:
            raise AssertionError(f"{type(self).__name__} carries {names}, but not {unknown}.")
        for name, tensor in (dict(zip(names, tensors)) | named).items():
            setattr(self, name, tensor)

    def clone(self, other: Handle) -> None:
        """Take over every tensor of `other`. One that this handle does not carry: AssertionError."""
        self.put(**{name: getattr(other, name) for name in other.names() if other.holds(name)})

    def clear(self) -> None:
        """Empty all fields."""
        self.put(**dict.fromkeys(self.names()))

    def _repr_html_(self) -> str:
        """Shapes and a first look at every tensor, for notebooks."""
        return handle_html(type(self).__name__, {name: getattr(self, name) for name in self.names()})

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_same(getattr(self, name), getattr(other, name)) for name in self.names())

    __hash__ = None  # type: ignore[assignment]  # compares by content, which changes


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:
        return a is b
    return torch.equal(a, b)


@dataclass(eq=False)
class TensorHandle(Handle):
    """Any single tensor."""

    tensor: Tensor | None = None


@dataclass(eq=False)
class SynapseHandle(Handle):
    """Output of a synapse: `graded_spikes` (T, B, out), the weighted sum of the spikes of each step."""

    graded_spikes: Tensor | None = None


@dataclass(eq=False)
class NeuronHandle(Handle):
    """Output of spiking neurons.

    * `spikes`: 0 or 1, (T, B, N).
    * `membrane_cadc`: membrane trace, (T, B, N); in mock mode the membrane of the model.
    * `current`: synaptic current of the model, (T, B, N).
    * `membrane_madc`: (2, samples, B), times in cycles of 8 ns and 10-bit codes; None in mock mode.
    """

    spikes: Tensor | None = None
    membrane_cadc: Tensor | None = None
    current: Tensor | None = None
    membrane_madc: Tensor | None = None


@dataclass(eq=False)
class ReadoutNeuronHandle(Handle):
    """Output of non-spiking neurons: like `NeuronHandle` without spikes."""

    membrane_cadc: Tensor | None = None
    current: Tensor | None = None
    membrane_madc: Tensor | None = None

"""Recompute instead of store: a network over long sequences, piece by piece in time.

Forward keeps the states of all neurons between the pieces and what the last modules of the network give. Backward
takes the pieces in reverse: it computes one again, with everything that its gradient needs, and forgets it before
the next. So memory grows with the length of a piece instead of that of the sequence, and the forward pass is done
twice. What hidden modules show is computed when somebody reads it, over the whole sequence.

All of this works on a copy of the network (`frozen`), as it was in the run. What hidden modules show is a view on
the run: gradients flow from it, but a hook on it does not see the gradient of what comes behind.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hxtorch.snn import functional as F
from hxtorch.snn.frozen import FrozenNetwork, HardwareData, Tensors
from hxtorch.snn.functional.memory.carried import blank
from hxtorch.snn.graph import Graph


def compute_in_pieces(graph: Graph, hw_map: HardwareData, length: int) -> None:
    """Compute a graph in pieces of `length` time steps and fill its handles.

    Modules other than synapses, neurons, input neurons and dropout as they are: ValueError.
    """
    network = FrozenNetwork(graph, hw_map)
    bounds = [(begin, min(begin + length, network.steps)) for begin in range(0, network.steps, length)]
    states: Tensors = ()
    shown: list[Tensors] = []
    hidden: list[Tensors] = []
    first, after = len(network.shown), len(network.shown) + len(network.hidden)
    for begin, end in bounds:
        rows = network.rows(begin, end)
        results = _Piece.apply(network, begin, end, len(rows), *rows, *states, *network.operands)  # type: ignore[no-untyped-call]
        shown.append(results[:first])
        hidden.append(results[first:after])
        states = results[after:]
    handles = {id(node.output): node.output for node in graph.modules_in_order}
    for (key, name), parts in zip(network.shown, zip(*shown, strict=True), strict=True):
        handles[key].put(**{name: F.Carried(torch.cat(parts))})
    later = _Hidden(network, bounds)
    for number, ((key, name), parts) in enumerate(zip(network.hidden, zip(*hidden, strict=True), strict=True)):
        joined = _Join.apply(*parts)  # type: ignore[no-untyped-call]
        handles[key].put(**{name: F.Carried(joined, later.filler(number))})
    for node in graph.modules_in_order:
        data = hw_map.get(node.module)
        if data is not None and getattr(data, "madc", None) is not None:
            node.output.put(membrane_madc=data.madc)


class _Piece(torch.autograd.Function):
    """One piece: from inputs, states before it (the first has none) and operands.

    To what the last modules give, what hidden ones show (without numbers), and the states after.
    """

    @staticmethod
    def forward(ctx: Any, network: FrozenNetwork, begin: int, end: int, count: int, *tensors: Tensor) -> Tensors:
        ctx.set_materialize_grads(False)
        ctx.network, ctx.begin, ctx.end, ctx.count = network, begin, end, count
        ctx.save_for_backward(*tensors)
        free = len(tensors) - len(network.operands)
        shown, hidden, states = network.compute(begin, end, tensors[:count], tensors[count:free], tensors[free:])
        blanks = (blank(item.shape, item.like.dtype, item.like.device) for item in hidden)
        return (*(item.values() for item in shown), *blanks, *states)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        network, tensors, needs = ctx.network, ctx.saved_tensors, ctx.needs_input_grad[4:]
        free = len(tensors) - len(network.operands)
        with torch.enable_grad():
            given = tuple(
                tensor.detach().requires_grad_(needed) for tensor, needed in zip(tensors, needs, strict=True)
            )
            shown, hidden, states = network.compute(
                ctx.begin, ctx.end, given[: ctx.count], given[ctx.count : free], given[free:]
            )
        for item, grad in zip((*shown, *hidden), grads, strict=False):
            if grad is not None:
                item.watch()
        wanted = [tensor for tensor, needed in zip(given, needs, strict=True) if needed]
        pairs = [
            (r, g)
            for r, g in zip((*(item.like for item in (*shown, *hidden)), *states), grads, strict=True)
            if g is not None and r.requires_grad
        ]
        found = iter(
            torch.autograd.grad([r for r, _ in pairs], wanted, [g for _, g in pairs], allow_unused=True)
            if wanted and pairs
            else [None] * len(wanted)
        )
        return (None,) * 4 + tuple(next(found) if needed else None for needed in needs)


class _Join(torch.autograd.Function):
    """Pieces without numbers, one after the other."""

    @staticmethod
    def forward(ctx: Any, *parts: Tensor) -> Tensor:
        ctx.lengths = [len(part) for part in parts]
        return blank((sum(ctx.lengths), *parts[0].shape[1:]), parts[0].dtype, parts[0].device)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensors:
        return tuple(torch.split(grads[0], ctx.lengths))


class _Hidden:
    """What hidden modules show, computed over the whole sequence when the first of it is read."""

    def __init__(self, network: FrozenNetwork, bounds: list[tuple[int, int]]) -> None:
        self._network, self._bounds = network, bounds
        self._operands = tuple(tensor.detach() for tensor in network.operands)
        self._found: dict[int, Tensor] = {}

    def filler(self, number: int) -> F.Fill:
        """What gives the numbers of one of the hidden tensors."""

        def fill() -> Tensor:
            if number not in self._found:
                self._compute()
            return self._found.pop(number)

        return fill

    def _compute(self) -> None:
        states: Tensors = ()
        parts: list[Tensors] = []
        for begin, end in self._bounds:
            rows = self._network.rows(begin, end)
            _, hidden, states = self._network.compute(begin, end, rows, states, self._operands)
            parts.append(tuple(item.values() for item in hidden))
        self._found = {number: torch.cat(pieces) for number, pieces in enumerate(zip(*parts, strict=True))}

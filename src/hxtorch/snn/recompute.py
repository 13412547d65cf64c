"""Recompute instead of store: a network over long sequences, piece by piece in time.

Forward keeps the states of all neurons between the pieces and what the last modules of the network give. Backward
takes the pieces in reverse: it computes one again, with everything that its gradient needs, and forgets it before
the next. So memory grows with the length of a piece instead of that of the sequence, and the forward pass is done
twice. What hidden populations show is computed when somebody reads it, over the whole sequence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hxtorch.snn import functional as F
from hxtorch.snn.fused_loop import is_plain_neuron, is_plain_readout, is_plain_synapse, joined_loop
from hxtorch.snn.graph import Graph, Node, Step
from hxtorch.snn.handle import NeuronHandle
from hxtorch.snn.modules.base import HXBaseExperimentModule
from hxtorch.snn.modules.batch_dropout import BatchDropout
from hxtorch.snn.modules.input_neuron import InputNeuron
from hxtorch.snn.modules.neuron import Neuron
from hxtorch.snn.modules.population import Population
from hxtorch.snn.modules.synapse import Synapse
from hxtorch.snn.observables import NeuronData, ReadoutData
from hxtorch.snn.steps import compute_step

HardwareData = Mapping[HXBaseExperimentModule, Any]
Tensors = tuple[Tensor, ...]


def compute_in_pieces(graph: Graph, hw_map: HardwareData, length: int) -> None:
    """Compute a graph in pieces of `length` time steps and fill its handles.

    Modules other than synapses, neurons, input neurons and dropout as they are: ValueError.
    """
    _check(graph)
    network = _Network(graph, hw_map)
    inputs = network.inputs
    steps = min(len(x) for x in inputs)
    states: Tensors = ()
    pieces: list[Tensors] = []
    for begin in range(0, steps, length):
        end = min(begin + length, steps)
        rows = tuple(x[begin:end] for x in inputs)
        results = _Piece.apply(network, begin, end, len(rows), *rows, *states, *network.parameters)  # type: ignore[no-untyped-call]
        pieces.append(results[: network.outputs])
        states = results[network.outputs :]
    network.fill(tuple(torch.cat(parts) for parts in zip(*pieces, strict=True)))


def _check(graph: Graph) -> None:
    for step in graph.steps:
        for node in step.nodes:
            if step.wrapper is not None or not (
                is_plain_neuron(node) or is_plain_readout(node) or is_plain_synapse(node) or _passes_on(node)
            ):
                raise ValueError(
                    f"{node.module} cannot be computed in pieces of time. Set `checkpoint_steps` of the experiment "
                    "to None, or use synapses and neurons without a forward_func of their own."
                )


class _Piece(torch.autograd.Function):
    """One piece: from inputs, states before it (the first has none) and parameters to outputs and states after."""

    @staticmethod
    def forward(ctx: Any, network: _Network, begin: int, end: int, count: int, *tensors: Tensor) -> Tensors:
        ctx.network, ctx.begin, ctx.end, ctx.count = network, begin, end, count
        ctx.states = len(tensors) - count - len(network.parameters)
        ctx.save_for_backward(*tensors)
        outputs, states = network.compute(begin, end, tensors[:count], tensors[count : count + ctx.states])
        return outputs + states

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        free = ctx.count + ctx.states
        with torch.enable_grad():
            given = tuple(
                tensor.detach().requires_grad_(needed)
                for tensor, needed in zip(tensors[:free], ctx.needs_input_grad[4 : 4 + free], strict=True)
            )
            outputs, states = ctx.network.compute(ctx.begin, ctx.end, given[: ctx.count], given[ctx.count :])
        wanted = [
            tensor
            for tensor, needed in zip((*given, *tensors[free:]), ctx.needs_input_grad[4:], strict=True)
            if needed
        ]
        pairs = [(r, g) for r, g in zip(outputs + states, grads, strict=True) if r.requires_grad]
        found = iter(
            torch.autograd.grad([r for r, _ in pairs], wanted, [g for _, g in pairs], allow_unused=True)
            if wanted and pairs
            else [None] * len(wanted)
        )
        return (None,) * 4 + tuple(next(found) if needed else None for needed in ctx.needs_input_grad[4:])


@dataclass(frozen=True)
class _Place:
    """Which tensor of which node is an output of the network."""

    node: Node
    name: str


class _Network:
    """A graph as a function of inputs and states."""

    def __init__(self, graph: Graph, hw_map: HardwareData) -> None:
        self._graph, self._hw_map = graph, hw_map
        opened: dict[int, Tensor] = {}
        for node, handle in graph.open_inputs:
            opened[id(handle)] = getattr(handle, node.module.input_field or "spikes")
        self._open = list(opened)
        self.inputs = tuple(opened.values())
        read = {id(handle) for node in graph.modules_in_order for handle in node.inputs}
        last = [node for node in graph.modules_in_order if id(node.output) not in read]
        self._places = [_Place(node, name) for node in last for name in _names(node)]
        modules = {id(node.module): node.module for node in graph.modules_in_order}
        self.parameters = tuple(p for m in modules.values() for p in m.parameters() if p.requires_grad)

    @property
    def outputs(self) -> int:
        """Number of tensors that the last modules give."""
        return len(self._places)

    def compute(self, begin: int, end: int, inputs: Tensors, states: Tensors) -> tuple[Tensors, Tensors]:
        """What the last modules give, and the states after the time steps begin..end-1."""
        values: dict[int, dict[str, Tensor]] = {
            key: {"spikes": x, "graded_spikes": x} for key, x in zip(self._open, inputs, strict=True)
        }
        before = iter(states)
        after: list[Tensor] = []
        for step in self._graph.steps:
            if any(node.module.remembers for node in step.nodes):
                self._neurons(step, begin, end, values, next(before, None), after)
            else:
                node = step.nodes[0]
                if _passes_on(node):
                    values[id(node.output)] = self._passed(node, begin, end, values[id(node.inputs[0])])
                else:
                    values[id(node.output)] = {"graded_spikes": _weighted(node, values)}
        found = tuple(values[id(place.node.output)][place.name] for place in self._places)
        return found, tuple(after)

    def _neurons(
        self,
        step: Step,
        begin: int,
        end: int,
        values: dict[int, dict[str, Tensor]],
        state: Tensor | None,
        after: list[Tensor],
    ) -> None:
        external = {key: found["graded_spikes"] for key, found in values.items() if "graded_spikes" in found}
        data = self._data(step, begin, end)
        if step.loop:
            loop = joined_loop(step, external, data)
            if loop is None:
                raise ValueError(
                    "This loop of populations cannot be computed in pieces of time. Set `checkpoint_steps` of the "
                    "experiment to None."
                )
            states = F.integrate(
                loop.x, loop.membrane, loop.firing, None, None, loop.measured, loop.dt,
                recurrent=loop.recurrent, state=state,
            )  # fmt: skip
            first = 0
            for node, size in zip(loop.neurons, loop.sizes, strict=True):
                values[id(node.output)] = _shown(node, states, first, size)
                first += size
            elsewhere = {id(h) for other in self._graph.steps if other is not step for h in other.inputs}
            for node in step.nodes:
                if not node.module.remembers and id(node.output) in elsewhere:
                    values[id(node.output)] = {"graded_spikes": _weighted(node, values)}
        else:
            node = step.nodes[0]
            module = node.module
            assert isinstance(module, Neuron)
            tensors = [external[id(handle)] for handle in node.inputs]
            x = sum(tensors[1:], start=tensors[0])
            measured = F.Measured(data[0].cadc, data[0].spikes)
            states = F.integrate(x, *module.terms(x), measured, module.dt, state=state)
            values[id(node.output)] = _shown(node, states, 0, module.size)
        assert states.last is not None
        after.append(states.last)

    def _passed(self, node: Node, begin: int, end: int, before: dict[str, Tensor]) -> dict[str, Tensor]:
        """What an input neuron or a dropout makes of the spikes in front of it."""
        recorded = _rows(self._hw_map.get(node.module), begin, end)
        handle = node.module.func((NeuronHandle(spikes=before["spikes"]),), hw_data=recorded)
        assert isinstance(handle, NeuronHandle) and handle.spikes is not None
        return {**before, "spikes": handle.spikes}

    def _data(self, step: Step, begin: int, end: int) -> list[NeuronData]:
        """The chip's data of the neurons of a step, cut to a piece."""
        found = []
        for node in step.nodes:
            if node.module.remembers:
                data = self._hw_map.get(node.module) or NeuronData()
                spikes = None if isinstance(data, ReadoutData) else data.spikes
                found.append(NeuronData(_rows(spikes, begin, end), _rows(data.cadc, begin, end), data.madc))
        return found

    def fill(self, results: Tensors) -> None:
        """Put the results into the handles, and the promise of everything else."""
        for place, tensor in zip(self._places, results, strict=True):
            place.node.output.put(**{place.name: tensor})
        given = {(id(place.node), place.name) for place in self._places}
        names = [
            (node, name)
            for node in self._graph.modules_in_order
            for name in _names(node)
            if (id(node), name) not in given
        ]
        number_of = {id(node): number for number, node in enumerate(self._graph.modules_in_order)}
        picked = [(number_of[id(node)], name) for node, name in names]
        blank, hw_map = self._graph.copy(), self._hw_map  # of its own, so that no handle holds itself
        operands = (*self.inputs, *self.parameters)
        versions = [tensor._version for tensor in operands]

        def compute() -> Tensors:
            if [tensor._version for tensor in operands] != versions:
                raise RuntimeError(
                    "Hidden populations of an experiment with `checkpoint_steps` are computed when they are read, "
                    "but weights or inputs have changed since the run. Read them before."
                )
            for step in blank.steps:
                compute_step(step, hw_map)
            nodes = blank.modules_in_order
            results = tuple(getattr(nodes[number].output, name) for number, name in picked)
            blank.release()
            return results

        waiting = F.Postponed(operands, compute, compute)
        for number, (node, name) in enumerate(names):
            node.output.put(**{name: F.Later(waiting, number)})
        for node in self._graph.modules_in_order:
            data = self._hw_map.get(node.module)
            if data is not None and getattr(data, "madc", None) is not None:
                node.output.put(membrane_madc=data.madc)


def _weighted(node: Node, values: Mapping[int, Mapping[str, Tensor]]) -> Tensor:
    module = node.module
    assert isinstance(module, Synapse)
    spikes = values[id(node.inputs[0])]["spikes"]
    return F.linear(spikes.to(module.weight), module.effective_weight)


def _shown(node: Node, states: F.States, first: int, size: int) -> dict[str, Tensor]:
    """The observables of a population among the states of several, by the names in its handle."""
    assert isinstance(node.module, Population)
    found = {"membrane_cadc": states.membrane, "current": states.current}
    if states.spikes is not None:
        found["spikes"] = states.spikes
    if states.adaptation is not None:
        found["adaptation_cadc"] = states.adaptation
    found = {name: tensor.narrow(2, first, size) for name, tensor in found.items()}
    if "spikes" in found:
        found["spikes"] = node.module.masked(found["spikes"])
    return found


def _passes_on(node: Node) -> bool:
    """Whether a node gives the spikes of its input, step by step."""
    return type(node.module) in (InputNeuron, BatchDropout)


def _names(node: Node) -> tuple[str, ...]:
    """The tensors of the model that a module gives."""
    if isinstance(node.module, InputNeuron):
        return ("spikes",)
    return tuple(name for name in node.output.names() if not name.endswith("madc"))


def _rows(tensor: Tensor | None, begin: int, end: int) -> Tensor | None:
    return None if tensor is None else tensor[begin:end]

"""A graph as it is at one moment, as a function of inputs, states and operands.

Weights, parameters, masks and the chip's data are taken down once. What modules become afterwards, by an optimizer,
another run or a script, does not reach it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from hxtorch.snn import functional as F
from hxtorch.snn.compute.fused_loop import is_plain_neuron, is_plain_readout, is_plain_synapse, joined_loop
from hxtorch.snn.graph.contract import HardwareData, Node, Step
from hxtorch.snn.graph.graph import Graph
from hxtorch.snn.modules.batch_dropout import BatchDropout
from hxtorch.snn.modules.input_neuron import InputNeuron
from hxtorch.snn.modules.neuron import Neuron
from hxtorch.snn.modules.population import Population
from hxtorch.snn.modules.synapse import Synapse
from hxtorch.snn.recording.observables import NeuronData, neuron_data

Tensors = tuple[Tensor, ...]
_Values = dict[int, dict[str, F.Carried]]  # by the id of a handle


Place = tuple[int, str]
"""Which tensor of which handle, by its id. The handles themselves would hold the network that fills them."""


@dataclass(frozen=True)
class _Slot:
    """Stands for an operand, a tensor that gradients flow to."""

    number: int


@dataclass(frozen=True, eq=False)
class _Synapses:
    """A synapse: its weights (out, in) are an operand."""

    source: int
    target: int
    weight: _Slot


@dataclass(frozen=True, eq=False)
class _Passing:
    """An input neuron, which may have recorded spikes of the chip, or a dropout with its mask."""

    source: int
    target: int
    recorded: Tensor | None
    mask: Tensor | None


@dataclass(frozen=True, eq=False)
class _Neurons:
    """A population, or those of a loop as one; `dynamics` has slots in the place of tensors."""

    sources: tuple[tuple[int, ...], ...]
    targets: tuple[int, ...]
    sizes: tuple[int, ...]
    dynamics: F.Dynamics
    recurrent: _Slot | None
    data: tuple[NeuronData, ...]
    masks: tuple[Tensor | None, ...]


class FrozenNetwork:
    """A graph of synapses, neurons, input neurons and dropout as they are. Other modules: ValueError.

    * `operands`: copies of weights and parameters, in the graph of gradients.
    * `shown`: what the last modules give; `hidden`: what the others do.
    """

    def __init__(self, graph: Graph, hw_map: HardwareData) -> None:
        _check(graph)
        self._hw_map = hw_map
        self._inputs: dict[int, F.CarriedSpikes] = {}
        for node, handle in graph.open_inputs:
            given = handle.peek(node.module.input_field or "spikes")
            assert given is not None
            self._inputs[id(handle)] = F.carried_spikes(given)
        self.steps = min(given.shape[0] for given in self._inputs.values())
        self._operands: list[Tensor] = []
        nodes = graph.modules_in_order
        self._ops = [op for step in graph.steps for op in self._frozen(step)]
        read = {id(handle) for node in nodes for handle in node.inputs}
        places = [(id(node.output), name) for node in nodes for name in _names(node)]
        self.shown: tuple[Place, ...] = tuple(place for place in places if place[0] not in read)
        self.hidden: tuple[Place, ...] = tuple(place for place in places if place[0] in read)

    @property
    def operands(self) -> Tensors:
        """Weights and parameters."""
        return tuple(self._operands)

    def rows(self, begin: int, end: int) -> Tensors:
        """The inputs of some time steps; those of which there is a list have no numbers."""
        return tuple(
            given.like[begin:end] if given.is_filled else given.like[begin:end].detach()
            for given in self._inputs.values()
        )

    def compute(
        self, begin: int, end: int, inputs: Tensors, states: Tensors, operands: Tensors
    ) -> tuple[list[F.Carried], list[F.Carried], Tensors]:
        """What the last modules give, what hidden ones do, and the states after the time steps begin..end-1."""
        values: _Values = {}
        for (key, given), rows in zip(self._inputs.items(), inputs, strict=True):
            piece = self._piece(given, rows, begin, end)
            values[key] = {"spikes": piece, "graded_spikes": piece}
        before = iter(states)
        after: list[Tensor] = []
        for op in self._ops:
            if isinstance(op, _Synapses):
                spikes = values[op.source]["spikes"]
                values[op.target] = {"graded_spikes": F.linear_later(spikes, _filled(op.weight, operands))}
            elif isinstance(op, _Passing):
                values[op.target] = _passed(op, values[op.source], begin, end)
            else:
                after.append(_integrated(op, values, begin, end, next(before, None), operands))
        shown, hidden = ([values[key][name] for key, name in places] for places in (self.shown, self.hidden))
        return shown, hidden, tuple(after)

    def _piece(self, given: F.CarriedSpikes, rows: Tensor, begin: int, end: int) -> F.CarriedSpikes:
        index = None if given.is_filled else given.index()
        if index is None:
            return F.CarriedSpikes(rows)
        batch = given.shape[1]
        return F.indexed_spikes(index.part(begin * batch, end * batch), rows.shape)

    def _slot(self, tensor: Tensor) -> _Slot:
        self._operands.append(tensor)
        return _Slot(len(self._operands) - 1)

    def _frozen(self, step: Step) -> list[_Synapses | _Passing | _Neurons]:
        node = step.nodes[0]
        module = node.module
        if any(node.module.remembers for node in step.nodes):
            return [self._neurons(step), *(self._synapses(n) for n in step.nodes if not n.module.remembers)]
        if isinstance(module, BatchDropout):
            return [_Passing(id(node.inputs[0]), id(node.output), None, module.mask.clone())]
        if isinstance(module, InputNeuron):
            return [_Passing(id(node.inputs[0]), id(node.output), self._hw_map.get(module), None)]
        return [self._synapses(node)]

    def _synapses(self, node: Node) -> _Synapses:
        assert isinstance(node.module, Synapse)
        weight = self._slot(node.module.effective_weight.clone())
        return _Synapses(id(node.inputs[0]), id(node.output), weight)

    def _neurons(self, step: Step) -> _Neurons:
        nodes = tuple(node for node in step.nodes if node.module.remembers)
        inside = {id(node.output) for node in step.nodes}
        like = next((self._like(n, h) for n in nodes for h in n.inputs if id(h) not in inside), None)
        data = [neuron_data(self._hw_map.get(node.module)) for node in nodes]
        recurrent = None
        if step.loop:
            loop = joined_loop(step, like, data)
            if loop is None:
                raise ValueError(
                    "This loop of populations cannot be computed in pieces of time. Set `checkpoint_steps` of the "
                    "experiment to None."
                )
            dynamics, recurrent = loop.dynamics, self._slot(loop.recurrent)
        else:
            module = nodes[0].module
            assert isinstance(module, Neuron) and like is not None
            dynamics = module.dynamics(like)
        populations = [node.module for node in nodes]
        return _Neurons(
            tuple(tuple(id(handle) for handle in node.inputs) for node in nodes),
            tuple(id(node.output) for node in nodes),
            tuple(module.size for module in populations if isinstance(module, Population)),
            self._with_slots(dynamics),
            recurrent,
            tuple(data),
            tuple(
                module.mask.clone() if isinstance(module, Population) and module.masks_neurons else None
                for module in populations
            ),
        )

    def _like(self, node: Node, handle: Any) -> Tensor:
        """A tensor of the type of what a population reads from a handle."""
        if id(handle) in self._inputs:
            return self._inputs[id(handle)].like
        source = next(s for h, s in zip(node.inputs, node.predecessors, strict=True) if h is handle)
        assert source is not None and isinstance(source.module, Synapse)
        return source.module.weight

    def _with_slots(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._slot(value)
        if not is_dataclass(value) or isinstance(value, type):
            return value
        return replace(value, **{f.name: self._with_slots(getattr(value, f.name)) for f in fields(value)})


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


def _filled(value: Any, operands: Tensors) -> Any:
    """The same with operands in the place of slots."""
    if isinstance(value, _Slot):
        return operands[value.number]
    if not is_dataclass(value) or isinstance(value, type):
        return value
    return replace(value, **{f.name: _filled(getattr(value, f.name), operands) for f in fields(value)})


def _passed(op: _Passing, before: dict[str, F.Carried], begin: int, end: int) -> dict[str, F.Carried]:
    """What an input neuron or a dropout makes of the spikes in front of it."""
    spikes = before["spikes"]
    if op.recorded is not None:
        spikes = F.CarriedSpikes(F.input_neuron(spikes.values(), op.recorded[begin:end]))
    if op.mask is not None:
        spikes = F.CarriedSpikes(F.batch_dropout(spikes.values(), op.mask))
    return {**before, "spikes": spikes}


def _integrated(
    op: _Neurons, values: _Values, begin: int, end: int, state: Tensor | None, operands: Tensors
) -> Tensor:
    """Compute populations, put what they show into `values`, and return their state after the last step."""
    inputs = [[values[key]["graded_spikes"] for key in keys if key in values] for keys in op.sources]
    dynamics: F.Dynamics = _filled(op.dynamics, operands)
    rows = [(_rows(data.cadc, begin, end), _rows(data.spikes, begin, end)) for data in op.data]
    measured = F.Measured(*(_side_by_side(tensors) for tensors in zip(*rows, strict=True)))
    recurrent = None if op.recurrent is None else _filled(op.recurrent, operands)
    x = inputs[0][0] if len(inputs) == len(inputs[0]) == 1 else F.Carried(_summed(inputs, op.sizes))
    states = F.observe(x, dynamics, measured, recurrent=recurrent, state=state)
    first = 0
    for target, size, mask in zip(op.targets, op.sizes, op.masks, strict=True):
        values[target] = _shown(states, first, size, mask, len(op.sizes) > 1)
        first += size
    assert states.last is not None
    return states.last


def _summed(inputs: list[list[F.Carried]], sizes: tuple[int, ...]) -> Tensor:
    """The input of populations side by side."""
    found = [[item.values() for item in items] for items in inputs]
    given = next(x for tensors in found for x in tensors)
    parts = [
        sum(tensors[1:], start=tensors[0]) if tensors else given.new_zeros((*given.shape[:2], size))
        for tensors, size in zip(found, sizes, strict=True)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def _shown(states: F.Observed, first: int, size: int, mask: Tensor | None, part: bool) -> dict[str, F.Carried]:
    """The observables of a population, a `part` of several or all, by the names in its handle."""
    found: dict[str, F.Carried | None] = {
        "membrane_cadc": states.membrane, "current": states.current, "adaptation_cadc": states.adaptation,
        "spikes": states.spikes,
    }  # fmt: skip
    shown = {name: item for name, item in found.items() if item is not None}
    if part:
        for name, item in shown.items():
            kind = F.CarriedSpikes if name == "spikes" else F.Carried
            shown[name] = kind(item.values().narrow(2, first, size))
    if mask is not None and "spikes" in shown:
        spikes = shown["spikes"].values()
        shown["spikes"] = F.CarriedSpikes(spikes * mask.to(spikes))
    return shown


def _side_by_side(tensors: tuple[Tensor | None, ...]) -> Tensor | None:
    present = [tensor for tensor in tensors if tensor is not None]
    if len(present) < len(tensors):
        return None
    return present[0] if len(present) == 1 else torch.cat(present, dim=2)


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

"""Loops of plain neurons and synapses, integrated in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch
from torch import Tensor

from hxtorch.snn import functional as F
from hxtorch.snn.graph.contract import HardwareData, Node, Step
from hxtorch.snn.handles.handle import SynapseHandle
from hxtorch.snn.modules.neuron import Neuron, ReadoutNeuron
from hxtorch.snn.modules.sparse_synapse import SparseSynapse
from hxtorch.snn.modules.synapse import Synapse
from hxtorch.snn.parameters.parameter import Value
from hxtorch.snn.recording.observables import NeuronData


@dataclass(frozen=True, eq=False)
class Loop:
    """The populations of a loop as one population: its equations and recurrent weights."""

    neurons: tuple[Node, ...]
    dynamics: F.Dynamics
    recurrent: Tensor

    @property
    def sizes(self) -> list[int]:
        """Neurons of each population."""
        return [_neuron(node).size for node in self.neurons]

    def input(self, external: Mapping[int, Tensor]) -> Tensor:
        """The input of all neurons (T, B, N). `external`: graded spikes from outside, by `id` of their handle."""
        inputs = [[external[id(h)] for h in node.inputs if id(h) in external] for node in self.neurons]
        given = next(x for tensors in inputs for x in tensors)
        return _joined([sum(i[1:], start=i[0]) if i else _silence(given, n) for i, n in zip(inputs, self.sizes)])

    def measured(self, data: list[NeuronData]) -> F.Measured:
        """The chip's data of all populations, given by population."""
        return F.Measured(_optional([d.cadc for d in data]), _optional([d.spikes for d in data]))


def joined_loop(step: Step, like: Tensor | None, data: list[NeuronData]) -> Loop | None:
    """The loop of a step as one population; None if it does not consist of plain neurons and synapses.

    `like` is an input of one of its populations from outside, `data` is the chip's by population.
    """
    neurons = [node for node in step.nodes if node.module.remembers]
    synapses = [node for node in step.nodes if not node.module.remembers]
    if not (all(map(is_plain_neuron, neurons)) and all(is_plain_synapse(node) for node in synapses)):
        return None
    if len({(d.cadc is None, d.spikes is None) for d in data}) > 1:
        return None
    own = {id(node.output) for node in step.nodes}
    if like is None or any(id(h) not in own for node in synapses for h in node.inputs):
        return None

    modules = [_neuron(node) for node in neurons]
    sizes = [module.size for module in modules]
    if any(module.adaptive_terms(like) != (None, None) for module in modules):
        return None
    parts = [(membrane, firing) for membrane, firing in (m.equations(like) for m in modules) if firing is not None]
    kinds = {(m.leaky, f.method, f.alpha, f.refractory_steps is None) for m, f in parts}
    if len(parts) < len(modules) or len(kinds) > 1:
        return None
    membrane = _merged([membrane for membrane, _ in parts], sizes, like)
    firing = _merged([firing for _, firing in parts], sizes, like)
    return Loop(
        tuple(neurons),
        F.Dynamics(membrane, firing, dt=modules[0].dt),
        _recurrent_weights(neurons, synapses, sizes, like),
    )


def compute_at_once(step: Step, hw_map: HardwareData) -> bool:
    """Compute a loop and fill its handles if it consists of plain neurons and synapses; else return False."""
    data = [hw_map.get(node.module) or NeuronData() for node in step.nodes if node.module.remembers]
    given = {id(h): h.peek("graded_spikes") for h in step.inputs if isinstance(h, SynapseHandle)}
    external = {key: F.carried(x) for key, x in given.items() if x is not None}
    of_neurons = [
        external[id(h)] for node in step.nodes if node.module.remembers for h in node.inputs if id(h) in external
    ]
    loop = joined_loop(step, of_neurons[0].like if of_neurons else None, data)
    if loop is None:
        return False
    single = len(of_neurons) == 1 and len(loop.neurons) == 1
    x = of_neurons[0] if single else F.Carried(loop.input({k: item.values() for k, item in external.items()}))
    states = F.observe(x, loop.dynamics, loop.measured(data), recurrent=loop.recurrent)
    assert isinstance(states.spikes, F.CarriedSpikes)
    spikes = _spikes_by_population(states.spikes, loop.sizes)
    traces = zip(*(_split(item, loop.sizes) for item in (states.membrane, states.current)), strict=True)
    for node, chip, own, (membrane, current) in zip(loop.neurons, data, spikes, traces, strict=True):
        node.output.put(spikes=own, membrane_cadc=membrane, current=current, membrane_madc=chip.madc)
        _neuron(node).mask_output(node.output)
    for node in step.nodes:
        if not node.module.remembers:
            result = node.module.func(node.inputs)
            assert isinstance(result, SynapseHandle)
            node.output.clone(result)
    return True


def _neuron(node: Node) -> Neuron:
    assert isinstance(node.module, Neuron)
    return node.module


def is_plain_neuron(node: Node) -> bool:
    """Whether a node is a population with the equations of `Neuron`, and no function of its own."""
    return isinstance(node.module, Neuron) and _computes(node, Neuron.forward_func)


def is_plain_readout(node: Node) -> bool:
    """Whether a node is a population with the equations of `ReadoutNeuron`, and no function of its own."""
    return isinstance(node.module, ReadoutNeuron) and _computes(node, ReadoutNeuron.forward_func)


def is_plain_synapse(node: Node) -> bool:
    """Whether a node is a synapse or a sparse one with one input, and no function of its own."""
    known = _computes(node, Synapse.forward_func, SparseSynapse.forward_func)
    return isinstance(node.module, Synapse) and known and len(node.inputs) == 1


def _computes(node: Node, *functions: Callable[..., Any]) -> bool:
    """Whether the module of a node computes one of these functions, and has none set on itself."""
    kind = getattr(type(node.module), "forward_func", None)
    return kind in functions and "forward_func" not in vars(node.module)


def _split(whole: F.Carried, sizes: list[int]) -> list[F.Carried]:
    """The parts of all populations; that of a single one is the whole."""
    if len(sizes) == 1:
        return [whole]
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    return [F.part_of(whole, partial(torch.narrow, dim=2, start=a, length=n)) for a, n in zip(starts, sizes)]


def _spikes_by_population(whole: F.CarriedSpikes, sizes: list[int]) -> list[F.CarriedSpikes]:
    if len(sizes) == 1:
        return [whole]
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    parts = [F.CarriedSpikes(torch.narrow(whole.values(), 2, a, n)) for a, n in zip(starts, sizes)]
    for part in parts:
        part.keep()  # they are views of what backward has saved
    return parts


def _silence(given: Tensor, size: int) -> Tensor:
    return given.new_zeros((*given.shape[:2], size))


def _joined(tensors: list[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors, dim=2)


def _optional(tensors: list[Tensor | None]) -> Tensor | None:
    present = [tensor for tensor in tensors if tensor is not None]
    return _joined(present) if len(present) == len(tensors) else None


def _recurrent_weights(neurons: list[Node], synapses: list[Node], sizes: list[int], like: Tensor) -> Tensor:
    """Weights (N, N) from all neurons of the loop, those of masked ones zero, to all of them."""
    source = {id(node.output): number for number, node in enumerate(neurons)}
    of_synapse = {id(node.output): node for node in synapses}
    rows = []
    for target, size in zip(neurons, sizes, strict=True):
        blocks: list[Tensor | None] = [None] * len(neurons)
        for handle in target.inputs:
            node = of_synapse.get(id(handle))
            if node is None:
                continue
            number, synapse, sender = source[id(node.inputs[0])], node.module, neurons[source[id(node.inputs[0])]]
            assert isinstance(synapse, Synapse) and isinstance(sender.module, Neuron)
            weight = sender.module.masked(synapse.effective_weight.to(like))
            before = blocks[number]
            blocks[number] = weight if before is None else before + weight
        rows.append(
            torch.cat([like.new_zeros((size, n)) if b is None else b for b, n in zip(blocks, sizes)], dim=1)
        )
    return torch.cat(rows)


def _merged(parts: list[Any], sizes: list[int], like: Tensor) -> Any:
    """Parameters of all populations side by side; values that all share stay as they are."""
    if len(parts) == 1:
        return parts[0]
    merged = {}
    for field in fields(parts[0]):
        values = [getattr(part, field.name) for part in parts]
        numbers = not any(isinstance(value, Tensor) for value in values)
        if numbers and all(value == values[0] for value in values):
            merged[field.name] = values[0]
        else:
            merged[field.name] = torch.cat([_per_neuron(v, n, like) for v, n in zip(values, sizes)])
    return type(parts[0])(**merged)


def _per_neuron(value: Value, size: int, like: Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).expand(size)

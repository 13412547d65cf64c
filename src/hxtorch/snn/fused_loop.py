"""Loops of plain neurons and synapses, integrated in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from hxtorch.snn import functional as F
from hxtorch.snn.graph import Node, Step
from hxtorch.snn.handle import SynapseHandle
from hxtorch.snn.modules.base import HXBaseExperimentModule
from hxtorch.snn.modules.neuron import Neuron
from hxtorch.snn.modules.sparse_synapse import SparseSynapse
from hxtorch.snn.modules.synapse import Synapse
from hxtorch.snn.observables import NeuronData
from hxtorch.snn.parameter import Value

HardwareData = Mapping[HXBaseExperimentModule, Any]


def compute_at_once(step: Step, hw_map: HardwareData) -> bool:
    """Compute a loop and fill its handles if it consists of plain neurons and synapses; else return False.

    The populations of the loop become one population, whose recurrent weights are those of all synapses.
    """
    neurons = [node for node in step.nodes if node.module.remembers]
    synapses = [node for node in step.nodes if not node.module.remembers]
    data = [hw_map.get(node.module) or NeuronData() for node in neurons]
    if not (all(map(_is_plain_neuron, neurons)) and all(_is_plain_synapse(node) for node in synapses)):
        return False
    if len({(d.cadc is None, d.spikes is None) for d in data}) > 1:
        return False
    own = {id(node.output) for node in step.nodes}
    external = [[h.graded_spikes for h in n.inputs if id(h) not in own] for n in neurons]  # type: ignore[attr-defined]
    given = next((x for inputs in external for x in inputs), None)
    if given is None or any(id(h) not in own for node in synapses for h in node.inputs):
        return False

    modules = [node.module for node in neurons if isinstance(node.module, Neuron)]
    sizes = [module.size for module in modules]
    x = _joined([sum(i[1:], start=i[0]) if i else _silence(given, n) for i, n in zip(external, sizes)])
    if any(module.adaptive_terms(x) != (None, None) for module in modules):
        return False
    parts = [(membrane, firing) for membrane, firing in (m.equations(x) for m in modules) if firing is not None]
    kinds = {(m.leaky, f.method, f.alpha, f.refractory_steps is None) for m, f in parts}
    if len(parts) < len(modules) or len(kinds) > 1:
        return False
    states = F.integrate(
        x,
        _merged([membrane for membrane, _ in parts], sizes, x),
        _merged([firing for _, firing in parts], sizes, x),
        measured=F.Measured(_optional([d.cadc for d in data]), _optional([d.spikes for d in data])),
        dt=modules[0].dt,
        recurrent=_recurrent_weights(neurons, synapses, sizes, x),
    )
    assert states.spikes is not None
    pieces = zip(*(torch.split(t, sizes, 2) for t in (states.spikes, states.membrane, states.current)), strict=True)
    for node, chip, (spikes, membrane, current) in zip(neurons, data, pieces, strict=True):
        node.output.put(spikes=spikes, membrane_cadc=membrane, current=current, membrane_madc=chip.madc)
        assert isinstance(node.module, Neuron)
        node.module.mask_output(node.output)
    for node in synapses:
        result = node.module.func(node.inputs)
        assert isinstance(result, SynapseHandle)
        node.output.clone(result)
    return True


def _is_plain_neuron(node: Node) -> bool:
    module = node.module
    return (
        isinstance(module, Neuron)
        and type(module).forward_func is Neuron.forward_func
        and "forward_func" not in vars(module)
    )


def _is_plain_synapse(node: Node) -> bool:
    module = node.module
    return (
        isinstance(module, Synapse)
        and type(module).forward_func in (Synapse.forward_func, SparseSynapse.forward_func)
        and "forward_func" not in vars(module)
        and len(node.inputs) == 1
    )


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
    return torch.as_tensor(value).to(like).expand(size)

"""Populations that feed each other in a circle.

The neuron equations (`hxtorch.snn.functional.neuron_model`) move the membrane with the synaptic current of the
step before, so the spikes of step t are known before its inputs are. They run through the synapses of the
loop and arrive in the same step, as they would in a layer behind: a loop has no delay of its own, like the
chip, whose events need some 50 ns. Gradients flow back through all steps (backpropagation through time).

Plain neurons and synapses are integrated in one call, with the weights of the loop as recurrent weights
(`hxtorch.snn.fused_loop`). Modules with a `forward_func` of their own are computed time step by time step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hxtorch.snn.fused_loop import compute_at_once
from hxtorch.snn.graph import Node, Step, arrange
from hxtorch.snn.handle import Handle, SynapseHandle
from hxtorch.snn.modules.base import HXBaseExperimentModule
from hxtorch.snn.modules.population import Population

HardwareData = Mapping[HXBaseExperimentModule, Any]


def compute_loop(step: Step, hw_map: HardwareData) -> None:
    """Compute the nodes of a loop together and fill their handles."""
    if compute_at_once(step, hw_map):
        return
    inside = {id(node) for node in step.nodes}
    neurons = [node for node in step.nodes if node.module.remembers]
    between = [inner.nodes[0] for inner in arrange([n for n in step.nodes if not n.module.remembers])]
    outside = {
        id(handle): _rows(handle, node)
        for node in step.nodes
        for handle, source in zip(node.inputs, node.predecessors, strict=True)
        if source is None or id(source) not in inside
    }
    if not outside:
        raise ValueError("A loop of modules has no input from outside. Give one of its modules an input handle.")
    template = next(iter(outside.values()))
    steps, batch = len(template), int(template[0].shape[0])
    steppers = {id(node.output): _stepper(node, batch, template[0], hw_map) for node in neurons}
    produced: dict[int, list[Handle]] = {id(node.output): [] for node in between}
    for t in range(steps):
        now: dict[int, Tensor] = {key: rows[t] for key, rows in outside.items()}
        for key, stepper in steppers.items():
            now[key] = stepper.spikes(t)
        for node in between:
            handle = _compute_row(node, now)
            produced[id(node.output)].append(handle)
            field = _field_of(handle)
            now[id(node.output)] = getattr(handle, field)[0]
        for node in neurons:
            inputs = [now[id(handle)] for handle in node.inputs]
            steppers[id(node.output)].receive(sum(inputs[1:], start=inputs[0]))
    for node in between:
        handles = produced[id(node.output)]
        for name in handles[0].names():
            if handles[0].holds(name):
                node.output.put(**{name: torch.cat([getattr(handle, name) for handle in handles])})
    for node in neurons:
        node.output.clone(steppers[id(node.output)].result())
        assert isinstance(node.module, Population)
        node.module.mask_output(node.output)


def _rows(handle: Handle, reader: Node) -> tuple[Tensor, ...]:
    field = reader.module.input_field or _field_of(handle)
    tensor = getattr(handle, field)
    assert isinstance(tensor, Tensor)
    return tensor.unbind(0)


def _field_of(handle: Handle) -> str:
    """The first tensor that a handle holds: that of a module between neurons, which has one."""
    return next(name for name in handle.names() if handle.holds(name))


def _compute_row(node: Node, now: Mapping[int, Tensor]) -> Handle:
    """Compute a module without memory for one time step."""
    field = node.module.input_field or "tensor"
    inputs = []
    for handle in node.inputs:
        row = type(handle)()
        row.put(**{field: now[id(handle)].unsqueeze(0)})
        inputs.append(row)
    return node.module.func(tuple(inputs))


def _stepper(node: Node, batch: int, like: Tensor, hw_map: HardwareData) -> _Repeater:
    module = node.module
    assert isinstance(module, Population)
    like = like.new_zeros((batch, module.size), dtype=torch.promote_types(like.dtype, torch.float32))
    data = hw_map.get(module)
    return _Repeater(module, like, data)


class _Repeater:
    """Any population whose spikes depend on earlier inputs alone: every step computes all steps before again.

    Right for every `forward_func`, at a cost that grows with the square of the number of steps.
    """

    def __init__(self, module: Population, like: Tensor, data: Any) -> None:
        self._module, self._like, self._data = module, like, data
        self._inputs: list[Tensor] = []

    def _compute(self, inputs: list[Tensor]) -> Handle:
        return self._module.func((SynapseHandle(torch.stack(inputs)),), hw_data=self._data)

    def spikes(self, t: int) -> Tensor:
        handle = self._compute([*self._inputs, torch.zeros_like(self._like)])
        spikes = getattr(handle, "spikes", None)
        if not isinstance(spikes, Tensor):
            raise ValueError(f"{self._module} is part of a loop, but gives no spikes.")
        return self._module.masked(spikes[t])

    def receive(self, x: Tensor) -> None:
        self._inputs.append(x)

    def result(self) -> Handle:
        return self._compute(self._inputs)

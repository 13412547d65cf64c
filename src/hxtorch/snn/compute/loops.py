"""Populations that feed each other in a circle.

The neuron equations (`functional.model.neuron_model`) move the membrane with the synaptic current of the
step before, so the spikes of step t are known before its inputs are. They run through the synapses of the
loop and arrive in the same step, as they would in a layer behind: a loop has no delay of its own, like the
chip, whose events need some 50 ns. Gradients flow back through all steps (backpropagation through time).

Plain neurons and synapses are integrated in one call, with the weights of the loop as recurrent weights
(`hxtorch.snn.compute.fused_loop`). Modules with a `forward_func` of their own are computed time step by time step
(`hxtorch.snn.compute.steppers`).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hxtorch.snn.compute.fused_loop import compute_at_once
from hxtorch.snn.compute.steppers import Stepper, stepper
from hxtorch.snn.functional.contexts.resumption import CannotResumeError
from hxtorch.snn.graph.contract import HardwareData, Node, Step
from hxtorch.snn.graph.order import arrange
from hxtorch.snn.handles.handle import Handle
from hxtorch.snn.modules.eventprop import EventPropLIF
from hxtorch.snn.modules.population import Population


def compute_loop(step: Step, hw_map: HardwareData) -> None:
    """Compute the nodes of a loop together and fill their handles."""
    if compute_at_once(step, hw_map):
        return
    for node in step.nodes:
        if isinstance(node.module, EventPropLIF):
            raise ValueError(
                f"{node.module} is part of a loop, through which its gradient does not pass. Use LIF and Synapse."
            )
    inside = {id(node) for node in step.nodes}
    outside = {
        id(handle): _rows(handle, node)
        for node in step.nodes
        for handle, source in zip(node.inputs, node.predecessors, strict=True)
        if source is None or id(source) not in inside
    }
    if not outside:
        raise ValueError("A loop of modules has no input from outside. Give one of its modules an input handle.")
    try:
        results = _compute_by_step(step, hw_map, outside, resume=True)
    except CannotResumeError:
        results = _compute_by_step(step, hw_map, outside, resume=False)
    for node, result in zip(step.nodes, results, strict=True):
        node.output.clone(result)
        if isinstance(node.module, Population):
            node.module.mask_output(node.output)


def _compute_by_step(
    step: Step, hw_map: HardwareData, outside: Mapping[int, tuple[Tensor, ...]], resume: bool
) -> list[Handle]:
    """The handles of all nodes, computed time step by time step; `outside` are the rows of handles by their id.

    With `resume` neurons that can do so go on from the step before, and `CannotResumeError` is raised if that turns
    out to differ from the whole; without it they compute all steps again.
    """
    neurons = [node for node in step.nodes if node.module.remembers]
    between = [inner.nodes[0] for inner in arrange([n for n in step.nodes if not n.module.remembers])]
    template = next(iter(outside.values()))
    steps, batch = len(template), int(template[0].shape[0])
    steppers: dict[int, Stepper] = {}
    for node in neurons:
        assert isinstance(node.module, Population)
        like = template[0].new_zeros(
            (batch, node.module.size), dtype=torch.promote_types(template[0].dtype, torch.float32)
        )
        steppers[id(node.output)] = stepper(node.module, like, steps, hw_map.get(node.module), resume)
    produced: dict[int, list[Handle]] = {id(node.output): [] for node in between}
    for t in range(steps):
        now: dict[int, Tensor] = {key: rows[t] for key, rows in outside.items()}
        for key, one in steppers.items():
            now[key] = one.spikes(t)
        for node in between:
            handle = _compute_row(node, now)
            produced[id(node.output)].append(handle)
            field = _field_of(handle)
            now[id(node.output)] = getattr(handle, field)[0]
        for node in neurons:
            inputs = [now[id(handle)] for handle in node.inputs]
            steppers[id(node.output)].receive(t, sum(inputs[1:], start=inputs[0]))
    return [
        steppers[id(node.output)].result() if node.module.remembers else _joined(produced[id(node.output)])
        for node in step.nodes
    ]


def _joined(handles: list[Handle]) -> Handle:
    """One handle with the rows of many."""
    joined = type(handles[0])()
    for name in handles[0].names():
        if handles[0].holds(name):
            joined.put(**{name: torch.cat([getattr(handle, name) for handle in handles])})
    return joined


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

"""Populations that feed each other in a circle, computed time step by time step in plain torch.

The neuron equations (`hxtorch.snn.functional.integration`) move the membrane with the synaptic current of the
step before, so the spikes of step t are known before its inputs are. They run through the synapses of the
loop and arrive in the same step, as they would in a layer behind: a loop has no delay of its own, like the
chip, whose events need some 50 ns. Gradients flow back through all steps (backpropagation through time).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from hxtorch.snn.functional.injection import fit_steps, inject
from hxtorch.snn.functional.surrogate import threshold as spike_function
from hxtorch.snn.graph import Node, Step, arrange
from hxtorch.snn.handle import Handle, SynapseHandle
from hxtorch.snn.modules.base import HXBaseExperimentModule
from hxtorch.snn.modules.neuron import Neuron
from hxtorch.snn.modules.population import Population

HardwareData = Mapping[HXBaseExperimentModule, Any]


class _Stepper(Protocol):
    """A population that is computed one time step at a time."""

    def spikes(self, t: int) -> Tensor:
        """Spikes (B, N) of step t."""
        ...

    def receive(self, x: Tensor) -> None:
        """Take the weighted input spikes (B, N) of the step, after its spikes were asked for."""
        ...

    def result(self) -> Handle:
        """The handle of all steps."""
        ...


def compute_loop(step: Step, hw_map: HardwareData) -> None:
    """Compute the nodes of a loop together and fill their handles."""
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
    steppers = {id(node.output): _stepper(node, steps, batch, template[0], hw_map) for node in neurons}
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


def _stepper(node: Node, steps: int, batch: int, like: Tensor, hw_map: HardwareData) -> _Stepper:
    module = node.module
    assert isinstance(module, Population)
    like = like.new_zeros((batch, module.size), dtype=torch.promote_types(like.dtype, torch.float32))
    data = hw_map.get(module)
    if isinstance(module, Neuron) and type(module).forward_func is Neuron.forward_func:
        return _Integrator(module, like, steps, data)
    return _Repeater(module, like, data)


class _Integrator:
    """The equations of `Neuron`, step by step."""

    def __init__(self, module: Neuron, like: Tensor, steps: int, data: Any) -> None:
        self._module, self._data = module, data
        self._membrane, self._firing = module.equations(like)
        spikes, cadc = (data.spikes, data.cadc) if data is not None else (None, None)
        template = like.new_empty((steps, *like.shape))
        self._v_chip = None if cadc is None else fit_steps(cadc, template).unbind(0)
        self._z_chip = None if spikes is None else fit_steps(spikes, template, repeat_last=False).unbind(0)
        assert self._firing is not None
        self._reset = torch.as_tensor(self._firing.reset).to(like)
        self._v = torch.zeros_like(like) + self._membrane.leak
        self._i = torch.zeros_like(like)
        self._dt = module.dt
        self._decay = 1 - self._dt / self._membrane.tau_syn
        self._rows: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])

    def spikes(self, t: int) -> Tensor:
        membrane, firing = self._membrane, self._firing
        assert firing is not None
        v = self._v + self._dt / membrane.c * (self._i + membrane.g * (membrane.leak - self._v))
        if self._v_chip is not None:
            v = inject(v, self._v_chip[t])
        z = spike_function(v - firing.threshold, firing.method, firing.alpha)
        if self._z_chip is not None:
            z = inject(z, self._z_chip[t])
        if self._v_chip is None:
            v = torch.where(z.bool(), self._reset, v)
        self._v = v
        self._rows[0].append(z)
        self._rows[1].append(v)
        return z

    def receive(self, x: Tensor) -> None:
        self._i = self._i * self._decay + x
        self._rows[2].append(self._i)

    def result(self) -> Handle:
        spikes, membrane, current = (torch.stack(rows) for rows in self._rows)
        handle = self._module.output_type()
        handle.put(spikes=spikes, membrane_cadc=membrane, current=current)
        if self._data is not None:
            handle.put(membrane_madc=self._data.madc)
        return handle


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
        return spikes[t]

    def receive(self, x: Tensor) -> None:
        self._inputs.append(x)

    def result(self) -> Handle:
        return self._compute(self._inputs)

"""From a NIR graph to a network."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.experiment import Experiment, run
from hxtorch.snn.handles.handle import Handle, NeuronHandle
from hxtorch.snn.modules import InputNeuron, Neuron, ReadoutNeuron, SparseSynapse, Synapse
from hxtorch.snn.nir.config import ConversionConfig
from hxtorch.snn.nir.graph import Connection, FlatGraph, flatten
from hxtorch.snn.nir.neurons import (
    LEAK,
    THRESHOLD,
    NeuronSettings,
    fitted,
    settings,
    trace_scale,
    weight_scale,
)
from hxtorch.snn.parameters.parameter import MixedHXModelParameter, on_cpu
from hxtorch.snn.transforms.weight_transforms import linear_saturating
from hxtorch.twin.places.coordinates import MAX_WEIGHT

if TYPE_CHECKING:
    import nir

__all__ = ["ConversionConfig", "NIRNetwork", "from_nir"]


def from_nir(graph: nir.NIRGraph, cfg: ConversionConfig | None = None) -> NIRNetwork:
    """Build the network of a NIR graph.

    Supported are Input, Output, Linear, Affine (its bias is a source that fires in every step), Scale, Flatten,
    Conv1d, Conv2d, SumPool2d, AvgPool2d, CubaLIF, CubaLI, LIF, LI, IF, I, Threshold, parameters that differ from
    neuron to neuron, nested graphs and recurrent connections, with edges in any order. What the chip cannot do
    raises NotImplementedError that names it. `cfg` says how numbers are read; see `ConversionConfig`, above all
    its `time_unit`.

    Convolutions and pooling become sparse synapses, one for each place of the kernel; none is shared, so that a
    training afterwards changes each for itself. Shapes come from the Input and from the nodes themselves.

    The network is called with spikes (T, B, N), see `NIRNetwork`. Its membranes are relative to `v_leak`.
    """
    return NIRNetwork(flatten(graph), cfg or ConversionConfig())


class NIRNetwork(nn.Module):
    """A network made by `from_nir`.

    * `exp`: its experiment. `hxnodes`: its modules by the names of the NIR nodes (dots become underscores).
    * `handles`: after a call the output handles of all populations, with membranes, by name.
    """

    def __init__(self, graph: FlatGraph, cfg: ConversionConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.exp = Experiment(mock=cfg.mock, dt=cfg.dt)
        self.exp.default_execution_instance = ExecutionInstance(cfg.calib_path, input_loopback=cfg.input_loopback)
        self.hxnodes = nn.ModuleDict()
        self.handles: dict[str, Handle] = {}
        self._graph = graph
        self._keys: dict[str, str] = {}
        made = _settings(graph, cfg)
        for name in graph.inputs:
            self._add(name, InputNeuron(graph.sizes[name], self.exp))
        for name, item in made.items():
            self._add(name, self._neurons(graph.sizes[name], item))
        self._synapses: list[tuple[str, str, str]] = []  # source, key, target
        for connection in graph.connections:
            key = self._synapse(connection, made[connection.target])
            self._synapses.append((connection.source, key, connection.target))
        self._biases: list[tuple[str, str]] = []  # key, target
        for target, bias in graph.bias.items():
            self._biases.append((self._synapse(_bias_connection(target, bias), made[target]), target))
        reached = {target for _, _, target in self._synapses} | {target for _, target in self._biases}
        lonely = sorted(set(graph.neurons) - reached)
        if lonely:
            raise ValueError(f"Nothing flows into {lonely}. Connect them, or leave them out.")

    def forward(self, spikes: Mapping[str, Tensor] | Tensor) -> dict[str, Tensor]:
        """Run the network on spikes (T, B, N) by the name of their Input; a tensor alone for the only one.

        Inputs of several dimensions are given as (T, B, *shape). Returns the spikes (T, B, N) of all
        populations that have spikes, inputs included. Wrong names or shapes: ValueError.
        """
        given = {next(iter(self._graph.inputs)): spikes} if isinstance(spikes, Tensor) else dict(spikes)
        if set(given) != set(self._graph.inputs):
            raise ValueError(f"The network has the inputs {sorted(self._graph.inputs)}, got {sorted(given)}.")
        tensors = {name: self._checked(name, tensor) for name, tensor in given.items()}
        steps, batch = next(iter(tensors.values())).shape[:2]
        self.handles = {name: self._node(name)(NeuronHandle(tensor)) for name, tensor in tensors.items()}
        if self._biases:
            always = NeuronHandle(torch.ones(steps, batch, 1, device=self.cfg.device))
            for key, target in self._biases:
                self.handles[target] = self._node(target)(self.hxnodes[key](always))
        waiting = list(self._synapses)
        while waiting:
            ready = [item for item in waiting if item[0] in self.handles]
            if not ready:
                cut_off = sorted({source for source, _, _ in waiting})
                raise ValueError(f"No input reaches {cut_off}: they feed each other only. Connect an input.")
            for source, key, target in ready:
                self.handles[target] = self._node(target)(self.hxnodes[key](self.handles[source]))
            waiting = [item for item in waiting if item not in ready]
        run(self.exp, steps)
        return {
            name: handle.spikes
            for name, handle in self.handles.items()
            if isinstance(handle, NeuronHandle) and handle.holds("spikes")
        }

    def _checked(self, name: str, tensor: Tensor) -> Tensor:
        shape, size = self._graph.inputs[name], self._graph.sizes[name]
        if tensor.ndim < 3 or tuple(tensor.shape[2:]) not in (shape, (1, *shape), (size,)):
            raise ValueError(
                f"The input {name!r} has shape {tuple(tensor.shape)}, expected (time, batch, "
                f"{', '.join(map(str, shape))})."
            )
        return tensor.reshape(*tensor.shape[:2], size).to(self.cfg.device)

    def _add(self, name: str, module: nn.Module) -> str:
        key = name.replace(".", "_")
        while key in self.hxnodes:
            key += "_"
        self.hxnodes[key] = module
        self._keys[name] = key
        return key

    def _node(self, name: str) -> nn.Module:
        return self.hxnodes[self._keys[name]]

    def _neurons(self, size: int, item: NeuronSettings) -> Neuron:
        common: dict[str, Any] = {
            "tau_mem": MixedHXModelParameter(_value(item.tau_mem), _value(item.chip_tau_mem)),
            "tau_syn": MixedHXModelParameter(_value(item.tau_syn), _value(item.chip_tau_syn)),
            "leak": MixedHXModelParameter(0.0, LEAK),
            "trace_scale": _value(trace_scale(self.cfg) * item.distance),
            "cadc_time_shift": int(self.cfg.trace_shift),
            "shift_cadc_to_first": True,
        }
        if not item.spiking:
            return ReadoutNeuron(size, self.exp, **common)
        return Neuron(
            size,
            self.exp,
            threshold=MixedHXModelParameter(_value(item.threshold), THRESHOLD),
            reset=MixedHXModelParameter(_value(item.reset), _value(item.chip_reset)),
            enable_cadc_recording=self.cfg.cadc_recording,
            **common,
        )

    def _synapse(self, connection: Connection, target: NeuronSettings) -> str:
        out, size = connection.weight.shape
        if connection.sparse and not connection.weight.any():
            raise ValueError(f"All weights of {connection.names} are zero. Leave the nodes out.")
        chip_scale = _value(weight_scale(self.cfg) * target.chip_scale)
        if isinstance(chip_scale, Tensor):
            chip_scale = chip_scale[:, None].to(self.cfg.device)
        transform = partial(linear_saturating, scale=chip_scale)
        if connection.sparse:
            exists = on_cpu(connection.weight.T != 0)
            synapse: Synapse = SparseSynapse(exists, self.exp, device=self.cfg.device, transform=transform)
        else:
            synapse = Synapse(size, out, self.exp, device=self.cfg.device, transform=transform)
        weight = target.gain[:, None] * connection.weight
        synapse.weight.data = torch.as_tensor(weight, dtype=torch.float32, device=self.cfg.device)
        name = "+".join(connection.names) or f"{connection.source}->{connection.target}"
        return self._add(name if name not in self._keys else f"{name}->{connection.target}", synapse)


def _bias_connection(target: str, bias: NDArray[np.float64]) -> Connection:
    """Weights (target, 1) of a source that always fires."""
    return Connection("", target, bias[:, None], (f"{target}_bias",))


def _settings(graph: FlatGraph, cfg: ConversionConfig) -> dict[str, NeuronSettings]:
    """Settings of all populations; warns if weights will be clipped on the chip."""
    made = {}
    for name, node in graph.neurons.items():
        item = settings(node, graph.sizes[name], name, cfg)
        parts = [connection.weight for connection in graph.connections if connection.target == name]
        parts += [graph.bias[name][:, None]] if name in graph.bias else []
        largest = (
            np.max([abs(part).max(axis=1) for part in parts], axis=0) if parts else np.zeros(graph.sizes[name])
        )
        item = fitted(item, largest * abs(item.gain * item.chip_scale) * weight_scale(cfg))
        largest = largest * abs(item.gain * item.chip_scale) * weight_scale(cfg)
        if not cfg.mock and (largest > MAX_WEIGHT + 0.5).any():
            warnings.warn(
                f"Weights into {name!r} reach {largest.max():.0f} LSB on the chip and are clipped to {MAX_WEIGHT}. "
                f"With weight_scale={weight_scale(cfg) * MAX_WEIGHT / largest.max():.3g} none would be.",
                stacklevel=4,
            )
        made[name] = item
    return made


def _value(values: NDArray[np.float64]) -> float | Tensor:
    """A number if all neurons have the same, else a tensor (size,)."""
    if np.ptp(values) == 0:
        return float(values.flat[0])
    return on_cpu(values, torch.float32)

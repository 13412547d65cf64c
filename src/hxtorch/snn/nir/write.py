"""From a network to a NIR graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hxtorch.snn.experiment import Experiment
from hxtorch.snn.graph.contract import Member
from hxtorch.snn.graph.last_run import LastRun
from hxtorch.snn.modules import AELIF, LI, InputNeuron, Neuron, ReadoutNeuron, Synapse
from hxtorch.snn.modules.population import Population
from hxtorch.snn.nir.config import TIME_UNITS
from hxtorch.snn.nir.nodes import Library, Node, Shape, import_nir
from hxtorch.snn.parameters.parameter import on_cpu

if TYPE_CHECKING:
    import nir

__all__ = ["SNN", "to_nir"]


class SNN(nn.Module):
    """Base class of networks that `to_nir` can write: it has an experiment `exp`, and `forward` runs it."""

    def __init__(self, dt: float = 1e-6, mock: bool = True, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.exp = Experiment(mock=mock, dt=dt)
        self.dt = dt
        self.device = torch.device(device)


def to_nir(
    snn: nn.Module, input_sample: Tensor | Mapping[str, Tensor], *, time_unit: str | float = "ms"
) -> nir.NIRGraph:
    """Write a network as NIR graph.

    `snn` has an experiment `exp`; it is called once with `input_sample`, and what it ran is written: synapses as
    Linear, spiking neurons as CubaLIF, non-spiking ones as CubaLI. Nodes are called by their number in the
    order of computation, inputs ``s_{node}_{i}``, outputs ``t_{node}``. Time constants are in `time_unit` ("s",
    "ms", "us" or a number of seconds). Modules without counterpart in NIR raise NotImplementedError.
    """
    library = import_nir()
    experiment = getattr(snn, "exp", None)
    if not isinstance(experiment, Experiment):
        raise TypeError("to_nir takes a network with an experiment as its attribute `exp`; see SNN.")
    unit = TIME_UNITS[time_unit] if isinstance(time_unit, str) else float(time_unit)
    with torch.no_grad():
        snn(input_sample)
    if experiment.last_run is None:
        raise ValueError("The network did not run its experiment `exp` when it was called.")
    return _write(library, experiment.last_run, unit)


def _write(library: Library, ran: LastRun, unit: float) -> nir.NIRGraph:
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str]] = []
    names: dict[int, str] = {}
    inputs: dict[Shape, str] = {}  # by their data: one input that feeds several modules is one node
    for index, item in enumerate(ran.modules):
        given = iter(item.given)
        sources = [
            _input(library, nodes, inputs, f"s_{index}_{place}", next(given)) if source is None else source
            for place, source in enumerate(item.sources)
        ]
        if isinstance(item.module, InputNeuron) and isinstance(sources[0], str):
            names[index] = sources[0]  # passes on what it gets
            continue
        names[index] = str(index)
        nodes[names[index]] = _node(library, item.module, unit)
        edges += [(source if isinstance(source, str) else f"#{source}", names[index]) for source in sources]
    edges = [(names[int(a[1:])] if a.startswith("#") else a, b) for a, b in edges]  # loops name later modules
    read = {source for source, _ in edges}
    for index, item in enumerate(ran.modules):
        if names[index] not in read and names[index] == str(index):
            name = f"t_{index}"
            nodes[name] = library.Output(output_type=np.array([item.module.output_size]))
            edges.append((names[index], name))
    return library.NIRGraph(nodes=nodes, edges=edges)


def _input(
    library: Library,
    nodes: dict[str, Node],
    inputs: dict[tuple[int, ...], str],
    name: str,
    given: Mapping[str, Tensor],
) -> str:
    """Name of the input node of a tensor of the user, which is added if it is new."""
    tensor = next(iter(given.values()))
    known = inputs.setdefault((tensor.data_ptr(), *tensor.shape), name)
    if known not in nodes:
        nodes[known] = library.Input(input_type=np.array([tensor.shape[2]]))
    return known


def _node(library: Library, module: Member, unit: float) -> Node:
    if isinstance(module, Synapse):
        return library.Linear(weight=module.weight.detach().cpu().numpy())
    if not isinstance(module, Population) or not isinstance(module, Neuron):
        raise NotImplementedError(f"{module} has no counterpart in NIR. Leave it out, or replace it.")

    def value(name: str) -> NDArray[np.float32]:
        model = on_cpu(module.params[name].model_value).detach().float()
        model = model.mean(0) if model.ndim == 2 else model
        return np.broadcast_to(model.numpy(), (module.size,)).copy()

    common = {
        "tau_mem": value("tau_mem") / unit,
        "tau_syn": value("tau_syn") / unit,
        "r": _resistance(module, value),
        "v_leak": value("leak"),
    }
    if isinstance(module, ReadoutNeuron):
        return library.CubaLI(**common)
    return library.CubaLIF(**common, v_threshold=value("threshold"), v_reset=value("reset"))


def _resistance(module: Population, value: Callable[[str], NDArray[np.float32]]) -> NDArray[np.float32]:
    """`r` of NIR: tau_mem/c where the model follows its capacitance c, else 1, as ``tau_mem dv/dt = -v + i``."""
    tau_mem = value("tau_mem")
    if isinstance(module, AELIF | LI):
        return tau_mem / value("membrane_capacitance")
    return np.ones_like(tau_mem)

"""Spikes in NIR's data format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hxtorch.snn.utils.nir_graph import import_nir

if TYPE_CHECKING:
    import nir


def from_nir_data(data: nir.NIRGraphData, model: Any) -> dict[str, Tensor]:
    """Spikes (T, B, N) of every node of `data`, as float, for `model` (anything with an experiment `exp`).

    Events are put on the grid of the experiment's `dt`, gridded data (B, T, N) is transposed. Times are in
    seconds of the chip. Nested graphs, and observables other than spikes, raise NotImplementedError.
    """
    library = import_nir()
    dt = model.exp.dt
    result = {}
    for name, node in data.nodes.items():
        if isinstance(node, library.NIRGraphData):
            raise NotImplementedError(f"{name!r} is a nested graph. Give the data of one graph alone.")
        others = sorted(set(node.observables) - {"spikes"})
        if others or "spikes" not in node.observables:
            raise NotImplementedError(f"{name!r} holds {sorted(node.observables)}, but only 'spikes' can be read.")
        spikes = node.observables["spikes"]
        if isinstance(spikes, library.EventData):
            array = _gridded(spikes, dt, name)
        elif isinstance(spikes, library.TimeGriddedData):
            if not np.isclose(spikes.dt, dt):
                raise ValueError(f"{name!r} has a time step of {spikes.dt:g} s, the experiment {dt:g} s.")
            array = np.asarray(spikes.data)
        else:
            raise NotImplementedError(f"{name!r} holds {type(spikes).__name__}, expected events or gridded data.")
        result[name] = torch.from_numpy(np.ascontiguousarray(array.transpose(1, 0, 2), dtype=np.float32))
    return result


def _gridded(events: Any, dt: float, name: str) -> Any:
    """Events as (B, T, N); a time belongs to the step that begins at or before it."""
    steps = round(events.t_max / dt)
    grid = np.zeros((*events.idx.shape[:1], steps, events.n_neurons), dtype=bool)
    sample, place = np.nonzero(events.idx >= 0)
    step = np.floor(events.time[sample, place] / dt + 1e-6).astype(int)  # 3e-6 / 1e-6 is 2.9999999999999996
    if step.size and (step.min() < 0 or step.max() >= steps):
        raise ValueError(f"{name!r} has an event outside of its time, 0 to {events.t_max:g} s.")
    grid[sample, step, events.idx[sample, place]] = True
    return grid


def to_nir_data(spikes: Mapping[str, Tensor], model: Any) -> nir.NIRGraphData:
    """Write spikes (T, B, N) by name as gridded boolean data (B, T, N) with the time step of ``model.exp``."""
    library = import_nir()
    nodes = {}
    for name, tensor in spikes.items():
        if tensor.ndim != 3:
            raise ValueError(
                f"The spikes {name!r} have shape {tuple(tensor.shape)}, expected (time, batch, neuron)."
            )
        array = tensor.detach().cpu().numpy().transpose(1, 0, 2) != 0
        nodes[name] = library.NIRNodeData({"spikes": library.TimeGriddedData(array, model.exp.dt)})
    return library.NIRGraphData(nodes)

"""Spikes in NIR's data format."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxtorch.snn.nir.nodes import import_nir
from hxtorch.snn.transforms.arguments import Values, dense_tensor
from hxtorch.snn.transforms.time_grid import check_resolution, first_index, in_steps

if TYPE_CHECKING:
    import nir

_SAME_STEP = 1e-5  # relative; so far apart, time steps print alike


def from_nir_data(data: nir.NIRGraphData, model: Any) -> dict[str, Tensor]:
    """Spikes (T, B, N) of every node of `data`, as float, for `model` (anything with an experiment `exp`).

    Events are put on the grid of the experiment's `dt`, gridded data (B, T, N) is transposed. Times are in
    seconds of the chip. Nested graphs, and observables other than spikes, raise NotImplementedError.

    An event belongs to the step that begins at or before it; one that was meant to be ``k dt`` belongs to step k,
    also where its type rounds it (within two epsilons, relative). Several events of a neuron in one step are one
    spike; with values (``ValuedEventData``), which are kept, they raise ValueError.

    A recording covers ``0 <= t < t_max``, as in NIR itself: its own gridded data has no step at t_max. An event at
    t_max, later, before 0, or at NaN raises ValueError. Where t_max is no whole number of steps, the last one is
    begun: T is the next whole number. The index -1 means that there is no event, whatever the time; other negative
    ones, and indices from n_neurons on, raise ValueError, as does gridded data of another time step or with NaN.
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
            if not math.isclose(spikes.dt, dt, rel_tol=_SAME_STEP):
                raise ValueError(f"{name!r} has a time step of {spikes.dt:g} s, the experiment {dt:g} s.")
            array = np.asarray(spikes.data)
        else:
            raise NotImplementedError(f"{name!r} holds {type(spikes).__name__}, expected events or gridded data.")
        result[name] = torch.from_numpy(np.ascontiguousarray(array.transpose(1, 0, 2), dtype=np.float32))
        if bool(result[name].isnan().any()):
            raise ValueError(f"{name!r} holds NaN. Give numbers, 0 where there is no spike.")
    return result


def _gridded(events: Any, dt: float, name: str) -> NDArray[Any]:
    """Events as (B, T, N): booleans, or the values of events that have some."""
    sample, place, neuron = _entries(events, name)
    end = float(in_steps(torch.tensor(float(events.t_max), dtype=torch.float64), dt))
    if not 0 <= end < math.inf:
        raise ValueError(f"{name!r} has t_max = {events.t_max:g} s. Give the length of the recording.")
    times = dense_tensor(np.asarray(events.time)[sample, place], f"The times of {name!r}")
    steps = in_steps(times, dt)
    outside = ~((steps >= 0) & (steps < end))  # this way round, NaN is outside
    if bool(outside.any()):
        late = first_index(outside)
        raise ValueError(
            f"{name!r} has an event outside of its time, 0 <= t < {events.t_max:g} s: neuron "
            f"{neuron[late[0]]} at {float(times[late]):.9g} s. Leave it out (index -1), or raise t_max."
        )
    check_resolution(times, dt, end, f"The times of {name!r}")
    place_on_grid = sample, steps.long().numpy(), neuron
    values = getattr(events, "value", None)
    grid = np.zeros(
        (len(events.idx), math.ceil(end), int(events.n_neurons)), bool if values is None else np.float32
    )
    if values is None:
        grid[place_on_grid] = True
        return grid
    counts = np.zeros(grid.shape, np.int64)
    np.add.at(counts, place_on_grid, 1)
    if counts.max(initial=0) > 1:
        b, t, n = (int(i[0]) for i in np.nonzero(counts > 1))
        raise ValueError(
            f"{name!r} has {counts[b, t, n]} events with values of neuron {n} in step {t} of sample {b}. "
            f"A step of {dt:g} s holds one: merge them, or take a smaller dt."
        )
    grid[place_on_grid] = np.asarray(values)[sample, place]
    return grid


def _entries(events: Any, name: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Sample, place in the list and neuron of all events; ValueError if there is no such neuron."""
    indices = np.asarray(events.idx)
    if indices.ndim != 2:
        raise ValueError(f"{name!r} has events of shape {indices.shape}, expected (samples, events).")
    if indices.dtype.kind not in "iu" and indices.size:
        raise ValueError(f"{name!r} has indices of type {indices.dtype}, expected integers.")
    wrong = indices[(indices < -1) | (indices >= events.n_neurons)]
    if wrong.size:
        raise ValueError(
            f"{name!r} has an event of neuron {wrong[0]}, but its {events.n_neurons} neurons are "
            f"0..{events.n_neurons - 1}. Mend the index, or n_neurons; -1 means no event."
        )
    sample, place = np.nonzero(indices >= 0)
    return sample, place, indices[sample, place].astype(np.int64)


def to_nir_data(spikes: Mapping[str, Values], model: Any) -> nir.NIRGraphData:
    """Write spikes (T, B, N) by name as gridded boolean data (B, T, N) with the time step of ``model.exp``.

    Spikes are tensors of any layout, arrays or lists; every value other than 0 is a spike, NaN raises ValueError.
    """
    library = import_nir()
    nodes = {}
    for name, values in spikes.items():
        tensor = dense_tensor(values, f"The spikes {name!r}").detach()
        if tensor.ndim != 3:
            raise ValueError(
                f"The spikes {name!r} have shape {tuple(tensor.shape)}, expected (time, batch, neuron)."
            )
        if bool(tensor.isnan().any()):
            raise ValueError(f"The spikes {name!r} hold NaN. Give numbers, 0 where there is no spike.")
        array = (tensor != 0).cpu().numpy().transpose(1, 0, 2)
        nodes[name] = library.NIRNodeData({"spikes": library.TimeGriddedData(array, model.exp.dt)})
    return library.NIRGraphData(nodes)

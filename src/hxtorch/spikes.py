"""Weights and spikes in the list forms that low-level scripts use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxtorch.twin import Recording
from hxtorch.twin.places.coordinates import CIRCUITS


@dataclass(frozen=True)
class Connection:
    """One synapse: `index_pre` and `index_post` are (neuron, compartment), `weight` a number without sign."""

    index_pre: tuple[int, int]
    index_post: tuple[int, int]
    weight: int


def weight_to_connection(weight: ArrayLike, connections: ArrayLike | None = None) -> list[Connection]:
    """List the connections of a weight matrix (post, pre), or of the given pairs alone.

    Without `connections` every entry of the matrix becomes one, row by row. With `connections`
    ``[[post, ...], [pre, ...]]`` there is one weight per pair. Weights are cut to whole numbers and lose their
    sign, which the projection carries. Shapes that do not fit: RuntimeError.

    Examples:
        >>> weight_to_connection([[1, -2]])[1]
        Connection(index_pre=(1, 0), index_post=(0, 0), weight=2)
    """
    values = np.abs(np.trunc(_array(weight)).astype(np.int64))
    if connections is None:
        if values.ndim != 2:
            raise RuntimeError(f"The weights have {values.ndim} dimensions, expected 2 (post, pre).")
        post, pre = np.indices(values.shape).reshape(2, -1)
    else:
        if values.ndim != 1:
            raise RuntimeError(f"The weights have {values.ndim} dimensions, expected 1, one for each connection.")
        if len(connections) != 2:  # type: ignore[arg-type]
            raise RuntimeError("The connections must be two rows of indices, [[post, ...], [pre, ...]].")
        post, pre = (_array(row).astype(np.int64).reshape(-1) for row in connections)  # type: ignore[union-attr]
        if not values.size == post.size == pre.size:
            raise RuntimeError(
                f"There are {values.size} weights for connections with {post.size} targets and {pre.size} "
                "sources. Their numbers must agree."
            )
    return [Connection((int(j), 0), (int(i), 0), int(value)) for i, j, value in zip(post, pre, values.reshape(-1))]


def dense_spikes_to_list(spikes: tuple[ArrayLike, ArrayLike], input_size: int) -> list[list[list[float]]]:
    """Sort spikes, given as arrays (batch, n) of neuron and time, into lists ``[batch][neuron][times]``.

    The order of the times is kept. A neuron outside of ``0..input_size - 1``: RuntimeError.

    Examples:
        >>> dense_spikes_to_list(([[1, 0, 1]], [[5, 6, 7]]), 2)
        [[[6], [5, 7]]]
    """
    index, time = (_array(part) for part in spikes)
    if index.shape != time.shape or index.ndim != 2:
        raise RuntimeError(
            f"Neurons and times have the shapes {index.shape} and {time.shape}, expected (batch, n)."
        )
    if index.size and not 0 <= index.min() <= index.max() < input_size:
        raise RuntimeError(
            f"The spikes name the neurons {index.min()}..{index.max()}, but there are {input_size} inputs."
        )
    result: list[list[list[float]]] = [[[] for _ in range(input_size)] for _ in range(len(index))]
    for entry, neurons, times in zip(result, index.tolist(), time.tolist()):
        for neuron, at in zip(neurons, times):
            entry[int(neuron)].append(at)
    return result


class _Placed(Protocol):
    """Anything that knows the circuits of each population, such as a `hxtorch.mapping.Mapping`."""

    @property
    def circuits(self) -> Mapping[Any, NDArray[np.int64]]: ...


def extract_n_spikes(
    data: Recording,
    network_graph: _Placed,
    runtime: int,
    n_spikes: int | Mapping[Any, int],
    batch_size: int | None = None,
) -> dict[Any, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return the first spikes of every population in a recording, as arrays of neuron and time.

    * `network_graph`: the mapping of the network, which knows the circuits of each population.
    * `runtime`: in cycles of 8 ns, as are the times; later spikes are left out.
    * `n_spikes`: how many spikes of each population, or of the named ones.
    * `batch_size`: None counts up to the last batch entry with a spike.

    Both arrays have shape (batch, n). Fewer spikes are filled up with neuron -1 at time `runtime`.
    """
    populations = network_graph.circuits
    numbers = n_spikes if isinstance(n_spikes, Mapping) else dict.fromkeys(populations, n_spikes)
    if data.spikes is None:
        raise RuntimeError("The recording holds no spikes. Record them with Record(spikes=...).")
    spikes = data.spikes
    batch = batch_size or (int(spikes.entry.max()) + 1 if spikes.entry.size else 1)
    result = {}
    for key, number in numbers.items():
        circuits = np.asarray(populations[key])
        neuron_of = np.full(CIRCUITS, -1, dtype=np.int64)  # a neuron may join several circuits
        neuron_of[circuits.reshape(len(circuits), -1).T] = np.arange(len(circuits))
        neurons = neuron_of[spikes.circuit]
        own = np.flatnonzero((neurons >= 0) & (spikes.time < runtime) & (spikes.entry < batch))
        own = own[np.lexsort((spikes.time[own], spikes.entry[own]))]
        index = np.full((batch, number), -1, dtype=np.int64)
        time = np.full((batch, number), runtime, dtype=np.int64)
        for entry in range(batch):
            first = own[spikes.entry[own] == entry][:number]
            index[entry, : first.size] = neurons[first]
            time[entry, : first.size] = spikes.time[first]
        result[key] = index, time
    return result


def _array(value: Any) -> NDArray[Any]:
    """An array, also of a tensor that needs a gradient."""
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)

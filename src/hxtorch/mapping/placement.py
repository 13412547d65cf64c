"""Placement: which neuron circuit emulates which neuron."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch.mapping.network import MappingError, Network, NeuronPopulation
from hxtorch.twin.coordinates import CIRCUITS

Placement = dict[int, NDArray[np.int64]]


def place(network: Network) -> Placement:
    """Give every neuron a circuit of its own: constrained populations first, the others first fit.

    Returns, per population key, the circuits (size,). Raises `MappingError` if the chip is too small or two
    constraints collide.
    """
    taken = np.zeros(CIRCUITS, dtype=np.bool_)
    owner: dict[int, NeuronPopulation] = {}
    placement: Placement = {}
    for population in network.neurons:
        if population.circuits is None:
            continue
        for circuit in population.circuits:
            if not 0 <= circuit < CIRCUITS:
                raise MappingError(
                    f"{population.name} asks for circuit {circuit}, but the chip has circuits 0 to {CIRCUITS - 1}."
                )
            if taken[circuit]:
                raise MappingError(
                    f"{population.name} asks for circuit {circuit}, which {owner[circuit].name} occupies already. "
                    "Choose disjoint placement constraints."
                )
            taken[circuit], owner[circuit] = True, population
        placement[population.key] = np.asarray(population.circuits, dtype=np.int64)
    for population in network.neurons:
        if population.circuits is not None:
            continue
        free = np.flatnonzero(~taken)
        if free.size < population.size:
            raise MappingError(_too_many_neurons(network))
        placement[population.key] = free[: population.size]
        taken[free[: population.size]] = True
    return placement


def _too_many_neurons(network: Network) -> str:
    needed = sum(p.size for p in network.neurons)
    layers = ", ".join(f"{p.name}: {p.size}" for p in network.neurons)
    runs = -(-needed // CIRCUITS)
    return (
        f"The network needs {needed} neuron circuits, but the chip has {CIRCUITS} ({layers}). "
        f"Smallest change that fits: {needed - CIRCUITS} neurons fewer, or {runs} execution instances of at most "
        f"{CIRCUITS} neurons each."
    )

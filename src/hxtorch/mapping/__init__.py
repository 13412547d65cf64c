"""Mapping: from a network description to placement, routing and the program of a chip."""

from hxtorch.mapping.mapping import Mapping, map_network, merge_events
from hxtorch.mapping.network import InputPopulation, MappingError, Network, NeuronPopulation, Projection

__all__ = [
    "InputPopulation",
    "Mapping",
    "MappingError",
    "Network",
    "NeuronPopulation",
    "Projection",
    "map_network",
    "merge_events",
]

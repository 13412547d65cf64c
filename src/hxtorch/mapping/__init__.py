"""Mapping: from a network description to placement, routing and the program of a chip."""

from hxtorch.mapping.errors import MappingError
from hxtorch.mapping.mapping import Mapping, map_network, merge_events
from hxtorch.mapping.network import (
    Connections,
    InputPopulation,
    Network,
    NeuronPopulation,
    Projection,
    Structure,
)
from hxtorch.mapping.packing import Member
from hxtorch.mapping.partition import Part, by_group, partition
from hxtorch.mapping.placement import place
from hxtorch.mapping.report import MappingReport, report

__all__ = [
    "Connections",
    "InputPopulation",
    "Mapping",
    "MappingError",
    "MappingReport",
    "Member",
    "Network",
    "NeuronPopulation",
    "Part",
    "Projection",
    "Structure",
    "by_group",
    "map_network",
    "merge_events",
    "partition",
    "place",
    "report",
]

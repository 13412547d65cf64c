"""Door of an older path: joined circuits are in `places`, the membranes of a run in `engine`."""

from hxtorch.shapes import BoolArray, IntArray
from hxtorch.twin.engine.membranes import Membranes, membranes_in_use
from hxtorch.twin.places.joined_circuits import lowest_connected, membrane_groups, soma_lines

__all__ = [
    "BoolArray",
    "IntArray",
    "Membranes",
    "lowest_connected",
    "membrane_groups",
    "membranes_in_use",
    "soma_lines",
]

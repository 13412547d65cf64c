"""Door of an older path: `circuits.coupling` finds the conductances, `engine.coupling` lets them act."""

from hxtorch.shapes import Array
from hxtorch.twin.circuits.coupling import Links, icc_conductance, links, no_links, propagators
from hxtorch.twin.engine.coupling import Coupling, couple, no_coupling

__all__ = [
    "Array",
    "Coupling",
    "Links",
    "couple",
    "icc_conductance",
    "links",
    "no_coupling",
    "no_links",
    "propagators",
]

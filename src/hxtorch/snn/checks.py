"""The checks of runs, networks and arguments under one path, for scripts that know it."""

from hxtorch.snn.chip.inputs import check_chip_input
from hxtorch.snn.compute.model_values import check_model
from hxtorch.snn.graph.checks import check_graph
from hxtorch.snn.refusals import all_finite, check_runtime, check_wait, positive_int, warn_user

__all__ = [
    "all_finite",
    "check_chip_input",
    "check_graph",
    "check_model",
    "check_runtime",
    "check_wait",
    "positive_int",
    "warn_user",
]

"""What the membranes of a chip can show: boundaries, threshold, and the scale between weights of model and chip."""

from hxtorch.snn.alignment.dynamic_range.boundary import Boundaries, get_dynamic_range
from hxtorch.snn.alignment.dynamic_range.threshold import Threshold, get_trace_scaling
from hxtorch.snn.alignment.dynamic_range.weight_scaling import WeightScaling, get_weight_scaling

__all__ = [
    "Boundaries",
    "Threshold",
    "WeightScaling",
    "get_dynamic_range",
    "get_trace_scaling",
    "get_weight_scaling",
]

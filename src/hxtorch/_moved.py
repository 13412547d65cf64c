"""Where modules have gone that once had another path: scripts and saved networks keep the old one.

A module that moved as a whole is the same module under both paths. A new name of the old path would be a second
copy of its classes.
"""

from __future__ import annotations

from collections.abc import Mapping

MOVED: Mapping[str, str] = {
    "hxtorch.snn.functional.aelif": "hxtorch.snn.functional.integrators.aelif",
    "hxtorch.snn.functional.eventprop": "hxtorch.snn.functional.integrators.eventprop",
    "hxtorch.snn.functional.eventprop_readout": "hxtorch.snn.functional.integrators.eventprop_readout",
    "hxtorch.snn.functional.fused": "hxtorch.snn.functional.integrators.fused",
    "hxtorch.snn.functional.injection": "hxtorch.snn.functional.gradients.injection",
    "hxtorch.snn.functional.integration": "hxtorch.snn.functional.integrators.integration",
    "hxtorch.snn.functional.mode": "hxtorch.snn.functional.contexts.mode",
    "hxtorch.snn.functional.neuron_model": "hxtorch.snn.functional.model.neuron_model",
    "hxtorch.snn.functional.operators": "hxtorch.snn.functional.integrators.operators",
    "hxtorch.snn.functional.packing": "hxtorch.snn.functional.model.packing",
    "hxtorch.snn.functional.passes": "hxtorch.snn.functional.integrators.forward_backward",
    "hxtorch.snn.functional.reference": "hxtorch.snn.functional.integrators.reference",
    "hxtorch.snn.functional.resumption": "hxtorch.snn.functional.contexts.resumption",
    "hxtorch.snn.functional.spikes": "hxtorch.snn.functional.memory.spikes",
    "hxtorch.snn.functional.stepping": "hxtorch.snn.functional.model.stepping",
    "hxtorch.snn.functional.surrogate": "hxtorch.snn.functional.gradients.surrogate",
    "hxtorch.snn.functional.workspace": "hxtorch.snn.functional.memory.workspace",
    "hxtorch.twin.kernels": "hxtorch._kernels.compilation",
}

"""Where modules have gone that once had another path: scripts and saved networks keep the old one.

A module that moved as a whole is the same module under both paths. A new name of the old path would be a second
copy of its classes.
"""

from __future__ import annotations

from collections.abc import Mapping

MOVED: Mapping[str, str] = {
    "hxtorch.snn.backend.module_manager": "hxtorch.snn.graph.module_manager",
    "hxtorch.snn.calls": "hxtorch.snn.graph.calls",
    "hxtorch.snn.chip_calibration": "hxtorch.snn.chip.calibration",
    "hxtorch.snn.chip_data": "hxtorch.snn.chip.data",
    "hxtorch.snn.chip_network": "hxtorch.snn.chip.network",
    "hxtorch.snn.chip_plan": "hxtorch.snn.chip.plan",
    "hxtorch.snn.chip_run": "hxtorch.snn.chip.run",
    "hxtorch.snn.chip_state": "hxtorch.snn.recording.changes",
    "hxtorch.snn.display": "hxtorch.snn.handles.display",
    "hxtorch.snn.execution_info": "hxtorch.snn.recording.execution_info",
    "hxtorch.snn.failed_circuits": "hxtorch.snn.chip.failed",
    "hxtorch.snn.forward_passes": "hxtorch.snn.graph.forward_passes",
    "hxtorch.snn.frozen": "hxtorch.snn.compute.frozen",
    "hxtorch.snn.fused_loop": "hxtorch.snn.compute.fused_loop",
    "hxtorch.snn.handle": "hxtorch.snn.handles.handle",
    "hxtorch.snn.inputs": "hxtorch.snn.graph.inputs",
    "hxtorch.snn.last_run": "hxtorch.snn.graph.last_run",
    "hxtorch.snn.masks": "hxtorch.snn.modules.masks",
    "hxtorch.snn.model_values": "hxtorch.snn.compute.model_values",
    "hxtorch.snn.neuron_block": "hxtorch.snn.morphology.registers",
    "hxtorch.snn.neuron_parameters": "hxtorch.snn.parameters.table",
    "hxtorch.snn.neuron_placement": "hxtorch.snn.morphology.placement",
    "hxtorch.snn.observables": "hxtorch.snn.recording.observables",
    "hxtorch.snn.parameter": "hxtorch.snn.parameters.parameter",
    "hxtorch.snn.readout_source": "hxtorch.snn.recording.readout_source",
    "hxtorch.snn.recompute": "hxtorch.snn.compute.pieces",
    "hxtorch.snn.recurrence": "hxtorch.snn.compute.loops",
    "hxtorch.snn.steppers": "hxtorch.snn.compute.steppers",
    "hxtorch.snn.steps": "hxtorch.snn.compute.steps",
    "hxtorch.snn.thread_calls": "hxtorch.snn.graph.thread_calls",
    "hxtorch.snn.utils.calib_helper": "hxtorch.snn.legacy.calib_helper",
    "hxtorch.snn.utils.checkpoint": "hxtorch.snn.training.checkpoint",
    "hxtorch.snn.utils.dynamic_range.boundary": "hxtorch.snn.alignment.dynamic_range.boundary",
    "hxtorch.snn.utils.dynamic_range.experiment": "hxtorch.snn.alignment.dynamic_range.whole_chip",
    "hxtorch.snn.utils.dynamic_range.threshold": "hxtorch.snn.alignment.dynamic_range.threshold",
    "hxtorch.snn.utils.dynamic_range.weight_scaling": "hxtorch.snn.alignment.dynamic_range.weight_scaling",
    "hxtorch.snn.utils.from_nir": "hxtorch.snn.nir.read",
    "hxtorch.snn.utils.model_mapper": "hxtorch.snn.training.model_mapper",
    "hxtorch.snn.utils.neurobench": "hxtorch.snn.cost.neurobench",
    "hxtorch.snn.utils.nir_config": "hxtorch.snn.nir.config",
    "hxtorch.snn.utils.nir_convolution": "hxtorch.snn.nir.convolution",
    "hxtorch.snn.utils.nir_data": "hxtorch.snn.nir.data",
    "hxtorch.snn.utils.nir_neurons": "hxtorch.snn.nir.neurons",
    "hxtorch.snn.utils.regularizers": "hxtorch.snn.training.regularizers",
    "hxtorch.snn.utils.tensorboard": "hxtorch.snn.training.tensorboard",
    "hxtorch.snn.utils.to_nir": "hxtorch.snn.nir.write",
    "hxtorch.snn.utils.weights": "hxtorch.snn.alignment.weights",
    "hxtorch.snn.utils.workload": "hxtorch.snn.cost.workload",
    "hxtorch.twin.kernels": "hxtorch._kernels.compilation",
}

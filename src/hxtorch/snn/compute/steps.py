"""Computing a graph, step by step: single modules, wrapped modules and loops."""

from __future__ import annotations

from hxtorch.snn.compute.loops import compute_loop
from hxtorch.snn.graph.contract import HardwareData, Step
from hxtorch.snn.graph.order import arrange


def compute_step(step: Step, hw_map: HardwareData) -> None:
    """Compute the nodes of a step and fill their handles. `hw_map` holds the chip's data by module."""
    if step.wrapper is not None:
        if step.wrapper.has_own_function:
            step.wrapper.exec_step(step, hw_map)
        else:
            for inner in arrange(step.nodes):
                compute_step(inner, hw_map)
    elif step.loop:
        compute_loop(step, hw_map)
    else:
        node = step.nodes[0]
        node.module.exec_forward(node.inputs, node.output, hw_map)

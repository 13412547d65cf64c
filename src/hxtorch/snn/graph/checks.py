"""Whether a network fits together: shapes and values of weights, and what one module hands on to the next."""

from __future__ import annotations

from hxtorch.snn.graph.contract import Member, Node
from hxtorch.snn.graph.graph import Graph
from hxtorch.snn.refusals import all_finite


def check_graph(graph: Graph) -> None:
    """ValueError if a tensor in the network has a shape or values that it cannot be computed with."""
    for node in graph.modules_in_order:
        _check_weights(node.module)
        for source in node.predecessors:
            if source is not None:
                _check_connection(source, node)


def _check_weights(module: Member) -> None:
    for name, parameter in module.named_parameters(recurse=False):
        if not all_finite(parameter):
            raise ValueError(f"The {name} of {module} contains NaN or infinite values. Set finite ones.")


def _check_connection(source: Node, target: Node) -> None:
    field = target.module.input_field
    if field is not None and field not in source.output.names():
        raise ValueError(
            f"{target.module} reads {field}, but {source.module} gives {', '.join(source.output.names())}. "
            "Put a module that gives them in between."
        )
    given, expected = source.module.output_size, target.module.input_size
    if given is not None and expected is not None and given != expected:
        raise ValueError(
            f"{target.module} expects {expected} features, but {source.module} gives {given}. Make the sizes agree."
        )

"""Which module follows which: calls, forward passes, and the graph that they form."""

from hxtorch.snn.graph.contract import Member, Node, Step, Wrapper
from hxtorch.snn.graph.graph import Graph
from hxtorch.snn.graph.order import arrange

__all__ = ["Graph", "Member", "Node", "Step", "Wrapper", "arrange"]

"""Reading a NIR graph: nested graphs are unfolded, and everything linear between two populations is one matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hxtorch.snn.nir.convolution import unrolled
from hxtorch.snn.nir.nodes import (
    INSTEAD,
    KNOWN,
    LINEAR,
    SILENT,
    SPATIAL,
    SPIKING,
    Matrix,
    Node,
    Shape,
    input_shape,
    kind,
    linear,
    shapes_of_parameters,
)

if TYPE_CHECKING:
    import nir


@dataclass(frozen=True, eq=False)
class Connection:
    """Weights from one population to another: ``weight`` (target, source), made of the nodes `names`.

    `sparse`: whether there are synapses only where the weight is not zero, as behind a convolution.
    """

    source: str
    target: str
    weight: Matrix
    names: tuple[str, ...]
    sparse: bool = False


@dataclass(frozen=True, eq=False)
class FlatGraph:
    """A NIR graph as populations and what connects them.

    * `inputs`: name -> shape. `neurons`: name -> NIR node. `sizes`: name -> number of neurons or inputs.
    * `bias`: constant input (target,) of neurons that have one.
    """

    inputs: dict[str, Shape]
    neurons: dict[str, Node]
    sizes: dict[str, int]
    connections: tuple[Connection, ...]
    bias: dict[str, Matrix]


def flatten(graph: nir.NIRGraph) -> FlatGraph:
    """Unfold a graph. What the chip cannot do raises NotImplementedError that names node and reason."""
    nodes, edges = _unfolded(graph)
    unknown = {name: kind(node) for name, node in nodes.items() if kind(node) not in KNOWN}
    if unknown:
        named = ", ".join(f"{name!r} ({text})" for name, text in unknown.items())
        advice = [INSTEAD[text] for text in dict.fromkeys(unknown.values()) if text in INSTEAD]
        raise NotImplementedError(
            " ".join([f"The chip has nothing for the nodes {named}. Known: {', '.join(sorted(KNOWN))}.", *advice])
        )
    reader = _Reader(nodes, edges)
    inputs = {name: input_shape(node) for name, node in nodes.items() if kind(node) == "Input"}
    neurons = {name: node for name, node in nodes.items() if kind(node) in (*SPIKING, *SILENT)}
    if not inputs:
        raise ValueError("The graph has no Input. Add one, so that spikes can be sent.")
    sizes = {name: math.prod(shape) for name, shape in inputs.items()}
    connections: list[Connection] = []
    bias: dict[str, Matrix] = {}
    sizes |= reader.sizes_of(neurons, sizes)
    for name, node in neurons.items():
        terms, constant = reader.incoming(name)
        for term in _merged(terms):
            weight = np.eye(sizes[name]) if term.weight is None else term.weight
            if weight.shape != (sizes[name], sizes[term.source]):
                raise ValueError(
                    f"{name!r} ({kind(node)}) has {sizes[name]} neurons and {term.source!r} {sizes[term.source]}, "
                    f"but the weights between them have shape {weight.shape}."
                )
            connections.append(Connection(term.source, name, weight, term.names, term.sparse))
        if constant is not None and np.any(constant):
            bias[name] = np.broadcast_to(constant, (sizes[name],)).copy()
    for name in nodes:
        if kind(nodes[name]) == "Output":
            reader.check_output(name)
    return FlatGraph(inputs, neurons, sizes, tuple(connections), bias)


def _unfolded(graph: nir.NIRGraph, prefix: str = "") -> tuple[dict[str, Node], list[tuple[str, str]]]:
    """Nodes and edges without nested graphs; their own inputs and outputs are contracted."""
    nodes: dict[str, Node] = {}
    edges = [(prefix + a, prefix + b) for a, b in dict.fromkeys(map(tuple, graph.edges))]
    for name, node in graph.nodes.items():
        if kind(node) != "NIRGraph":
            nodes[prefix + name] = node
            continue
        inner, inner_edges = _unfolded(node, f"{prefix}{name}.")
        entries = [key for key in node.nodes if kind(node.nodes[key]) == "Input"]
        exits = [key for key in node.nodes if kind(node.nodes[key]) == "Output"]
        edges = [(_port(a, prefix + name, exits), _port(b, prefix + name, entries)) for a, b in edges] + inner_edges
        nodes |= inner
        for key in (*entries, *exits):
            port = f"{prefix}{name}.{key}"
            before = [a for a, b in edges if b == port]
            after = [b for a, b in edges if a == port]
            edges = [(a, b) for a, b in edges if port not in (a, b)] + [(a, b) for a in before for b in after]
            del nodes[port]
    missing = sorted({name for edge in edges for name in edge} - set(nodes))
    if missing:
        raise ValueError(f"The graph has edges from or to {missing}, but no such nodes.")
    return nodes, edges


def _port(name: str, graph: str, ports: list[str]) -> str:
    if name != graph:
        return name
    if len(ports) != 1:
        raise NotImplementedError(
            f"The nested graph {graph!r} has {len(ports)} ports of one kind, one is supported."
        )
    return f"{graph}.{ports[0]}"


@dataclass(frozen=True, eq=False)
class _Term:
    """What arrives from one population; no `weight` is the identity."""

    source: str
    weight: Matrix | None
    names: tuple[str, ...]
    sparse: bool = False


def _merged(terms: list[_Term]) -> list[_Term]:
    """Parallel ways from one source are added."""
    merged: dict[str, _Term] = {}
    for term in terms:
        other = merged.get(term.source)
        if other is not None:
            size = next((w.shape[0] for w in (term.weight, other.weight) if w is not None), None)
            a, b = (np.eye(size or 1) if w is None else w for w in (other.weight, term.weight))
            names = tuple(dict.fromkeys(other.names + term.names))
            term = _Term(term.source, a + b if size else 2.0 * a, names, other.sparse and term.sparse)
        merged[term.source] = term
    return list(merged.values())


class _Reader:
    def __init__(self, nodes: dict[str, Node], edges: list[tuple[str, str]]) -> None:
        self._nodes = nodes
        self._asked: set[str] = set()  # nodes whose shape is being looked for
        self._unrolled: dict[str, tuple[Matrix, Matrix | None, Shape]] = {}
        self._before: dict[str, list[str]] = {name: [] for name in nodes}
        for a, b in edges:
            self._before[b].append(a)

    def incoming(self, name: str, inside: tuple[str, ...] = ()) -> tuple[list[_Term], Matrix | None]:
        """What flows into a node: from which populations by which weights, and a constant."""
        terms: list[_Term] = []
        constant: Matrix | None = None
        for before in self._before[name]:
            node = self._nodes[before]
            if kind(node) == "Input" or kind(node) in SPIKING:
                terms.append(_Term(before, None, ()))
                continue
            if kind(node) not in LINEAR:
                raise NotImplementedError(
                    f"{before!r} ({kind(node)}) feeds {name!r}, but the chip sends spikes only. "
                    "Put a spiking node between them, or read it as an Output."
                )
            if before in inside:
                raise NotImplementedError(f"The linear nodes {inside} feed themselves without neurons in between.")
            through, offset = self.incoming(before, (*inside, before))
            matrix, bias = self._linear(before)
            sparse = kind(node) in SPATIAL
            for term in through:
                weight = _product(matrix, term.weight, before)
                kept = term.sparse and kind(node) in ("Scale", "Flatten")
                terms.append(_Term(term.source, weight, (*term.names, before), sparse or kept))
            for part in (bias, None if offset is None else _product(matrix, offset, before)):
                if part is not None:
                    constant = part if constant is None else constant + part
        return terms, constant

    def _linear(self, name: str) -> tuple[Matrix | None, Matrix | None]:
        """Matrix (None: identity) and bias of a linear node."""
        node = self._nodes[name]
        if kind(node) not in SPATIAL:
            return linear(node)
        if name not in self._unrolled:
            self._unrolled[name] = unrolled(node, name, self._arriving(name))
        return self._unrolled[name][:2]

    def _arriving(self, name: str) -> Shape | None:
        """Shape of what flows into a node, None if the graph does not say; ways of different shapes: ValueError."""
        if name in self._asked:  # around a loop; the other ways into the loop have to say it
            return None
        self._asked.add(name)
        shapes = {self._leaving(before) for before in self._before[name]} - {None}
        self._asked.remove(name)
        sizes = {math.prod(shape) for shape in shapes if shape is not None}
        if len(sizes) > 1:
            raise ValueError(f"Values of different shapes flow into {name!r}: {sorted(map(str, shapes))}.")
        return max(shapes, key=lambda shape: len(shape or ()), default=None)

    def _leaving(self, name: str) -> Shape | None:
        """Shape of what a node gives, None if the graph does not say."""
        node = self._nodes[name]
        if kind(node) == "Input":
            return input_shape(node)
        if kind(node) in SPATIAL:
            if name in self._asked:
                return None
            self._linear(name)
            return self._unrolled[name][2]
        if kind(node) in ("Linear", "Affine"):
            return np.asarray(node.weight).shape[:1]
        arriving = self._arriving(name)
        if kind(node) == "Flatten":
            return None if arriving is None else (math.prod(arriving),)
        own = max(shapes_of_parameters(node), key=len, default=())
        return own if len(own) > 1 or (arriving is None and own) else arriving

    def sizes_of(self, neurons: dict[str, Node], inputs: dict[str, int]) -> dict[str, int]:
        """Number of neurons of every population: from its parameters, else from what flows into it."""
        sizes: dict[str, int] = {}
        for _ in range(len(neurons) + 1):
            for name, node in neurons.items():
                if name in sizes:
                    continue
                own = max(map(math.prod, shapes_of_parameters(node)), default=1)
                known = [own] if own > 1 else []
                terms, constant = self.incoming(name)
                known += [term.weight.shape[0] for term in terms if term.weight is not None]
                known += [
                    (sizes | inputs)[t.source] for t in terms if t.weight is None and t.source in sizes | inputs
                ]
                known += [constant.size] if constant is not None and constant.size > 1 else []
                if known:
                    sizes[name] = known[0]
        missing = sorted(set(neurons) - set(sizes))
        if missing:
            raise ValueError(f"Nothing says how many neurons {missing} have, and nothing flows into them.")
        return sizes

    def check_output(self, name: str) -> None:
        """NotImplementedError if an output is fed by something that the chip cannot read out."""
        for before in self._before[name]:
            node = self._nodes[before]
            if kind(node) == "Flatten":
                self.check_output(before)
            elif kind(node) in LINEAR:
                raise NotImplementedError(
                    f"The output {name!r} reads {before!r} ({kind(node)}), but the chip records neurons only. "
                    "Put a LI or CubaLI node in between."
                )


def _product(matrix: Matrix | None, value: Matrix | None, name: str) -> Matrix | None:
    if matrix is None or value is None:
        return value if matrix is None else matrix
    if matrix.shape[1] == 1 and value.shape[0] != 1:  # a Scale of one number for all
        return float(matrix[0, 0]) * value
    if matrix.shape[1] != value.shape[0]:
        raise ValueError(f"{name!r} expects {matrix.shape[1]} values, but gets {value.shape[0]}.")
    return matrix @ value

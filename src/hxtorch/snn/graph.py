"""The network as a graph: nodes, edges, and the order in which they are computed."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from hxtorch.snn.handle import Handle

if TYPE_CHECKING:
    from hxtorch.snn.modules.base import HXBaseExperimentModule
    from hxtorch.snn.modules.wrapper import HXModuleWrapper


@dataclass(eq=False)
class Node:
    """A called module with everything that flows in and the handle that takes its result.

    `predecessors` runs parallel to `inputs`: the node that fills this input, or None if the user gave it. In a run,
    `inputs` of the user are what was taken down of them; `given` are the handles that the module was called with.
    """

    module: HXBaseExperimentModule
    inputs: tuple[Handle, ...]
    output: Handle
    predecessors: tuple[Node | None, ...] = ()
    given: tuple[Handle, ...] = ()

    def __post_init__(self) -> None:
        self.given = self.given or self.inputs

    @property
    def open_inputs(self) -> tuple[Handle, ...]:
        """The inputs that the user gave."""
        return tuple(h for h, source in zip(self.inputs, self.predecessors) if source is None)


@dataclass(frozen=True, eq=False)
class Step:
    """What is computed together: one node, the nodes of a `loop`, or those of a `wrapper`.

    `inputs` are the handles that come from outside of the step, node by node.
    """

    nodes: tuple[Node, ...]
    wrapper: HXModuleWrapper | None = None

    @property
    def loop(self) -> bool:
        """Whether the nodes feed each other in a circle."""
        return self.wrapper is None and (len(self.nodes) > 1 or self.nodes[0] in self.nodes[0].predecessors)

    @property
    def inputs(self) -> tuple[Handle, ...]:
        """Handles from outside of the step."""
        inside = {id(node) for node in self.nodes}
        return tuple(
            handle
            for node in self.nodes
            for handle, source in zip(node.inputs, node.predecessors, strict=True)
            if source is None or id(source) not in inside
        )


@dataclass(frozen=True, eq=False)
class Graph:
    """All calls of one run, in `steps`: each after what it needs, otherwise in the order of the calls."""

    steps: tuple[Step, ...]

    @property
    def structure_key(self) -> Hashable:
        """Equal for graphs in which the same module objects are connected in the same way.

        One input of the user that feeds several modules counts as well. Holding a key keeps its modules alive.
        """
        return _structure_key(self.steps)

    @property
    def modules_in_order(self) -> tuple[Node, ...]:
        """Nodes, each after its predecessors unless they form a circle."""
        return tuple(node for step in self.steps for node in step.nodes)

    @property
    def open_inputs(self) -> tuple[tuple[Node, Handle], ...]:
        """Every handle given by the user, with the node that reads it."""
        return tuple((node, handle) for step in self.steps for node in step.nodes for handle in node.open_inputs)

    def forget_inputs(self) -> None:
        """Let go of what was taken down of the user's inputs: the handles are those of the calls again."""
        for node in self.modules_in_order:
            node.inputs = node.given

    def release(self) -> None:
        """Cut the edges of a graph that is no longer used.

        Otherwise the nodes of a loop would hold each other, and their tensors, until Python looks for such circles.
        """
        for step in self.steps:
            for node in step.nodes:
                node.predecessors = ()


def arrange(nodes: Iterable[Node], wrappers: Iterable[HXModuleWrapper] = ()) -> tuple[Step, ...]:
    """Order nodes in steps, each after those that it needs; inputs from other nodes do not matter.

    Circles through neurons become one step, as do the modules of a wrapper. Other circles: ValueError.
    """
    by_key = {id(node.module): node for node in nodes}
    before = {
        key: [id(s.module) for s in node.predecessors if s is not None and by_key.get(id(s.module)) is s]
        for key, node in by_key.items()
    }
    group = {key: key for key in by_key}  # of every node, named by one of its members
    members: dict[int, list[int]] = {}
    of_wrapper: dict[int, HXModuleWrapper] = {}
    for wrapper in wrappers:
        keys = [id(module) for module in wrapper.modules.values()]
        missing = [name for name, module in wrapper.modules.items() if id(module) not in by_key]
        if missing:
            raise ValueError(f"Module {missing[0]!r} of {type(wrapper).__name__} was not called. Call it first.")
        members[keys[0]], of_wrapper[keys[0]] = keys, wrapper
        group.update(dict.fromkeys(keys, keys[0]))
    if not members and _is_chain(before):
        return tuple(Step((node,)) for node in by_key.values())
    try:
        order = _sorted(group, before)
        circular = any(key in sources and group[key] not in of_wrapper for key, sources in before.items())
    except CycleError:
        circular = True
    if circular:
        for keys in _circles(by_key, before, group):
            if any(group[key] in of_wrapper for key in keys):
                raise _cycle_error(by_key, keys)
            _check_circle(by_key, keys, before)
            members[keys[0]] = keys
            group.update(dict.fromkeys(keys, keys[0]))
        order = _sorted(group, before)
    return tuple(
        Step(tuple(by_key[key] for key in members.get(name, (name,))), of_wrapper.get(name)) for name in order
    )


def _is_chain(before: dict[int, list[int]]) -> bool:
    """Whether every node reads the one before it alone: most networks are built so, and are in order."""
    last: int | None = None
    for key, sources in before.items():
        if sources != ([] if last is None else [last]):
            return False
        last = key
    return True


def _structure_key(steps: tuple[Step, ...]) -> Hashable:
    place: dict[int, int] = {}  # of an output handle, by its id
    for step in steps:
        for node in step.nodes:
            place[id(node.output)] = len(place)
    open_place: dict[int, int] = {}  # of a user's handle, by its id
    parts = []
    for step in steps:
        for node in step.nodes:
            edges = tuple(
                place[id(handle)]
                if id(handle) in place
                else -1 - open_place.setdefault(id(handle), len(open_place))
                for handle in node.given
            )
            parts.append((node.module, edges))
    return tuple(parts)


def _sorted(group: dict[int, int], before: dict[int, list[int]]) -> list[int]:
    """Groups, each after those that it needs. A circle of groups: CycleError."""
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for key, sources in before.items():
        sorter.add(group[key], *(group[s] for s in sources if group[s] != group[key]))
    return list(sorter.static_order())


def _circles(nodes: dict[int, Node], before: dict[int, list[int]], group: dict[int, int]) -> list[list[int]]:
    """Largest sets of nodes that reach each other (strongly connected components), in the order of the calls."""
    after: dict[int, set[int]] = {key: set() for key in nodes}
    for key, sources in before.items():
        for source in sources:
            after[source].add(key)
    for key in nodes:  # a wrapper acts as one node
        after[key] |= {other for other in nodes if group[other] == group[key] != other and other != key}

    def reachable(start: int) -> set[int]:
        seen: set[int] = set()
        todo = [start]
        while todo:
            for key in after[todo.pop()] - seen:
                seen.add(key)
                todo.append(key)
        return seen

    reach = {key: reachable(key) for key in nodes}
    circles: list[list[int]] = []
    done: set[int] = set()
    for key in nodes:
        if key in done or key not in reach[key]:
            continue
        keys = [other for other in nodes if other in reach[key] and key in reach[other]]
        done.update(keys)
        if len({group[k] for k in keys}) > 1 or (len(keys) == 1 and key in before[key]):
            circles.append(keys)
    return circles


def _check_circle(nodes: dict[int, Node], keys: list[int], before: dict[int, list[int]]) -> None:
    """Spikes may run in a circle only through neurons, which see them one time step later."""
    rest = {key for key in keys if not nodes[key].module.remembers}
    try:
        tuple(TopologicalSorter({key: [s for s in before[key] if s in rest] for key in rest}).static_order())
    except CycleError:
        raise _cycle_error(nodes, keys) from None


def _cycle_error(nodes: dict[int, Node], keys: list[int]) -> ValueError:
    names = " -> ".join(type(nodes[key].module).__name__ for key in keys)
    return ValueError(
        "Encountered cyclic dependencies in the network. At the moment, cyclic dependencies are expected to be "
        f"wrapped manually, unless they run through neurons. The cycle is {names}."
    )

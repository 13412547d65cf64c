"""The order of a network: each node after those that it needs, circles through neurons as one step."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter

from hxtorch.snn.graph.contract import Node, Step, Wrapper


def arrange(nodes: Iterable[Node], wrappers: Iterable[Wrapper] = ()) -> tuple[Step, ...]:
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
    of_wrapper: dict[int, Wrapper] = {}
    for wrapper in wrappers:
        keys = [id(module) for module in wrapper.wrapped.values()]
        missing = [name for name, module in wrapper.wrapped.items() if id(module) not in by_key]
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

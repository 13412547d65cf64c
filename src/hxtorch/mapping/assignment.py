"""Search for the class of every source such that no neuron needs more synapses of a class than it has.

The unknowns are the classes of the sources. Every listener (a neuron, or a population whose neurons all hear
the same) has a capacity per class, every class has a number of labels. A greedy pass in the manner of
conditional expectations takes the class that adds least to an exponential cost of filled cells; exchanges
between sources then mend what it left overfull.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import inner_kernel, kernel


class Demand(NamedTuple):
    """What listeners need, as a sparse matrix (listeners, sources) in both directions.

    Entry e asks for `amount[e]` synapses of `source[e]` at `listener[e]`; the entries of source s are
    ``by_source[source_first[s]:source_first[s + 1]]``, those of a listener likewise. `capacity` (listeners,)
    is the number of synapses per class; ``fill_cost[kind[r], load]`` is what a class costs with so many at
    listener r (see `_fill_cost`).
    """

    listener: NDArray[np.int64]
    source: NDArray[np.int64]
    amount: NDArray[np.int64]
    by_source: NDArray[np.int64]
    source_first: NDArray[np.int64]
    by_listener: NDArray[np.int64]
    listener_first: NDArray[np.int64]
    capacity: NDArray[np.int64]
    kind: NDArray[np.int64]
    fill_cost: NDArray[np.float64]


def demand_of(
    listener: NDArray[np.int64],
    source: NDArray[np.int64],
    amount: NDArray[np.int64],
    sources: int,
    capacity: NDArray[np.int64],
) -> Demand:
    """Sort entries by source and by listener."""
    kinds, kind = np.unique(capacity, return_inverse=True)
    most = int(np.bincount(listener, amount).max(initial=0))
    return Demand(
        listener, source, amount,
        np.argsort(source, kind="stable"), np.searchsorted(np.sort(source), np.arange(sources + 1)),
        np.argsort(listener, kind="stable"), np.searchsorted(np.sort(listener), np.arange(capacity.size + 1)),
        capacity, kind, _fill_cost(np.arange(most + 1), kinds[:, None]),
    )  # fmt: skip


def _fill_cost(load: NDArray[np.int64], capacity: NDArray[np.int64]) -> NDArray[np.float64]:
    """Cost of a cell: grows exponentially up to 1 at its capacity, then steeply."""
    beyond = load - capacity
    below = np.exp(np.minimum(beyond, 0) * np.minimum(1.0, 12.0 / capacity))
    return np.where(beyond > 0, 1.0 + 20.0 * beyond, below)


@kernel()
def _draw(state: NDArray[np.uint64], below: int) -> int:
    """A random number ``0..below-1`` of a linear congruential generator, the same on every machine."""
    state[0] = state[0] * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
    drawn: int = np.int64(state[0] >> np.uint64(33)) % below  # type: ignore[assignment]  # to kernels it is one
    return drawn


@inner_kernel()
def _cost_of_adding(demand: Demand, load: NDArray[np.int64], s: int, k: int, sign: int) -> float:
    """Change of the cost if source s joins (+1) or leaves (-1) class k."""
    total = 0.0
    for i in range(demand.source_first[s], demand.source_first[s + 1]):
        e = demand.by_source[i]
        r, d = demand.listener[e], sign * demand.amount[e]
        cost = demand.fill_cost[demand.kind[r]]
        total += cost[load[r, k] + d] - cost[load[r, k]]
    return total


@inner_kernel()
def _add(demand: Demand, load: NDArray[np.int64], s: int, k: int, sign: int) -> None:
    for i in range(demand.source_first[s], demand.source_first[s + 1]):
        e = demand.by_source[i]
        load[demand.listener[e], k] += sign * demand.amount[e]


def greedy(
    demand: Demand,
    allowed: NDArray[np.bool_],
    order: NDArray[np.int64],
    labels: int,
    load: NDArray[np.int64],
    used: NDArray[np.int64],
    chosen: NDArray[np.int64],
) -> int:
    """Choose a class for every source in turn; returns the first source that finds no label, or -1.

    `load` (listeners, classes), `used` (classes,) and `chosen` (sources,) are filled. Most networks need nothing
    else, so this is no kernel: a first mapping then need not wait for the compiler, or for its start.
    """
    listener, amount = demand.listener[demand.by_source], demand.amount[demand.by_source]
    flat, row = demand.fill_cost.reshape(-1), demand.kind * demand.fill_cost.shape[1]
    now = flat[row[:, None] + load]  # cost of every cell
    begin_of = row[listener] + amount  # where in `flat` the costs of a listener begin, with the synapses asked for
    first, forbidden = demand.source_first.tolist(), ~allowed
    for s in order.tolist():
        own = slice(first[s], first[s + 1])
        rows = listener[own]
        cost = (flat[load[rows] + begin_of[own, None]] - now[rows]).sum(axis=0) + 1e-9 * used
        cost[forbidden[s] | (used >= labels)] = np.inf
        best = int(cost.argmin())
        if cost[best] == np.inf:
            return int(s)
        chosen[s] = best
        used[best] += 1
        column = load[:, best]
        np.add.at(column, rows, amount[own])  # a listener may hear a source over several projections
        now[rows, best] = flat[row[rows] + load[rows, best]]
    return -1


def overfull(demand: Demand, load: NDArray[np.int64]) -> int:
    """Synapses beyond the capacity, summed over all cells."""
    return int(np.maximum(load - demand.capacity[:, None], 0).sum())


@inner_kernel()
def _overfull(demand: Demand, load: NDArray[np.int64]) -> int:
    """The same within kernels."""
    total = 0
    for r in range(load.shape[0]):
        for k in range(load.shape[1]):
            total += max(0, load[r, k] - demand.capacity[r])
    return total


@inner_kernel()
def _best_change(
    demand: Demand,
    allowed: NDArray[np.bool_],
    labels: int,
    load: NDArray[np.int64],
    used: NDArray[np.int64],
    chosen: NDArray[np.int64],
    r: int,
    k: int,
    samples: int,
    state: NDArray[np.uint64],
) -> tuple[int, int, int, float]:
    """Cheapest move or swap of a source out of class k at listener r: source, class, partner of a swap, cost.

    The source is -1 where there is none, the partner -1 in a move.
    """
    best_s, best_k, best_t, best_cost = -1, -1, -1, 1e300
    for i in range(demand.listener_first[r], demand.listener_first[r + 1]):
        s = demand.source[demand.by_listener[i]]
        if chosen[s] != k:
            continue
        leaving = _cost_of_adding(demand, load, s, k, -1)
        for other in range(used.size):
            if other == k or not allowed[s, other] or used[other] >= labels:
                continue
            cost = leaving + _cost_of_adding(demand, load, s, other, 1)
            if cost < best_cost:
                best_s, best_k, best_t, best_cost = s, other, -1, cost
        for _ in range(samples):
            t = _draw(state, chosen.size)
            other = chosen[t]
            if other == k or other < 0 or not allowed[s, other] or not allowed[t, k]:
                continue
            cost = leaving + _cost_of_adding(demand, load, s, other, 1)
            if cost > best_cost + 25.0:
                continue
            cost += _cost_of_adding(demand, load, t, other, -1)
            cost += _cost_of_adding(demand, load, t, k, 1)
            if cost < best_cost:
                best_s, best_k, best_t, best_cost = s, other, t, cost
    return best_s, best_k, best_t, best_cost


@inner_kernel()
def _change(
    demand: Demand,
    load: NDArray[np.int64],
    used: NDArray[np.int64],
    chosen: NDArray[np.int64],
    s: int,
    k: int,
    t: int,
) -> None:
    """Move source s to class k; source t, unless it is -1, takes its place."""
    left = chosen[s]
    _add(demand, load, s, left, -1)
    _add(demand, load, s, k, 1)
    chosen[s] = k
    if t >= 0:
        _add(demand, load, t, k, -1)
        _add(demand, load, t, left, 1)
        chosen[t] = left
    else:
        used[left] -= 1
        used[k] += 1


@kernel(allocates=True)
def exchange(
    demand: Demand,
    allowed: NDArray[np.bool_],
    labels: int,
    load: NDArray[np.int64],
    used: NDArray[np.int64],
    chosen: NDArray[np.int64],
    rounds: int,
    samples: int,
    seed: int,
) -> int:
    """Move and swap sources out of overfull cells, for some `rounds`; returns what remains overfull.

    Each round visits all overfull cells and, for each, takes the best of all single moves and of `samples`
    random swaps per source. A worse one is taken now and then to leave a dead end. Rounds that bring next to
    nothing end the search.
    """
    state = np.array([seed], dtype=np.uint64)
    best_left, stalled = _overfull(demand, load), 0
    for _ in range(rounds):
        for r in range(load.shape[0]):
            for k in range(used.size):
                if load[r, k] <= demand.capacity[r]:
                    continue
                s, to, t, cost = _best_change(demand, allowed, labels, load, used, chosen, r, k, samples, state)
                if s >= 0 and (cost < 0 or _draw(state, 100) < 5):
                    _change(demand, load, used, chosen, s, to, t)
        left = _overfull(demand, load)
        if left == 0:
            return 0
        stalled = 0 if left < 0.95 * best_left else stalled + 1
        best_left = min(best_left, left)
        if stalled >= 8:
            break
    return _overfull(demand, load)


@inner_kernel()
def match_listener(
    demand: Demand,
    r: int,
    choices: NDArray[np.int64],
    load: NDArray[np.int64],
    taken: NDArray[np.int64],
    kicks: int,
    state: NDArray[np.uint64],
) -> int:
    """Give every entry of listener r one of the classes that its source has; returns -1 or the entry left over.

    `choices` (sources, copies) holds -1 where there are fewer; `load` (classes,) and `taken` (entries,) are
    filled. An entry without room displaces another one at random, which then looks for a new place.
    """
    capacity = demand.capacity[r]
    load[:] = 0
    begin, end = demand.listener_first[r], demand.listener_first[r + 1]
    for i in range(begin, end):
        taken[demand.by_listener[i]] = -1
    copies = choices.shape[1]
    for i in range(begin, end):
        e: int = demand.by_listener[i]
        for attempt in range(kicks):
            s, amount = demand.source[e], demand.amount[e]
            best, lightest = -1, capacity + 1
            for c in range(copies):
                k = choices[s, c]
                if k >= 0 and load[k] + amount <= capacity and load[k] < lightest:
                    best, lightest = k, load[k]
            if best >= 0:
                taken[e] = best
                load[best] += amount
                break
            if attempt == kicks - 1:
                return e
            many = 0
            while many < copies and choices[s, many] >= 0:
                many += 1
            k = choices[s, _draw(state, many)]
            victim, seen = -1, 0
            for j in range(begin, end):
                other = demand.by_listener[j]
                if taken[other] == k and demand.amount[other] >= amount:
                    seen += 1
                    if _draw(state, seen) == 0:
                        victim = other
            if victim < 0:
                return e
            taken[victim] = -1
            load[k] += amount - demand.amount[victim]
            taken[e] = k
            e = victim
    return -1


@kernel(allocates=True)
def match_all(
    demand: Demand,
    choices: NDArray[np.int64],
    used: NDArray[np.int64],
    labels: int,
    taken: NDArray[np.int64],
    repairs: int,
    seed: int,
) -> int:
    """Match every listener (see `match_listener`); where that fails, move a copy of the source left over.

    Returns the number of listeners that remain unmatched after so many `repairs`.
    """
    state = np.array([seed], dtype=np.uint64)
    listeners, classes = demand.capacity.size, used.size
    waiting = np.arange(listeners)
    queued = np.ones(listeners, dtype=np.bool_)
    count = listeners
    load = np.zeros(classes, dtype=np.int64)
    loads = np.zeros((listeners, classes), dtype=np.int64)
    while count > 0:
        count -= 1
        r = waiting[count]
        queued[r] = False
        left = match_listener(demand, r, choices, load, taken, 400, state)
        loads[r] = load
        if left < 0:
            continue
        if repairs == 0:
            return count + 1
        repairs -= 1
        # any source of this listener whose copy moves to an emptier class makes room
        best, best_cost, best_copy, best_source = -1, 1e300, -1, -1
        for _ in range(16):
            i = demand.listener_first[r] + _draw(state, demand.listener_first[r + 1] - demand.listener_first[r])
            s = demand.source[demand.by_listener[i]]
            copy = _draw(state, choices.shape[1])
            if choices[s, copy] < 0 or choices.shape[1] == 1 or choices[s, 1] < 0:
                continue
            for k in range(classes):
                if used[k] >= labels:
                    continue
                new = True
                for c in range(choices.shape[1]):
                    new = new and choices[s, c] != k
                cost = load[k] - load[choices[s, copy]] + _draw(state, 1000) / 1000
                if new and cost < best_cost:
                    best, best_cost, best_copy, best_source = k, cost, copy, s
        if best < 0:
            return count + 1
        old = choices[best_source, best_copy]
        choices[best_source, best_copy] = best
        used[old] -= 1
        used[best] += 1
        for i in range(demand.source_first[best_source], demand.source_first[best_source + 1]):
            e = demand.by_source[i]
            other = demand.listener[e]
            if (taken[e] == old or other == r) and not queued[other]:
                queued[other] = True
                waiting[count] = other
                count += 1
    return 0

"""Largest random fan-in with which 512 neurons hear N sources on one chip, next to upper bounds.

    python benchmarks/sparse_routing.py [--sources 500 1000 2000] [--seeds 3] [--json docs/data/sparse_routing.json]

Every neuron hears `fan-in` sources, drawn at random for every seed; a fan-in counts as routed if all seeds are.

* One address per source: bounded by expectation (first moment). Over all ways to give the sources classes, the
  expected number of ways that serve 512 random neurons falls below one.
* Several addresses per source (each spike is then sent up to that many times): bounded by the 128 drivers,
  each of which serves one signed input of a neuron.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from pathlib import Path

import numpy as np

from hxtorch._files.whole import write_whole
from hxtorch.mapping import Connections, InputPopulation, MappingError, Network, NeuronPopulation, Projection, place
from hxtorch.mapping.classes import classes
from hxtorch.mapping.routing import Plan, route

NEURONS = 512


def network(sources: int, fan_in: int, seed: int) -> Network:
    rng = np.random.default_rng(seed)
    exists = np.zeros((NEURONS, sources), dtype=bool)
    for row in exists:
        row[rng.choice(sources, fan_in, replace=False)] = True
    return Network(
        (InputPopulation(0, "sources", sources),),
        (NeuronPopulation(1, "neurons", NEURONS),),
        (Projection(0, "synapses", 0, 1, Connections.of(exists)),),
    )


def plan(sources: int, copies: int) -> Plan:
    return Plan(1 << max(0, math.ceil(copies * sources / 256) - 1).bit_length(), copies)


def routes(sources: int, fan_in: int, copies: int, seeds: int) -> tuple[bool, float]:
    """Whether all seeds route, and the longest time (s) one took."""
    longest = 0.0
    for seed in range(seeds):
        task = network(sources, fan_in, seed)
        begin = time.perf_counter()
        try:
            route(task, place(task), (plan(sources, copies),))
        except MappingError:
            return False, time.perf_counter() - begin
        longest = max(longest, time.perf_counter() - begin)
    return True, longest


def first_moment_bound(sources: int, groups: int) -> int:
    """Largest fan-in for which the expected number of serving assignments is at least one."""
    parts = classes(groups)
    sizes = [sources // parts.count + (k < sources % parts.count) for k in range(parts.count)]
    ways = math.lgamma(sources + 1) - sum(math.lgamma(size + 1) for size in sizes)
    product = [1]
    for size in sizes:  # number of source sets of each size with at most so many of every class
        factor = [math.comb(size, j) for j in range(parts.drivers_per_class + 1)]
        longer = [0] * (len(product) + len(factor) - 1)
        for i, a in enumerate(product):
            for j, b in enumerate(factor):
                longer[i + j] += a * b
        product = longer
    best = 0
    for fan_in in range(1, min(len(product), sources + 1)):
        if not product[fan_in]:
            break
        chance = math.log(product[fan_in]) - math.log(math.comb(sources, fan_in))
        if ways + NEURONS * chance >= 0:
            best = fan_in
    return best


def largest(sources: int, copies: int, seeds: int) -> tuple[int, float]:
    low, high, seconds = 1, 128, 0.0
    while low < high:
        middle = (low + high + 1) // 2
        done, took = routes(sources, middle, copies, seeds)
        if done:
            low, seconds = middle, took
        else:
            high = middle - 1
    return low, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", type=int, nargs="+", default=[500, 1000, 2000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    options = parser.parse_args()
    rows = []
    routes(100, 4, 1, 1), routes(100, 4, 2, 1)  # compiles
    print(f"{'sources':>8}{'addresses':>11}{'classes':>9}{'fan-in':>8}{'bound':>7}{'seconds':>9}")
    for sources in options.sources:
        for copies in (1, 2, 4):
            groups = plan(sources, copies).groups
            if groups > 32:
                continue
            found, seconds = largest(sources, copies, options.seeds)
            bound = first_moment_bound(sources, groups) if copies == 1 else 128
            rows.append(
                {"sources": sources, "addresses": copies, "classes": 4 * groups, "fan_in": found, "bound": bound}
                | {"seconds": round(seconds, 2)}
            )
            print(f"{sources:8}{copies:11}{4 * groups:9}{found:8}{bound:7}{seconds:9.2f}", flush=True)
    if options.json is not None:
        found_all = {"machine": f"{os.cpu_count()} cores", "seeds": options.seeds, "largest_random_fan_in": rows}
        write_whole(options.json, json.dumps(found_all, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Measure what synaptic products cost, and fit the constants by which hxtorch chooses between them.

    python benchmarks/product_costs.py [--output FILE]

Dense products and those from indices of spikes, forward and for the gradient of the weights, on one thread, over
shapes and densities that networks have. The constants are nanoseconds per element, fitted so that relative errors
count. "regret" is by how much the products that the constants choose take longer than the faster ones, over all
shapes. Copy the constants to `hxtorch.snn.functional.products.costs.Costs` when they have changed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from hxtorch.snn.functional import products
from hxtorch.snn.functional.memory.spikes import index_of
from hxtorch.snn.functional.memory.workspace import empty

ROWS = (300, 3000, 10_000)
INPUTS = (5, 32, 128, 256, 700)
OUTPUTS = (3, 20, 120, 256, 1024)
DENSITIES = (0.01, 0.05, 0.15)
LARGEST = 4e9  # multiplications of a dense product

# What the time of each product is a sum of: functions of rows, inputs, outputs and spikes.
TERMS: dict[str, dict[str, Callable[[int, int, int, int], float]]] = {
    "dense": {
        "dense_call": lambda r, i, o, s: 1.0,
        "dense_row": lambda r, i, o, s: r * o,
        "dense": lambda r, i, o, s: r * i * o,
    },
    "sum": {
        "sum_call": lambda r, i, o, s: 1.0,
        "sum_row": lambda r, i, o, s: r * o,
        "sum": lambda r, i, o, s: s * o,
        "sum_spike": lambda r, i, o, s: s,
    },
    "dense gradient": {
        "gradient_call": lambda r, i, o, s: 1.0,
        "gradient_row": lambda r, i, o, s: r * (i + o),
        "gradient": lambda r, i, o, s: r * i * o,
    },
    "scatter": {
        "scatter_call": lambda r, i, o, s: 1.0,
        "scatter_weight": lambda r, i, o, s: i * o,
        "scatter": lambda r, i, o, s: s * o,
        "scatter_spike": lambda r, i, o, s: s,
    },
    "index": {
        "index_call": lambda r, i, o, s: 1.0,
        "index_row": lambda r, i, o, s: r,
        "index": lambda r, i, o, s: r * i,
    },
}


def nanoseconds(work: Callable[[], object]) -> float:
    """Median time of one call."""
    work()
    times = []
    for _ in range(7):
        begin = time.perf_counter_ns()
        work()
        times.append(time.perf_counter_ns() - begin)
    return statistics.median(times)


def measure(rows: int, inputs: int, outputs: int, density: float) -> dict[str, float]:
    """Times of all products of one shape, and its number of spikes."""
    generator = torch.Generator().manual_seed(0)
    spikes = (torch.rand(rows, inputs, generator=generator) < density).float()
    weight = torch.randn(outputs, inputs, generator=generator)
    grad = torch.randn(rows, outputs, generator=generator)
    index = index_of(spikes)
    assert index is not None
    return {
        "spikes": index.count,
        "index": nanoseconds(lambda: index_of(spikes.clone())) - nanoseconds(spikes.clone),
        "dense": nanoseconds(lambda: torch.mm(spikes, weight.T, out=empty((rows, outputs)))),
        "sum": nanoseconds(lambda: products.sum_weights(index, weight)),
        "dense gradient": nanoseconds(lambda: grad.T @ spikes),
        "scatter": nanoseconds(lambda: products.sum_gradients(index, grad)),
    }  # fmt: skip


def fit(cases: list[tuple[tuple[int, int, int], dict[str, float]]], product: str) -> dict[str, float]:
    """Constants of one product: least squares of relative errors, none negative."""
    terms = TERMS[product]
    table = np.array([[f(*shape, int(found["spikes"])) for f in terms.values()] for shape, found in cases])
    times = np.array([max(found[product], 100.0) for _, found in cases])
    left, names, values = table / times[:, None], list(terms), np.zeros(len(terms))
    active = list(range(len(names)))
    while active:
        solution = np.linalg.lstsq(left[:, active], np.ones(len(times)), rcond=None)[0]
        if (solution >= 0).all():
            values[active] = solution
            break
        active.pop(int(np.argmin(solution)))
    return dict(zip(names, (float(v) for v in values), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "product_costs.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    shapes = [s for s in itertools.product(ROWS, INPUTS, OUTPUTS) if s[0] * s[1] * s[2] < LARGEST]
    cases = [(shape, measure(*shape, density)) for shape in shapes for density in DENSITIES]
    constants = {}
    for product in TERMS:
        constants |= fit(cases, product)
    costs = products.Costs(**constants)
    regret = {}
    for dense, sparse in (("dense", "sum"), ("dense gradient", "scatter")):
        chosen = best = worst = 0.0
        for (r, i, o), found in cases:
            spikes = int(found["spikes"])
            if sparse == "sum":
                takes = costs.of_sum(r, o, spikes) < costs.of_dense(r, i, o)
            else:
                takes = costs.of_scatter(i, o, spikes) < costs.of_gradient(r, i, o)
            chosen += found[sparse if takes else dense]
            best += min(found[sparse], found[dense])
            worst = max(worst, found[sparse if takes else dense] / min(found[sparse], found[dense]))
        regret[sparse] = {"total": chosen / best - 1, "worst": worst}
    for name, value in constants.items():
        print(f"{name:16} {value:12.4g} ns")
    for name, value in regret.items():
        print(f"{name}: {value['total']:.1%} longer than the best choice, at worst {value['worst']:.2f} times")
    found = {"constants": constants, "regret": regret, "cases": [{"shape": s, **f} for s, f in cases]}
    arguments.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

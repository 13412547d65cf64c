"""Time fits and searches that are written by hand next to stock ones: scipy (not needed elsewhere), networkx.

    python -m pip install scipy; python benchmarks/own_fits.py

* decays: time constants of 256 circuits of a hemisphere, as every run of a calibration fits them;
* exponential: one curve of the MADC, as the measurements of fidelity fit it;
* circles: populations that feed each other, as a partition finds them.

All ways take turns, the smallest CPU times are printed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import networkx
import numpy as np
from scipy.optimize import curve_fit

from hxtorch.calibration.measure import fit_decay
from hxtorch.fidelity.bench import fit_exponential
from hxtorch.mapping import Network, NeuronPopulation, Projection
from hxtorch.mapping.packing import pack

PHASES, CIRCUITS, TAU = 200, 256, 10.0


def decay(time, base, amplitude, log_tau):
    return base + amplitude * np.exp(-time / np.exp(log_tau))


def milliseconds(ways: dict[str, Callable[[], object]], repeats: int = 5) -> dict[str, float]:
    """Smallest CPU time of every way, in turns."""
    best = dict.fromkeys(ways, np.inf)
    for _ in range(repeats):
        for name, way in ways.items():
            begin = time.process_time()
            way()
            best[name] = min(best[name], 1e3 * (time.process_time() - begin))
    return best


def decays() -> dict[str, float]:
    random = np.random.default_rng(0)
    tau = TAU * np.exp(0.1 * random.standard_normal(CIRCUITS))
    moment, number = np.linspace(0.3, 5 * TAU, PHASES), random.integers(1, 20, (PHASES, CIRCUITS))
    value = decay(moment[:, None], 80.0, 60.0, np.log(tau)) + random.standard_normal(number.shape) / np.sqrt(number)
    single, weight = value.astype(np.float32), number.astype(np.float32)

    def own():
        return fit_decay(moment, single, weight, np.full(CIRCUITS, TAU))

    def stock():
        begin = (80.0, 60.0, np.log(TAU))
        fits = [curve_fit(decay, moment, v, begin, sigma=n**-0.5) for v, n in zip(value.T, weight.T)]
        return np.exp([found[2] for found, _ in fits])

    print(f"  largest relative difference {np.abs(own() / stock() - 1).max():.1e}")
    return milliseconds({"own": own, "scipy": stock})


def exponential() -> dict[str, float]:
    moment = np.arange(0, 5, 0.034)
    value = decay(moment, 30.0, 100.0, np.log(0.7)) + np.random.default_rng(0).standard_normal(moment.size)

    def own():
        return fit_exponential(moment, value, 0.1, 20.0)[0]

    def stock():
        return np.exp(curve_fit(decay, moment, value, (30.0, 100.0, np.log(1.4)))[0][2])

    print(f"  relative difference {abs(own() / stock() - 1):.1e}")
    return milliseconds({"own": own, "scipy": stock})


def circles() -> dict[str, float]:
    layers = range(30)
    network = Network(
        neurons=tuple(NeuronPopulation(key, str(key), 1) for key in layers),
        projections=tuple(Projection(key, "", key, key + 1) for key in layers[:-1]),
    )

    def stock():
        graph = networkx.DiGraph((p.pre, p.post) for p in network.projections)
        found = list(networkx.strongly_connected_components(graph))
        return sorted(found, key=lambda keys: len(networkx.ancestors(graph, min(keys))))

    return milliseconds({"own, with all of the packing": lambda: pack(network), "networkx": stock}, 50)


def import_time(module: str) -> float:
    """CPU milliseconds that an import takes beside numpy."""

    def seconds(names: str) -> float:
        code = f"import time; import {names}; print(time.process_time())"
        return min(float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(3))

    return 1e3 * (seconds(f"numpy, {module}") - seconds("numpy"))


def main() -> None:
    """Measure and print."""
    for measure in (decays, exponential, circles):
        print(measure.__name__)
        for name, value in measure().items():
            print(f"  {name}: {value:.2f} ms")
    for module in ("scipy.optimize", "networkx"):
        print(f"import {module}: {import_time(module):.0f} ms")


if __name__ == "__main__":
    main()

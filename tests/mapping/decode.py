"""Reading a mapped network back from the chip's registers, bit by bit and without the mapper's help."""

from __future__ import annotations

import numpy as np
from bench import neurons

from hxtorch.mapping import InputPopulation, Mapping, Network, map_network
from hxtorch.twin import ChipConfig, RoutingConfig


def random_weights(mapping: Mapping, seed: int, low: int = -63, high: int = 63) -> dict[int, np.ndarray]:
    rng = np.random.default_rng(seed)
    sizes = {p.key: p.size for p in mapping.network.populations}
    return {
        p.key: rng.integers(low * p.parallel, high * p.parallel + 1, (sizes[p.post], sizes[p.pre]))
        for p in mapping.network.projections
    }


def passing(config: RoutingConfig, node: tuple[int, int], label: int) -> bool:
    """Whether a crossbar node lets a 14-bit label pass, bit by bit."""
    mask, target = int(config.crossbar_mask[node]), int(config.crossbar_target[node])
    return all(((label & mask) >> i) & 1 == (target >> i) & 1 for i in range(14))


def synapses_of(config: RoutingConfig, node: int, label: int, weights: np.ndarray) -> np.ndarray:
    """Signed weights (512,) that an event of a 14-bit label at a crossbar input meets, read from the registers."""
    driver, sign = np.arange(128), np.array([0, 1, -1])[config.row_mode]
    total = np.zeros((2, 256), dtype=np.int64)
    for side in range(2):
        on_bus = np.array([passing(config, (node, 4 * side + bus), label) for bus in range(4)])
        differ = (label // 64 % 32) ^ (driver // 4)
        rows = np.flatnonzero(np.repeat(on_bus[driver % 4] & (differ & config.driver_mask[side] == 0), 2))
        heard = config.labels[side][rows] == label % 64
        total[side] = (heard * sign[side][rows][:, None] * weights[side][rows].astype(np.int64)).sum(axis=0)
    return total.reshape(512)


def effective(mapping: Mapping, weights: np.ndarray, config: RoutingConfig | None = None) -> dict[int, np.ndarray]:
    """What one spike of every source does, read from the registers: population -> (source, 512) signed weights."""
    config = config or mapping.routing.config
    result = {}
    for population in mapping.network.populations:
        total = np.zeros((population.size, 512), dtype=np.int64)
        for i in range(population.size):
            if isinstance(population, InputPopulation):
                one = np.zeros(1, dtype=np.int64)
                sent = mapping.events(population.key, one, one, one + i)
                for address in sent.addresses[sent.source].tolist():
                    total[i] += synapses_of(config, 8 + address // 2**14, address % 2**14, weights)
            elif population.spiking:
                circuit = int(mapping.circuits[population.key][i, 0])
                output = circuit % 256 // 32
                label = output * 256 + int(mapping.routing.neuron_label[circuit])
                total[i] = synapses_of(config, output, label, weights)
        result[population.key] = total
    return result


def intended(mapping: Mapping, matrices: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """The same from the network and the matrices: population -> (source, post population, neuron)."""
    result = {}
    for pre in mapping.network.populations:
        total = {p.key: np.zeros((pre.size, p.size), dtype=np.int64) for p in mapping.network.neurons}
        for projection in mapping.network.projections:
            if projection.pre != pre.key:
                continue
            matrix = matrices[projection.key]
            if projection.connections is not None:
                exists = np.zeros(matrix.shape, dtype=bool)
                exists[projection.connections.post, projection.connections.pre] = True
                matrix = matrix * exists
            total[projection.post] += matrix.T
        result[pre.key] = total
    return result


def check_synapses(
    mapping: Mapping, matrices: dict[int, np.ndarray], weights: np.ndarray, config: RoutingConfig | None = None
) -> None:
    """Every event meets the synapses of `matrices` (post, pre) by projection, and no others."""
    seen, wanted = effective(mapping, weights, config), intended(mapping, matrices)
    for key, sources in wanted.items():
        left = seen[key].copy()
        for post, matrix in sources.items():
            circuits = mapping.circuits[post]
            np.testing.assert_array_equal(seen[key][:, circuits].sum(axis=-1), matrix)
            left[:, circuits] = 0
        assert not left.any()  # no circuit that belongs to nobody


def check_routing(network: Network, seed: int = 0) -> Mapping:
    """Every event reaches the intended synapses and no other; registers hold what they are given."""
    mapping = map_network(network)
    matrices = random_weights(mapping, seed)
    weights = mapping.weights(matrices)
    check_synapses(mapping, matrices, weights)
    used = np.concatenate([synapses.reshape(-1) for synapses in mapping.routing.synapses.values()])
    used = np.concatenate([used, used + 256])
    assert np.unique(used).size == used.size  # no synapse serves two connections
    assert weights.dtype == np.uint8 and weights.max() <= 63
    assert mapping.routing.addresses.max(initial=0) < 2**16 and mapping.routing.neuron_label.max() < 2**8
    for output in range(8):  # off the chip, every neuron is recognised by its label
        firing = [c for p in network.neurons if p.spiking for c in mapping.main_circuits(p.key).tolist()]
        labels = [int(mapping.routing.neuron_label[c]) for c in firing if c % 256 // 32 == output]
        assert len(set(labels)) == len(labels)
        assert all(passing(mapping.routing.config, (output, 8 + output % 4), 256 * output + x) for x in labels)
    ChipConfig(mapping.neurons(neurons()), routing=mapping.routing.config, weights=weights)
    return mapping

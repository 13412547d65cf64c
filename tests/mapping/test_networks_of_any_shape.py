"""Neurons of several circuits, sparse projections, parallel rows, partitions: all read back from registers."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench import neurons
from decode import check_routing
from hypothesis import given, settings
from hypothesis import strategies as st

from hxtorch.mapping import (
    Connections,
    InputPopulation,
    MappingError,
    Network,
    NeuronPopulation,
    Projection,
    Structure,
    by_group,
    map_network,
    partition,
    place,
)
from hxtorch.mapping.placement import ORDERS
from hxtorch.mapping.routing import RoutingError, route
from hxtorch.twin.circuits import capacitance_of

AUTO = {"structure": None}


def layered(inputs: int, sizes: list[int], recurrent: tuple[int, ...] = (), **options: object) -> Network:
    """Input 0, layers 1, 2, ..., each fed by the one before; those of `recurrent` also by themselves."""
    neurons = tuple(NeuronPopulation(i + 1, f"layer{i + 1}", n, **{**AUTO, **options}) for i, n in enumerate(sizes))
    pairs = [(i, i + 1) for i in range(len(sizes))] + [(i, i) for i in recurrent]
    return Network(
        (InputPopulation(0, "input", inputs),),
        neurons,
        tuple(Projection(k, f"p{k}", pre, post) for k, (pre, post) in enumerate(pairs)),
    )


def sparse(inputs: int, count: int, fan_in: int, seed: int = 0, recurrent: int = 0) -> Network:
    """Every neuron hears `fan_in` random inputs, and `recurrent` random neurons."""
    rng = np.random.default_rng(seed)
    projections = []
    for key, (pre, heard, size) in enumerate(((0, fan_in, inputs), (1, recurrent, count))):
        if heard:
            exists = np.zeros((count, size), dtype=bool)
            for row in exists:
                row[rng.choice(size, heard, replace=False)] = True
            projections.append(Projection(key, f"p{key}", pre, 1, Connections.of(exists)))
    return Network(
        (InputPopulation(0, "input", inputs),), (NeuronPopulation(1, "cells", count),), tuple(projections)
    )


# --- Several circuits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "circuits"),
    [
        (layered(256, [246, 10]), (2, 2)),
        (layered(70, [186, 20], recurrent=(1,)), (2, 2)),
        (layered(784, [64]), (7,)),
        (layered(512, [128]), (4,)),
        (layered(64, [64, 64, 64, 10], recurrent=(1, 2, 3)), (1, 1, 1, 1)),
        (layered(5, [120, 3]), (1, 1)),
        (layered(1024, [60, 10]), (8, 1)),
    ],
    ids=["256-246-10", "70-186-20 recurrent", "784-64", "512-128 full", "deep recurrent", "yin-yang", "wide"],
)
def test_canonical_networks_route_by_themselves(network: Network, circuits: tuple[int, ...]) -> None:
    mapping = check_routing(network)
    assert tuple(mapping.circuits[p.key].shape[1] for p in network.neurons) == circuits


@pytest.mark.parametrize(
    ("structure", "places"),
    [
        (Structure(1), [[0], [1]]),
        (Structure(2), [[0, 256], [1, 257]]),
        (Structure(3), [[0, 256, 1], [257, 2, 258]]),
        (Structure(4), [[0, 256, 1, 257], [2, 258, 3, 259]]),
        (Structure(4, horizontal=True), [[0, 1, 2, 3], [4, 5, 6, 7]]),
    ],
)
def test_circuits_of_a_neuron(structure: Structure, places: list[list[int]]) -> None:
    mapping = check_routing(layered(100, [2], structure=structure))
    assert mapping.circuits[1].tolist() == places


def test_a_group_has_the_membrane_of_one_circuit() -> None:
    """Capacitance and leak of the group are those of the calibrated first circuit; nothing else joins."""
    network = layered(300, [20, 30])
    cells = replace(neurons(), membrane_capacitance=np.full(512, 40), enable_threshold=np.zeros(512, dtype=bool))
    mapping = map_network(network)
    joined = mapping.neurons(cells)
    groups = joined.membrane
    for rows in mapping.circuits.values():
        for circuits in rows:
            members = np.flatnonzero(groups == groups[circuits[0]])
            assert sorted(circuits) == members.tolist()
            total = capacitance_of(joined.membrane_capacitance[members]).sum()
            wanted = float(capacitance_of(np.array(40)))
            conductance = joined.i_bias_leak[members][joined.enable_leak[members]].sum()
            assert total / conductance == pytest.approx(wanted / cells.i_bias_leak[0])
            np.testing.assert_allclose(joined.i_bias_gm_exc[members] / total, cells.i_bias_gm_exc[0] / wanted)
            assert (
                joined.enable_threshold[members].tolist().count(True) == 1 and joined.enable_threshold[circuits[0]]
            )
            assert abs(total - wanted) < 0.02  # pF: half a step of the switched capacitor
    alone = np.setdiff1d(np.arange(512), np.concatenate([rows.reshape(-1) for rows in mapping.circuits.values()]))
    assert (groups[alone] == alone).all()


@st.composite
def _networks(draw: st.DrawFn) -> Network:
    """Layers of 1 to 8 circuits per neuron that fit by count."""
    layers = draw(st.integers(1, 4))
    budget, sizes, structures = 512, [], []
    for i in range(layers):
        circuits = draw(st.integers(1, min(8, budget // (layers - i))))
        horizontal = circuits > 1 and draw(st.booleans())
        # some room is left for neurons that need neighbours
        most = max(1, min(budget // (layers - i) // circuits - 8, 128 * circuits))
        sizes.append(draw(st.integers(1, most)))
        structures.append(Structure(circuits, horizontal))
        budget -= sizes[-1] * circuits
    fan_in = [128 * s.size for s in structures]
    inputs = draw(st.integers(1, min(400, fan_in[0])))
    sources = [inputs, *sizes]
    pairs = [(i, i + 1) for i in range(layers) if sources[i] <= fan_in[i]]
    recurrent = [
        (i + 1, i + 1) for i in range(layers) if sources[i] + sizes[i] <= 0.7 * fan_in[i] and draw(st.booleans())
    ]
    neurons = tuple(
        NeuronPopulation(i + 1, f"layer{i + 1}", n, structure=s, spiking=i + 1 < layers or bool(recurrent))
        for i, (n, s) in enumerate(zip(sizes, structures, strict=True))
    )
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    projections = []
    for key, (pre, post) in enumerate([*pairs, *recurrent]):
        exists = None
        if draw(st.booleans()):
            exists = Connections.of(rng.random((sources[post], sources[pre])) < 0.2)
        projections.append(Projection(key, f"p{key}", pre, post, exists))
    return Network((InputPopulation(0, "input", inputs),), neurons, tuple(projections))


@settings(max_examples=12, deadline=None)
@given(network=_networks(), seed=st.integers(0, 1000))
def test_random_networks(network: Network, seed: int) -> None:
    check_routing(network, seed)


def test_large_neurons_get_room_though_small_ones_come_first() -> None:
    """First fit would fill the top row with single circuits and leave no column for pairs."""
    network = layered(10, [200, 100])
    mapping = check_routing(network)
    assert mapping.circuits[2].shape == (100, 2)
    with pytest.raises(MappingError, match=r"600 neuron circuits, but the chip has 512 .*2 execution"):
        map_network(layered(10, [600]))


@pytest.mark.parametrize(
    "shapes",
    [
        # 23 neurons in the top row would leave 72 whole columns, of which 24 of the 36 others take three each
        [(23, Structure(8, horizontal=True)), (36, Structure(6))],
        # 505 of 512 circuits, with one column shared by two neurons
        [(27, Structure(6, horizontal=True)), (29, Structure(5)), (33, Structure(6))],
        # rows of two lengths
        [(43, Structure(3, horizontal=True)), (14, Structure(7, horizontal=True)), (86, Structure(3))],
        [(90, Structure(1)), (23, Structure(8, horizontal=True)), (37, Structure(6))],
    ],
    ids=["a row", "nearly full", "two lengths", "single ones"],
)
def test_one_shape_does_not_cut_the_room_of_another(shapes: list[tuple[int, Structure]]) -> None:
    """Every order of placement leaves enough circuits here, but in pieces; packed by shape they fit."""
    neurons = tuple(NeuronPopulation(i + 1, f"layer{i + 1}", n, structure=s) for i, (n, s) in enumerate(shapes))
    projections = tuple(Projection(i, f"p{i}", i, i + 1) for i in range(len(shapes)))
    network = Network((InputPopulation(0, "input", 1),), neurons, projections)
    for order in ORDERS:
        with pytest.raises(MappingError, match=r"free circuits side by side"):
            place(network, order=order)
    check_routing(network)


def test_neurons_are_spread_over_the_buses_if_first_fit_leaves_no_way() -> None:
    """First fit puts all 64 sources of the last layer behind outputs 0 and 4, which share one bus of 32 drivers."""
    sizes = {1: 32, 2: 96, 3: 32, 4: 10}
    network = Network(
        (InputPopulation(0, "input", 20),),
        tuple(NeuronPopulation(key, f"cells{key}", size) for key, size in sizes.items()),
        tuple(Projection(k, f"p{k}", *pair) for k, pair in enumerate([(0, 1), (0, 2), (0, 3), (1, 4), (3, 4)])),
    )
    with pytest.raises(RoutingError, match="do not all find a way to cells4"):
        route(network, place(network))
    check_routing(network)


def test_joined_circuits_must_be_neighbours() -> None:
    for circuits in ((0, 2), (0, 257), (255, 256, 511)):
        population = NeuronPopulation(1, "cells", 1, circuits=(circuits,))
        network = Network((InputPopulation(0, "i", 3),), (population,), (Projection(0, "p", 0, 1),))
        if circuits == (255, 256, 511):
            with pytest.raises(MappingError, match="only neighbours"):
                map_network(network)
            continue
        with pytest.raises(MappingError, match=rf"cells asks for a neuron on the circuits \[0, {circuits[1]}\]"):
            map_network(network)


# --- Sparse and parallel ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("inputs", "fan_in", "addresses"), [(1000, 32, 1), (500, 90, 1), (1000, 110, 2)])
def test_sparse_projections_share_rows(inputs: int, fan_in: int, addresses: int) -> None:
    mapping = check_routing(sparse(inputs, 512, fan_in))
    assert mapping.routing.input_sources[0].shape == (inputs, addresses)


def test_sparse_recurrence_of_the_whole_chip() -> None:
    check_routing(sparse(300, 512, 16, recurrent=16))


@settings(max_examples=6, deadline=None)
@given(st.integers(2, 600), st.integers(1, 300), st.floats(0.01, 0.1), st.integers(0, 99))
def test_random_sparse_networks(inputs: int, count: int, density: float, seed: int) -> None:
    check_routing(sparse(inputs, count, min(128, max(1, int(density * inputs))), seed))


def test_parallel_rows_carry_large_weights() -> None:
    network = layered(20, [30])
    network = replace(network, projections=(replace(network.projections[0], parallel=3),))
    mapping = check_routing(network)
    with pytest.raises(ValueError, match=r"beyond \+-189, the range of a synapse of 3 parallel rows"):
        mapping.weights({0: np.full((30, 20), 190)})
    with pytest.raises(MappingError, match=r"150 signed inputs.*p0: 50 x 3.*22 inputs fewer, or 2 circuits"):
        wide = layered(50, [30], structure=Structure(1))
        map_network(replace(wide, projections=(replace(wide.projections[0], parallel=3),)))


def test_what_no_routing_can_serve_is_refused() -> None:
    with pytest.raises(MappingError, match="129 signed inputs"):
        map_network(sparse(1000, 512, 129))


def test_more_inputs_than_a_chip_has() -> None:
    with pytest.raises(MappingError, match=r"layer1 needs 70000 signed inputs and with them 547 circuits.*65536"):
        map_network(layered(70_000, [1]))


def test_a_source_heard_over_two_projections() -> None:
    """Two synapses each of 60 sources fill 120 inputs; 5 more sources of another kind fit, 9 do not."""
    rng = np.random.default_rng(0)

    def network(others: int) -> Network:
        exists = Connections.of(rng.random((40, 60)) < 0.5)
        return Network(
            (InputPopulation(0, "input", 60), InputPopulation(1, "others", others)),
            (NeuronPopulation(2, "dense", 30), NeuronPopulation(3, "sparse", 40)),
            tuple(
                Projection(key, f"p{key}", *place)
                for key, place in enumerate([(0, 2), (0, 2), (1, 2), (0, 3, exists), (0, 3, exists)])
            ),
        )

    check_routing(network(5))
    with pytest.raises(MappingError, match=r"dense needs 129 signed inputs"):
        map_network(network(9))


MAPS = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1:]
from test_networks_of_any_shape import layered, map_network, sparse
for network in (layered(256, [246, 10]), layered(70, [186, 20], recurrent=(1,)), sparse(1000, 512, 32)):
    map_network(network)
"""


def test_most_networks_are_mapped_without_compiled_code(tmp_path: Path) -> None:
    """So the first mapping in a process, or on a machine, is as quick as any other."""
    here = Path(__file__).parent
    command = [sys.executable, "-c", MAPS, str(here), str(here.parent / "twin")]
    subprocess.run(command, check=True, env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)})
    assert [path.parent.name for path in tmp_path.glob("**/*.nbi")] == []


# --- Partitions ---------------------------------------------------------------------------------------------


def covered(parts, key: int) -> list[int]:
    return [n for part in parts for m in part.members.values() if m.key == key for n in range(m.start, m.stop)]


def test_a_network_that_fits_is_one_part() -> None:
    (part,) = partition(layered(256, [246, 10]))
    assert part.network.neurons[0].size == 246


@pytest.mark.parametrize(
    ("network", "runs"),
    [
        (layered(784, [256, 10]), 4),  # the formula gives 4 for the hidden layer and 1 for the output
        (layered(784, [256, 10], structure=Structure(8)), 5),
        (layered(256, [500, 400, 10]), 6),
        (layered(100, [2000]), 4),
    ],
    ids=["784-256-10", "784-256-10 with 8 circuits", "deep", "wide"],
)
def test_partition(network: Network, runs: int) -> None:
    parts = partition(network)
    assert len(parts) == runs
    for population in network.neurons:
        assert covered(parts, population.key) == list(range(population.size))
    for number, part in enumerate(parts):
        check_routing(part.network)
        for member in part.forwarded.values():  # spikes come from runs before
            assert any(member == other for earlier in parts[:number] for other in earlier.members.values())
    for projection in network.projections:  # every synapse once
        pre, post = (network.population(k).size for k in (projection.pre, projection.post))
        count = np.zeros((post, pre), dtype=int)
        for part in parts:
            for cut in part.projections.values():
                if cut.key == projection.key:
                    count[slice(*cut.post), slice(*cut.pre)] += 1
        assert (count == 1).all()


@pytest.mark.long
def test_a_partition_gives_neurons_more_circuits_where_nothing_else_routes() -> None:
    """128 of 3,000 inputs for each of 512 neurons: two runs of 256 neurons with two circuits each."""
    network = sparse(3000, 512, 128)
    parts = partition(replace(network, neurons=(replace(network.neurons[0], structure=None),)))
    assert [check_routing(part.network).circuits[0].shape for part in parts] == [(256, 2), (256, 2)]


def test_circles_are_not_divided() -> None:
    parts = partition(layered(784, [60, 150, 10], recurrent=(2,)))
    assert next(iter(parts[1].members.values())).key == 2
    with pytest.raises(MappingError, match=r"layer1 feeds back and must run at once, which needs 1600 circuits"):
        partition(layered(50, [400], recurrent=(1,)))


def test_groups_by_hand() -> None:
    network = layered(10, [20, 30, 5])
    first, second = by_group(network, {1: 7, 2: 5, 3: 5})
    assert [m.key for m in first.members.values()] == [1]
    assert [(m.key, m.size) for m in second.forwarded.values()] == [(1, 20)]
    # layers 1 and 3 on one instance, 2 between them on another
    with pytest.raises(MappingError, match=r"layer1, layer2, layer3 need each other's spikes"):
        by_group(network, {1: 7, 2: 5, 3: 7})

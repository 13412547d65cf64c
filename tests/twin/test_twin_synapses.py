"""Labels, masks and row modes against a decoder that follows the register descriptions literally."""

from __future__ import annotations

import numpy as np
from bench import CYCLE, DRIVE, decode, double_exponential, ideal, neurons
from hypothesis import given, settings
from hypothesis import strategies as st

from hxtorch.twin import ChipConfig, Die, InputEvents, Program, Record, RoutingConfig
from hxtorch.twin.circuits.synapses import charge_rows, charges, synapse_table
from hxtorch.twin.engine.membranes import membranes_in_use
from hxtorch.twin.places.crossbar import NODES, closed_crossbar, neuron_address, passes, straight_crossbar


def _routing(rng: np.random.Generator, labels: int, **nodes: np.ndarray) -> RoutingConfig:
    return RoutingConfig(
        labels=rng.integers(0, labels, (2, 256, 256)).astype(np.uint8),
        row_mode=rng.integers(0, 3, (2, 256)).astype(np.uint8),
        driver_mask=rng.choice([0, 3, 7, 24, 31], (2, 128)).astype(np.uint8),
        **nodes,
    )


def _nodes(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A crossbar whose nodes compare one or two bits each."""
    mask = (1 << rng.integers(11, 14, (20, 12))) | (1 << rng.integers(6, 14, (20, 12)))
    target = rng.integers(0, 2**14, (20, 12)) & mask
    return {"crossbar_mask": mask.astype(np.uint16), "crossbar_target": target.astype(np.uint16)}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), labels=st.sampled_from([1, 4, 64]), straight=st.booleans())
def test_matching_equals_a_literal_decoder(seed: int, labels: int, straight: bool) -> None:
    rng = np.random.default_rng(seed)
    routing, die = _routing(rng, labels, **({} if straight else _nodes(rng))), Die.from_seed(seed % 5)
    circuits = np.sort(rng.choice(512, 60, replace=False))
    addresses = rng.integers(0, 2**13 if straight else 2**16, 3)
    weights = rng.integers(0, 64, (2, 256, 256)).astype(np.uint8)
    scale = rng.uniform(0.5, 2, (2, 60)).astype(np.float32)
    table = synapse_table(routing, die, addresses, circuits)
    everyone = np.arange(512)
    membranes = membranes_in_use(everyone, np.zeros(512, dtype=np.bool_), np.isin(everyone, circuits))
    assert np.array_equal(membranes.circuits, circuits)
    rows = charge_rows(table, np.zeros((2, 128), dtype=np.bool_), membranes)
    packed = charges(rows, weights, 3, scale[0], scale[1])
    found = np.zeros((2, 3, 60))
    for a in range(3):
        for row in packed.row[packed.first[a] : packed.first[a + 1]]:
            signed = packed.charge[:, row].reshape(-1)[membranes.charge_column]
            found[:, a] += np.maximum(signed, 0), np.maximum(-signed, 0)
    expected = np.zeros((2, 3, 60))
    lane = {int(c): j for j, c in enumerate(circuits)}
    count = 0
    for a, address in enumerate(addresses):
        for side, row, column, sign in decode(routing, int(address)):
            j = lane.get(256 * side + column)
            if j is not None:
                count += 1
                gain = die.synapse[side, row, column] * die.driver[side, row // 2]
                kind = 0 if sign > 0 else 1
                expected[kind, a, j] += gain * weights[side, row, column] * scale[kind, j]
    assert table.source.size == count
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-4)


def test_addresses_of_neurons() -> None:
    """Label in bits 0-7, event output in 8-10 and in front: columns 32 o to 32 o + 31."""
    for circuit in (0, 31, 32, 127, 128, 255, 256, 300, 511):
        output = circuit % 256 // 32
        address = int(neuron_address(np.array([circuit]), np.array([0xA5]))[0])
        assert address == (4 + output << 14) + (output << 8) + 0xA5


def test_the_crossbar_has_the_chips_nodes() -> None:
    assert NODES.shape == (20, 12) and NODES.sum() == 76
    mask, target = np.zeros((20, 12), np.uint16), np.zeros((20, 12), np.uint16)
    for output in range(8):  # neurons: one bus index, in both hemispheres, and one channel
        reached = passes(mask, target, neuron_address(np.array([32 * output]), np.array([7])))[0]
        assert np.flatnonzero(reached).tolist() == [output % 4, 4 + output % 4, 8 + output % 4]
    for channel in range(4):  # external events: all buses, and back
        reached = passes(mask, target, np.array([channel << 14]))[0]
        assert np.flatnonzero(reached).tolist() == [*range(8), 8 + channel]
    assert not passes(*closed_crossbar(), np.arange(0, 2**16, 777)).any()


def test_events_that_are_switched_off_reach_nobody() -> None:
    """A circuit without event output fires and resets, but neither the recording nor other circuits see it."""
    labels, mode = np.full((2, 256, 256), 9, np.uint8), np.zeros((2, 256), np.uint8)
    weights = np.zeros((2, 256, 256), np.uint8)
    mode[0, :8], labels[0, :8, 0], weights[0, :8, 0], weights[0, :8, 1] = 1, 1, 63, 20
    routing = RoutingConfig(labels=labels, row_mode=mode, driver_mask=np.zeros((2, 128), np.uint8))
    sent = InputEvents(*np.array([[0], [125], [0]]), np.array([1]))
    cells = neurons(threshold=110, label=np.where(np.arange(512) == 0, 9, 0))
    seen = {}
    for enabled in (True, False):
        on = np.arange(512) > (-1 if enabled else 0)
        config = ChipConfig(cells, routing=routing, weights=weights, enable_events=on)
        record = Record(spikes=np.array([0]), trace=np.array([0, 1]))
        seen[enabled] = ideal().run(Program(config, 1, 125 * 12, sent, record))
    assert seen[True].spikes.circuit.size >= 1 and seen[False].spikes.circuit.size == 0
    np.testing.assert_array_equal(seen[True].trace.membrane[..., 0], seen[False].trace.membrane[..., 0])
    assert seen[True].trace.membrane[..., 1].max() > 81 and np.ptp(seen[False].trace.membrane[..., 1]) == 0


def test_input_loops_back_where_the_crossbar_lets_it() -> None:
    mask, target = straight_crossbar()
    target[9, 9] = 0  # channel 1
    sent = InputEvents(*np.array([[0, 0, 1], [10, 20, 5], [0, 1, 1]]), np.array([1, 1 << 14 | 1]))
    config = ChipConfig(routing=RoutingConfig(crossbar_mask=mask, crossbar_target=target))
    record = Record(trace=np.array([0]), loopback=True)
    back = ideal().run(Program(config, 2, 125, sent, record)).loopback
    assert back.entry.tolist() == [0, 1] and back.time.tolist() == [20, 5] and back.source.tolist() == [1, 1]


def test_random_routing_on_a_running_chip() -> None:
    """The membrane after one event equals the sum over all synapses that the decoder finds."""
    rng = np.random.default_rng(8)
    routing = _routing(rng, 8)
    weights = rng.integers(0, 20, (2, 256, 256)).astype(np.uint8)
    everyone = np.arange(512)
    for address in rng.integers(0, 2**13, 4) & ~np.int64(0b111000):  # labels 0..7 exist
        heard = np.zeros(512)
        for side, row, column, sign in decode(routing, int(address)):
            heard[256 * side + column] += sign * float(weights[side, row, column])
        sent = InputEvents(np.array([0]), np.array([125]), np.array([0]), np.array([address]))
        config = ChipConfig(neurons(), routing=routing, weights=weights)
        trace = ideal().run(Program(config, 1, 125 * 12, sent, Record(trace=everyone))).trace
        assert trace is not None and np.ptp(heard) > 0
        peak = np.array(double_exponential(trace.time[-1:] - 125 * CYCLE, DRIVE, 10, 10))
        np.testing.assert_allclose(trace.membrane[0, -1] - 80, heard * peak, atol=2e-3)

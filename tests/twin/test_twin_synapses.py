"""Labels, masks and row modes against a decoder that follows the register descriptions literally."""

from __future__ import annotations

import numpy as np
from bench import CYCLE, DRIVE, decode, double_exponential, ideal, neurons
from hypothesis import given, settings
from hypothesis import strategies as st

from hxtorch.twin import ChipConfig, Die, InputEvents, Program, Record, RoutingConfig
from hxtorch.twin.synapses import charge_matrices, neuron_address, synapse_table


def _routing(rng: np.random.Generator, labels: int) -> RoutingConfig:
    return RoutingConfig(
        labels=rng.integers(0, labels, (2, 256, 256)).astype(np.uint8),
        row_mode=rng.integers(0, 3, (2, 256)).astype(np.uint8),
        driver_mask=rng.choice([0, 3, 7, 24, 31], (2, 128)).astype(np.uint8),
    )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), labels=st.sampled_from([1, 4, 64]))
def test_matching_equals_a_literal_decoder(seed: int, labels: int) -> None:
    rng = np.random.default_rng(seed)
    routing, die = _routing(rng, labels), Die.from_seed(seed % 5)
    circuits = np.sort(rng.choice(512, 60, replace=False))
    addresses = rng.integers(0, 2**13, 3)
    weights = rng.integers(0, 64, (2, 256, 256)).astype(np.uint8)
    scale = rng.uniform(0.5, 2, (2, 60)).astype(np.float32)
    table = synapse_table(routing, die, addresses, circuits)
    charges = charge_matrices(table, weights, 3, scale[0], scale[1])
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
    np.testing.assert_allclose(np.stack(charges), expected, rtol=2e-5, atol=1e-4)


def test_addresses_of_neurons() -> None:
    """Label in bits 0-7, event output in 8-10, and the bus of the output: columns 32 o to 32 o + 31."""
    for circuit in (0, 31, 32, 127, 128, 255, 256, 300, 511):
        output = circuit % 256 // 32
        address = int(neuron_address(np.array([circuit]), np.array([0xA5]))[0])
        assert address == (output % 4 << 11) + (output << 8) + 0xA5


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

"""How far real circuits go: inputs saturate, membranes stay between their rails; ideal ones have no limits."""

from __future__ import annotations

import numpy as np
import pytest
from bench import DRIVE, neurons, plain_die, program, silent

from hxtorch.twin import Die, Noise, Record, VirtualChip
from hxtorch.twin.pattern import process


def _burst(weight: int, events: int, *, die: Die | None = None, step: float = 0.25, **cells: object) -> np.ndarray:
    """Membrane under `events` simultaneous events of `weight`, renewed every 2 µs."""
    matrix = np.full((events, 1), weight)
    stimulus = [(250 * k, s) for k in range(20) for s in range(events)]
    task = program(matrix, stimulus, cells=neurons(**cells), runtime=40)  # type: ignore[arg-type]
    trace = VirtualChip(die or plain_die(), Noise.off(), step).run(task).trace
    assert trace is not None
    return trace.membrane[0, :, 0].astype(float)


@pytest.mark.parametrize("weight", [60, -60])
def test_synaptic_input_saturates(weight: int) -> None:
    """A static drive far beyond the OTA's limit moves the membrane by limit x tau_mem, however strong it is."""
    tau = 0.93  # short: the membrane stays away from its rails
    limit = process.OTA_SATURATION.value * DRIVE
    strong = _burst(weight, 60, tau_mem=tau, leak=150, tau_exc=30, tau_inh=30)
    stronger = _burst(weight, 120, tau_mem=tau, leak=150, tau_exc=30, tau_inh=30)
    plateau = strong[80:].mean() - 150
    assert plateau == pytest.approx(np.sign(weight) * limit * tau, rel=0.01)
    np.testing.assert_allclose(stronger[80:], strong[80:], atol=0.01)


def test_saturation_follows_the_documented_curve() -> None:
    """S(x) = I s(x / I) with s(u) = u (27 + u^2) / (27 + 9 u^2), seen as the plateau of a slow line."""
    limit = process.OTA_SATURATION.value * DRIVE
    cells = neurons(tau_mem=0.95, tau_exc=504 / 0.6, leak=80)  # line: bias code below 1, 840 µs
    for count in (2, 5, 10, 15):
        task = program(np.full((count, 1), 60), [(100, s) for s in range(count)], cells=cells, runtime=15)
        result = VirtualChip(plain_die(), Noise.off()).run(task)
        assert result.trace is not None
        drive = float(result.trace.i_exc[0, -1, 0])
        assert drive > 0.9 * count * 60 * DRIVE
        u = min(drive / limit, 3)
        expected = limit * u * (27 + u * u) / (27 + 9 * u * u) * 0.95
        assert result.trace.membrane[0, -1, 0] - 80 == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("capacitance", [63, 20, 8])
@pytest.mark.parametrize("weight", [60, -60])
def test_membrane_stays_between_its_rails(weight: int, capacitance: int) -> None:
    """Inputs lose their strength at the rails, so they never push the membrane beyond them."""
    cells = {"tau_exc": 30.0, "tau_inh": 30.0, "membrane_capacitance": np.full(512, capacitance)}
    membrane = _burst(weight, 60, tau_mem=20, **cells)
    rail = process.CEILING.value if weight > 0 else process.FLOOR.value
    width = (process.CEILING_WIDTH if weight > 0 else process.FLOOR_WIDTH).value
    assert np.all(membrane < process.CEILING.value) and np.all(membrane > process.FLOOR.value)
    assert abs(membrane[-1] - rail) < width


def test_rails_follow_the_documented_compression() -> None:
    """At rest against a rail, the leak balances the saturated input times its remaining strength."""
    cap = process.OTA_SATURATION.value * DRIVE
    for weight, rail, width in (
        (60, process.CEILING.value, process.CEILING_WIDTH.value),
        (-60, process.FLOOR.value, -process.FLOOR_WIDTH.value),
    ):
        membrane = _burst(weight, 60, tau_mem=10, tau_exc=30, tau_inh=30)[-1]
        # (V - leak) / tau = cap (rail - V) / width
        pull = cap * 10 / abs(width)
        assert membrane == pytest.approx((80 + pull * rail) / (1 + pull), abs=0.3)


def test_rest_of_a_neuron_is_where_it_stays() -> None:
    """An uncalibrated chip starts in its resting state: nothing moves without input."""
    everyone = np.arange(512)
    trace = VirtualChip(Die.from_seed(2), Noise.off()).run(silent(Record(trace=everyone))).trace
    assert trace is not None
    assert np.abs(trace.membrane[0, -1] - trace.membrane[0, 0]).max() < 0.02


def test_ideal_chip_has_no_limits() -> None:
    membrane = _burst(60, 100, die=Die.ideal(), tau_mem=20, tau_exc=30)
    assert membrane.max() > 1000

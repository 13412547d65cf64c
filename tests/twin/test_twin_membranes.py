"""Joined circuits, compartments, AdEx terms, conductance mode and plasticity against independent integrations.

The references integrate the documented equations by the classical Runge-Kutta method in float64 with a step of
10 ns, and share no code with the package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from bench import CYCLE, DRIVE, double_exponential, ideal, neurons, only, plain_die, program

from hxtorch.twin import ChipConfig, NeuronConfig, Noise, PlasticityConfig, Program, Record, VirtualChip
from hxtorch.twin.pattern import process

ONE = Record(trace=np.array([0]))


def runge_kutta(
    slope: Callable[[float, np.ndarray], np.ndarray], start: np.ndarray, times: np.ndarray, h: float = 0.01
) -> np.ndarray:
    """States (times, n) of dy/dt = slope(t, y) at multiples of `h`."""
    y, t, out = np.asarray(start, dtype=float), 0.0, []
    for end in times:
        parts = max(round((end - t) / h), 1)
        d = (end - t) / parts
        for _ in range(parts):
            k1 = slope(t, y)
            k2 = slope(t + d / 2, y + d / 2 * k1)
            k3 = slope(t + d / 2, y + d / 2 * k2)
            k4 = slope(t + d, y + d * k3)
            y, t = y + d / 6 * (k1 + 2 * k2 + 2 * k3 + k4), t + d
        t = end
        out.append(y.copy())
    return np.array(out)


# --- Joined circuits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [[1], [256], [1, 2, 257], [1, 2, 3, 4, 5, 256]])
def test_joined_circuits_are_one_membrane(others: list[int]) -> None:
    """Capacitances, leaks and inputs of the group add up; every channel shows the same membrane."""
    group = [0, *others]
    right, vertical = only(*[c for c in range(255) if c in group and c + 1 in group]), only(256)
    if 257 in group:
        vertical = only(1)
    elif 256 not in group:
        vertical = only()
    capacitance = np.zeros(512, dtype=np.int64)
    capacitance[0], capacitance[others[0]] = 63, 20
    tau = np.full(512, 950 / 10.0)
    tau[others[0]] = 950 / 25.0
    cells = neurons(
        connect_right=right, connect_vertical=vertical, membrane_capacitance=capacitance, i_bias_leak=tau,
        i_bias_tau_exc=np.where(np.arange(512) == 0, 504 / 10.0, 504 / 4.0),
    )  # fmt: skip
    events = [(500, 0), (900, 1)]
    weights = np.zeros((2, len(group)), dtype=int)
    weights[0, 0], weights[1, 1] = 50, 40
    task = program(weights, events, group, cells=cells, record=Record(trace=np.array(group), cadc=np.array(group)))
    result = ideal().run(task)
    assert result.trace is not None and result.cadc is not None
    assert np.ptp(result.trace.membrane, axis=2).max() == 0 == np.ptp(result.cadc.value, axis=2).max()

    c = capacitance[group] / 63 * 2.2 / 2.3 + 0.1 / 2.3
    g = np.array([tau[k] / 950 for k in group])  # code over 950 µs: conductance in full capacitances per µs
    tau_mem = c.sum() / g.sum()
    time = result.trace.time
    first = double_exponential(time - 4, 50 * DRIVE / c.sum(), tau_mem, 10)
    second = double_exponential(time - 7.2, 40 * DRIVE / c.sum(), tau_mem, 4)
    clear = (time < 7) | (time > 7.8)
    np.testing.assert_allclose(result.trace.membrane[0, clear, 0], 80 + (first + second)[clear], atol=0.02)


def test_a_joined_neuron_fires_and_is_heard_once() -> None:
    """Pairs of circuits behave like single ones with the joint capacitance; only the chosen one spikes."""
    pair = neurons(
        leak=120, threshold=100, tau_mem=5, enable_threshold=only(0), connect_vertical=only(0),
        membrane_capacitance=np.where(np.arange(512) == 0, 63, 0), enable_leak=np.arange(512) == 0,
    )  # fmt: skip
    spikes = ideal().run(silent_program(pair, Record(spikes=np.array([0, 256])), 200)).spikes
    assert spikes is not None and set(spikes.circuit) == {0}
    tau = 5 * (2.3 + 0.1) / 2.3
    period = 31 * 16 / 250 + tau * np.log((120 - 70) / (120 - 100))
    np.testing.assert_allclose(np.diff(spikes.time) * CYCLE, period, atol=0.02)


def silent_program(cells: NeuronConfig, record: Record, runtime: float, batch: int = 1) -> Program:
    return Program(ChipConfig(cells), batch, round(runtime / CYCLE), record=record)


def test_leak_switches() -> None:
    """Multiplication and division change tau_mem by 8; a leak that is off holds the membrane for milliseconds."""
    off = np.zeros(512, dtype=np.bool_)
    on = ~off
    for registers, tau in (
        ({"enable_leak_multiplication": on}, 10 / 8),
        ({"enable_leak_division": on}, 80),
        ({"enable_leak": off}, 9.5e8),
        ({"i_bias_leak": np.zeros(512)}, 9.5e8),
    ):
        parameters = ideal().parameters(ChipConfig(neurons(**registers)))
        np.testing.assert_allclose(parameters.tau_mem, tau, rtol=1e-6)


def test_holdoff_keeps_the_neuron_silent_but_free() -> None:
    """The reset ends 2 (15 - h) ticks before the refractory time of an ideal circuit."""
    cells = neurons(leak=130, reset=60, threshold=100, tau_mem=5, ticks=60, reset_holdoff=np.full(512, 5))
    result = ideal().run(silent_program(cells, Record(spikes=np.array([0]), trace=np.array([0])), 60))
    assert result.spikes is not None and result.trace is not None
    tick = 16 / 250
    at_end = 130 - 70 * np.exp(-20 * tick / 5)
    period = 60 * tick + 5 * np.log((130 - at_end) / (130 - 100))
    np.testing.assert_allclose(np.diff(result.spikes.time) * CYCLE, period, atol=0.02)


# --- Terms --------------------------------------------------------------------------------------------------


def test_adaptation() -> None:
    """Subthreshold adaptation against the equations, with an input that moves the membrane."""
    cells = neurons(
        enable_adaptation=only(0), i_bias_adapt_a=np.full(512, 400.0), i_bias_adapt_tau=np.full(512, 250.0),
        v_adapt_leak=np.full(512, 221.0),
    )  # fmt: skip
    record = replace(ONE, trace_states=("membrane", "adaptation"))
    trace = ideal().run(program([[63]], [(500, 0)], cells=cells, record=record)).trace
    assert trace is not None
    a, tau, e = (
        400 * process.ADAPT_A_SLOPE.value,
        process.ADAPT_TIME_CODE.value / 250,
        150 + (221 - 389) * 200 / 480,
    )

    def slope(t: float, y: np.ndarray) -> np.ndarray:
        current = 63 * DRIVE * np.exp(-(t - 4) / 10) if t >= 4 - 1e-9 else 0.0
        return np.array([(80 - y[0]) / 10 + current - y[1], (a * (y[0] - e) - y[1]) / tau])

    rest = (8 + a * e) / (0.1 + a)
    expected = runge_kutta(slope, np.array([rest, a * (rest - e)]), trace.time)
    np.testing.assert_allclose(trace.membrane[0, :, 0], expected[:, 0], atol=0.03)
    assert np.ptp(trace["adaptation"]) > 0.2


def test_exponential_current() -> None:
    """The membrane rises to its threshold as the exponential term makes it."""
    cells = neurons(
        leak=98, threshold=140, enable_exponential=only(0), v_exp=np.full(512, 269.0), enable_threshold=only(0),
    )  # fmt: skip
    result = ideal(0.25).run(silent_program(cells, Record(spikes=np.array([0]), trace=np.array([0])), 60))
    assert result.spikes is not None and result.trace is not None
    onset, width, current = 150 + (269 - 389) * 200 / 480, process.EXP_WIDTH.value, process.EXP_CURRENT.value

    def slope(t: float, y: np.ndarray) -> np.ndarray:
        return (98 - y) / 10 + current * np.exp(np.minimum((y - onset) / width, 20))

    time = result.trace.time
    first = result.spikes.time[0] * CYCLE
    until = time < first - 0.5
    expected = runge_kutta(slope, np.array([98.0]), time[until])
    np.testing.assert_allclose(result.trace.membrane[0, until, 0], expected[:, 0], atol=0.25)
    fine = np.arange(1, 6000) * 0.01
    path = runge_kutta(slope, np.array([98.0]), fine)[:, 0]
    assert first == pytest.approx(fine[np.argmax(path > 140)], abs=0.06)


@pytest.mark.parametrize("weight", [50, -50])
def test_conductance_mode(weight: int) -> None:
    """An input in conductance mode pulls towards its reversal potential."""
    code = np.full(512, 263.0)
    cells = neurons(
        enable_coba_exc=only(0), enable_coba_inh=only(0), i_bias_coba_exc=code, i_bias_coba_inh=2 * code,
        v_rev_coba_exc=np.full(512, 293.0), v_rev_coba_inh=np.full(512, 245.0),
    )  # fmt: skip
    events = [(500, s) for s in range(8)]
    trace = ideal(0.25).run(program(np.full((8, 1), weight), events, cells=cells, record=ONE)).trace
    assert trace is not None
    strength = process.COBA_SLOPE.value * (263 if weight > 0 else 526)
    reference = 150 + ((293 if weight > 0 else 245) - 389) * 200 / 480

    def slope(t: float, y: np.ndarray) -> np.ndarray:
        current = 8 * abs(weight) * DRIVE * np.exp(-(t - 4) / 10) if t >= 4 - 1e-9 else 0.0
        sign = np.sign(weight)
        return (80 - y) / 10 + sign * current * (1 + sign * strength * (reference - y))

    expected = runge_kutta(slope, np.array([80.0]), trace.time)[:, 0]
    assert np.ptp(expected) > 30
    np.testing.assert_allclose(trace.membrane[0, :, 0], expected, atol=0.25)


# --- Compartments -------------------------------------------------------------------------------------------


def test_two_compartments_relax_as_calibrations_assume() -> None:
    """1 / tau_total = 2 / tau_icc + 1 / tau_leak for the difference of two equal membranes."""
    code = 250.0
    cells = neurons(
        connect_soma=only(0), connect_soma_right=only(0), enable_icc=only(1), i_bias_icc=np.full(512, code)
    )
    weights = np.array([[60, -60]])
    record = Record(trace=np.array([0, 1]))
    fast = replace(cells, i_bias_tau_exc=np.full(512, 504 / 0.5), i_bias_tau_inh=np.full(512, 468 / 0.5))
    trace = ideal().run(program(weights, [(500, 0)], [0, 1], cells=fast, record=record, runtime=20)).trace
    assert trace is not None
    difference = trace.membrane[0, :, 0] - trace.membrane[0, :, 1]
    late = (trace.time > 8) & (trace.time < 10)
    rate = -np.polyfit(trace.time[late], np.log(difference[late]), 1)[0]
    tau_icc = process.ICC_TIME_CODE.value / code
    assert rate == pytest.approx(2 / tau_icc + 1 / 10, rel=0.01)


def test_a_chain_of_compartments() -> None:
    """Four compartments coupled one to the next by conductances, against the equations of the chain."""
    first = np.arange(0, 8, 2)  # compartment: two joined circuits; its right one couples to the next line
    cells = neurons(
        connect_right=only(0, 2, 4, 6), connect_soma=only(2, 4, 6), connect_soma_right=only(1, 3, 5),
        enable_icc=only(1, 3, 5), i_bias_icc=np.full(512, 200.0), enable_leak=np.arange(512) % 2 == 0,
        membrane_capacitance=np.where(np.arange(512) % 2 == 0, 63, 0),
    )  # fmt: skip
    weights = np.array([[60, 0, 0, 0]])
    task = program(weights, [(500, 0)], list(first), cells=cells, record=Record(trace=first))
    trace = ideal().run(task).trace
    assert trace is not None
    c, g = 2.4 / 2.3, 200 / process.ICC_TIME_CODE.value

    def slope(t: float, y: np.ndarray) -> np.ndarray:
        flow = g * np.diff(y)
        into = np.concatenate([flow, [0]]) - np.concatenate([[0], flow])
        drive = np.array([60 * DRIVE * np.exp(-(t - 4) / 10) if t >= 4 - 1e-9 else 0.0, 0, 0, 0])
        return (0.1 * (80 - y) + drive + into) / c

    every = trace.time[7::8]
    expected = runge_kutta(slope, np.full(4, 80.0), every)
    np.testing.assert_allclose(trace.membrane[0, 7::8], expected, atol=0.05)
    assert np.all(np.diff(trace.membrane[0].max(axis=0)) < 0)


@pytest.mark.parametrize("coupled", [False, True])
def test_every_commanded_reset_of_compartments(coupled: bool) -> None:
    """Also the second one, where compartments exchange charge."""
    cells = neurons(
        reset=60.0, connect_soma=only(0), connect_soma_right=only(0), enable_icc=only(1) if coupled else only()
    )
    task = silent_program(cells, Record(trace=np.array([0, 1]), trace_states=("refractory",)), 60.0)
    trace = ideal().run(replace(task, resets=(1000, 3000, 5000))).trace
    assert trace is not None
    dead = trace["refractory"][0] > 0
    begins = [trace.time[1:][dead[1:, n] & ~dead[:-1, n]] for n in range(2)]
    np.testing.assert_allclose(begins, [[8.0, 24.0, 40.0]] * 2, atol=0.3)


# --- Plasticity ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", [0, 1])
def test_short_term_plasticity(chosen: int) -> None:
    """Jumps of the line follow the voltage of the driver: facilitation with set 0, depression with set 1."""
    times = [500 + 250 * k for k in range(8)]
    config = PlasticityConfig(
        enable=np.ones((2, 128), dtype=np.bool_), voltage_set=np.full((2, 128), chosen, dtype=np.uint8)
    )
    task = program([[30]], [(t, 0) for t in times], record=ONE, runtime=30)
    task = replace(task, config=replace(task.config, plasticity=config))
    trace = ideal().run(task).trace
    assert trace is not None
    recover, charge, u = config.v_recover[chosen], config.v_charge[chosen], 8 * process.STP_UTILIZATION.value
    voltage, last, line, expected = recover, 0.0, 0.0, []
    for k in range(8):
        passed = 2.0 if k else 0.0
        voltage = recover + (voltage - recover) * np.exp(-passed / process.STP_RECOVERY.value)
        line = line * np.exp(-passed / 10) + 30 * DRIVE * (500 - voltage) / 500
        expected.append(line)
        voltage += u * (charge - voltage)
        last += passed
    found = [trace.i_exc[0, np.argmin(np.abs(trace.time - (t * CYCLE + 0.5))), 0] for t in times]
    np.testing.assert_allclose(found, np.array(expected) * np.exp(-0.05), rtol=2e-3)
    still = ideal().run(program([[30]], [(times[0], 0)], record=ONE, runtime=30)).trace
    assert still is not None and still.i_exc.max() > max(found[0], 0)


# --- Link, counters, introspection --------------------------------------------------------------------------


@pytest.mark.parametrize("within", [0.0, 1.0])
def test_half_of_512_simultaneous_spikes_arrive(within: float) -> None:
    """All neurons fire at once: at least 250 arrive, as the chip's tests demand; the counters miss none.

    Within 1 µs the link carries away 62 more. A link of any bandwidth loses 0.2 %.
    """
    crossing = np.linspace(4, 4 + within, 512)  # µs after the end of the reset
    codes = process.THRESHOLD_CODE.value + (120 - 50 * np.exp(-crossing / 5) - 150) / process.THRESHOLD_SLOPE.value
    cells = neurons(leak=120, threshold=100, tau_mem=5, v_threshold=codes)
    everyone = np.arange(512)
    record = Record(spikes=everyone, counters=True)
    burst = replace(silent_program(cells, record, 8.5, 20), resets=(1,))
    run = VirtualChip(plain_die(), replace(Noise(), membrane=0.0, threshold=0.0)).run(burst)
    assert run.counters is not None and run.spikes is not None
    sent = run.counters.sum()
    assert sent > 20 * 500 and sent - run.spikes.time.size == run.lost_spikes
    arrived = np.bincount(run.spikes.entry, minlength=20)
    assert arrived.min() >= 250
    assert arrived.mean() == pytest.approx(260 * 0.989 + 62 * within, abs=6)
    wide = VirtualChip(plain_die(), replace(Noise(), membrane=0.0, link_load=0.0)).run(burst)
    assert wide.lost_spikes < 0.01 * sent


def test_trace_of_chosen_states() -> None:
    cells = neurons(leak=120, threshold=100, tau_mem=5)
    record = Record(
        spikes=np.array([3]), trace=np.array([3]), trace_states=("refractory", "threshold", "noise", "voltage"),
        trace_period=1.0, trace_entries=np.array([1, 3]),
    )  # fmt: skip
    task = silent_program(cells, record, 60, 4)
    trace = VirtualChip(plain_die()).run(task).trace
    assert trace is not None and trace.entries.tolist() == [1, 3] and trace["voltage"].shape == (2, 60, 1)
    np.testing.assert_allclose(np.diff(trace.time), 1.0)
    assert trace["refractory"].max() <= 31 * 16 / 250 + process.SPIKE_DELAY.value
    assert (trace["refractory"] == 0).any() and np.ptp(trace["threshold"]) > 0.1 and trace["noise"].std() > 0.1
    with pytest.raises(KeyError, match="membrane was not traced"):
        _ = trace.membrane

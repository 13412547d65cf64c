"""Circuits around the membrane, each by a formula of its own: leak, reset, capacitance, currents, inputs, limits.

Everything is seen from outside: registers in, traces and spikes out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bench import CYCLE, DRIVE, TICK, double_exponential, ideal, neurons, only, plain_die, program, silent

from hxtorch.twin import ChipConfig, Noise, Program, Record, Trace, VirtualChip
from hxtorch.twin.pattern import process

ON = np.ones(512, dtype=np.bool_)
OFF = ~ON
ONE = Record(trace=np.array([0]))
FIRING = Record(spikes=np.array([0]), trace=np.array([0]))
AT = 5.0  # µs, of commanded resets


def codes(value: float) -> np.ndarray:
    return np.full(512, value)


def traced(task: Program, chip: VirtualChip | None = None) -> Trace:
    trace = (chip or ideal()).run(task).trace
    assert trace is not None
    return trace


def fired(task: Program, chip: VirtualChip | None = None) -> np.ndarray:
    """Spike times (µs) of the only neuron."""
    spikes = (chip or ideal()).run(task).spikes
    assert spikes is not None
    return spikes.time * CYCLE


def real(step: float = 0.25) -> VirtualChip:
    """A chip without deviations or noise, but with the limits of real circuits."""
    return VirtualChip(plain_die(), Noise.off(), step)


def after_reset(chip: VirtualChip | None = None, runtime: float = 60, **cells: object) -> tuple[np.ndarray, ...]:
    """Time since a commanded reset (µs) and membrane of a neuron without input."""
    task = replace(silent(ONE, runtime=runtime, **cells), resets=(round(AT / CYCLE),))
    trace = traced(task, chip)
    return trace.time - AT, trace.membrane[0, :, 0].astype(float)


# --- Leak and capacitance -----------------------------------------------------------------------------------


@pytest.mark.parametrize("multiply, divide, factor", [(OFF, OFF, 1), (ON, OFF, 1 / 8), (OFF, ON, 8), (ON, ON, 1)])
@pytest.mark.parametrize("tau_mem", [4.0, 10.0])
def test_leak_switches_and_the_way_back_from_a_reset(
    multiply: np.ndarray, divide: np.ndarray, factor: float, tau_mem: float
) -> None:
    """V = E + (V_r - E) exp(-t / tau), tau an eighth of or eight times that of the code."""
    switches = {"enable_leak_multiplication": multiply, "enable_leak_division": divide}
    since, membrane = after_reset(reset=50, tau_mem=tau_mem, ticks=10, **switches)
    free = since > 10 * TICK + 0.25
    expected = 80 - 30 * np.exp(-(since[free] - 10 * TICK) / (tau_mem * factor))
    np.testing.assert_allclose(membrane[free], expected, atol=5e-3)


@pytest.mark.parametrize("code", [0, 1, 8, 31, 63])
def test_time_constant_and_currents_follow_the_capacitance(code: int) -> None:
    """C = 2.2 pF code / 63 + 0.1 pF: tau_mem is C / g, and a charge moves the membrane by q / C."""
    relative = (code / 63 * 2.2 + 0.1) / 2.3
    cells = {"membrane_capacitance": np.full(512, code), "reset": 50.0, "ticks": 10, "tau_mem": 40.0}
    since, membrane = after_reset(ideal(0.02), runtime=30, **cells)
    free = since > 10 * TICK + 0.02
    expected = 80 - 30 * np.exp(-(since[free] - 10 * TICK) / (40 * relative))
    np.testing.assert_allclose(membrane[free], expected, atol=5e-3)
    trace = traced(program([[10]], [(500, 0)], cells=neurons(**cells), record=ONE), ideal(0.02))  # type: ignore[arg-type]
    expected = double_exponential(trace.time - 4, 10 * DRIVE / relative, 40 * relative, 10)
    np.testing.assert_allclose(trace.membrane[0, :, 0] - 80, expected, atol=2e-3 * expected.max())


def test_a_neuron_without_leak_keeps_what_it_gets() -> None:
    """The PSP of a membrane that does not leak rises to the whole charge, drive times tau_syn."""
    cells = neurons(enable_leak=OFF, tau_exc=5)
    trace = traced(program([[30]], [(500, 0)], cells=cells, record=ONE, runtime=80))
    expected = 80 + 30 * DRIVE * 5 * (1 - np.exp(-(trace.time - 4) / 5))
    late = trace.time > 4.3
    np.testing.assert_allclose(trace.membrane[0, late, 0], expected[late], atol=5e-3)


# --- Reset --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("multiply, divide, factor", [(ON, OFF, 1), (OFF, OFF, 8), (ON, ON, 8), (OFF, ON, 64)])
@pytest.mark.parametrize("code", [1012.0, 506.0])
def test_reset_conductance_and_its_switches(
    multiply: np.ndarray, divide: np.ndarray, factor: float, code: float
) -> None:
    """A held membrane goes to the balance of leak and reset with tau = 1 / (1 / tau_m + 1 / tau_r)."""
    since, membrane = after_reset(
        real(0.1), reset=40, ticks=255, i_bias_reset=codes(code),
        enable_reset_multiplication=multiply, enable_reset_division=divide,
    )  # fmt: skip
    reset = 80 + process.RESET_SLOPE.value * (np.rint(625 + (40 - 80) / 0.37) - 625)
    tau_reset = process.RESET_TIME.value * factor * 1012 / code
    tau = 1 / (1 / 10 + 1 / tau_reset)
    balance = tau * (80 / 10 + reset / tau_reset)
    held = (since > 0.1) & (since < 255 * TICK - 0.2)
    expected = balance + (80 - balance) * np.exp(-since[held] / tau)
    np.testing.assert_allclose(membrane[held], expected, atol=0.06)


def test_reset_of_an_ideal_neuron_is_instantaneous_whatever_its_bias() -> None:
    since, membrane = after_reset(reset=40, ticks=255, i_bias_reset=codes(10), enable_reset_division=ON)
    np.testing.assert_allclose(membrane[(since > 0.3) & (since < 16)], 40, atol=2e-3)


@pytest.mark.parametrize("holdoff", [0, 6, 12, 15])
def test_holdoff_frees_the_membrane_but_not_the_neuron(holdoff: int) -> None:
    """The reset ends 2 (15 - h) ticks before the counter; until then the membrane passes the threshold silently."""
    cells = {"leak": 200.0, "reset": 60.0, "threshold": 100.0, "tau_mem": 5.0, "ticks": 60}
    result = ideal(0.05).run(silent(FIRING, reset_holdoff=np.full(512, holdoff), **cells))
    assert result.spikes is not None and result.trace is not None
    free, rise = 2 * (15 - holdoff) * TICK, 5 * np.log((200 - 60) / (200 - 100))
    period = 60 * TICK + max(rise - free, 0)  # above the threshold at the end of the counter: it fires at once
    spikes = result.spikes.time * CYCLE
    np.testing.assert_allclose(np.diff(spikes), period, atol=0.01)
    since = result.trace.time - spikes[3]
    membrane = result.trace.membrane[0, :, 0]
    held = (since > 0.06) & (since < 60 * TICK - free)
    np.testing.assert_allclose(membrane[held], 60, atol=5e-3)
    rising = (since > 60 * TICK - free + 0.05) & (since < period - 0.01)
    expected = 200 - 140 * np.exp(-(since[rising] - 60 * TICK + free) / 5)
    np.testing.assert_allclose(membrane[rising], expected, atol=0.25)  # stamps are whole cycles of 8 ns


@pytest.mark.parametrize("pause", [False, True])
def test_pause_cuts_synaptic_input_in_the_reset(pause: bool) -> None:
    """Else the input pulls against leak and reset (time constant tau), by I / (1 / tau - 1 / tau_syn)."""
    cells = neurons(reset=60, ticks=120, tau_exc=20, enable_pause=np.full(512, pause))
    events = [(125 * 3, s) for s in range(4)]
    task = program(np.full((4, 1), 30), events, cells=cells, record=ONE, resets=(round(AT / CYCLE),))
    trace = traced(task, real())
    since = trace.time - AT
    limit, drive = process.OTA_SATURATION.value * DRIVE, trace.i_exc[0, :, 0].astype(float)
    u = drive / limit
    current = limit * u * (27 + u * u) / (27 + 9 * u * u)
    tau_reset, tau_syn = process.RESET_TIME.value, process.TAU_EXC_CODE.value / 25  # a whole code
    reset = 80 + process.RESET_SLOPE.value * (np.rint(625 + (60 - 80) / 0.37) - 625)
    tau = 1 / (1 / 10 + 1 / tau_reset)
    balance = tau * (80 / 10 + reset / tau_reset)
    held = (since > 2) & (since < 120 * TICK - 0.3)
    shift = 0.0 if pause else current[held] / (1 / tau - 1 / tau_syn)
    np.testing.assert_allclose(trace.membrane[0, held, 0], balance + shift, atol=0.005)
    assert np.all(current[held] * tau > 1.0)  # there is something to see
    assert np.all(np.diff(drive[trace.time > 4]) < 0)  # the line itself goes on
    # afterwards both go on from where they are
    ideal_trace = traced(task)
    at = AT + 120 * TICK
    start = 120 * DRIVE * np.exp(-(at - 3) / 20)
    free = ideal_trace.time > at + 0.25
    expected = (
        80 - 20 * np.exp(-(ideal_trace.time - at) / 10) + double_exponential(ideal_trace.time - at, start, 10, 20)
    )
    np.testing.assert_allclose(ideal_trace.membrane[0, free, 0], expected[free], atol=0.02)


@pytest.mark.parametrize("pause", [False, True])
def test_pause_cuts_the_exponential_current_in_the_reset(pause: bool) -> None:
    """Else a reset above the onset potential stays higher: (E - V) / tau_m + (V_r - V) / tau_r + I exp(...) = 0."""
    cells = neurons(
        reset=90, ticks=255, enable_exponential=only(0), v_exp=codes(389 + (70 - 150) / (200 / 480)),
        enable_pause=np.full(512, pause), tau_mem=5,
    )  # fmt: skip
    task = Program(ChipConfig(cells), 1, 125 * 20, record=ONE, resets=(125,))
    trace = traced(task, real())
    slope = 200 / 480
    onset = 150 + slope * (np.rint(389 + (70 - 150) / slope) - 389)
    reset = 80 + process.RESET_SLOPE.value * (np.rint(625 + (90 - 80) / 0.37) - 625)
    tau_reset, strength = process.RESET_TIME.value, 0.0 if pause else process.EXP_CURRENT.value
    v = 90.0
    for _ in range(100):
        current = strength * np.exp((v - onset) / process.EXP_WIDTH.value)
        v = (80 / 5 + reset / tau_reset + current) / (1 / 5 + 1 / tau_reset)
    held = (trace.time > 4) & (trace.time < 16)
    np.testing.assert_allclose(trace.membrane[0, held, 0], v, atol=0.03)


def test_constant_current_goes_on_in_a_pause() -> None:
    """A pause cuts inputs; leak, reset and constant current stay in balance."""
    cells = {"reset": 60, "ticks": 200, "enable_pause": ON, "enable_offset": ON, "i_offset": codes(500)}
    since, membrane = after_reset(real(), runtime=25, **cells)
    tau_reset = process.RESET_TIME.value
    reset = 80 + process.RESET_SLOPE.value * (np.rint(625 + (60 - 80) / 0.37) - 625)
    balance = (80 / 10 + reset / tau_reset + 500 * process.OFFSET_CURRENT.value) / (1 / 10 + 1 / tau_reset)
    held = (since > 2) & (since < 200 * TICK - 0.3)
    np.testing.assert_allclose(membrane[held], balance, atol=0.005)


# --- Constant current ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sink, sign", [(OFF, 1), (ON, -1)])
@pytest.mark.parametrize("code", [0.0, 200.0, 1000.0])
@pytest.mark.parametrize("capacitance", [63, 20])
def test_constant_current(sink: np.ndarray, sign: int, code: float, capacitance: int) -> None:
    """A source lifts the rest, a sink lowers it, by I tau_mem; tau and 1 / C cancel each other's capacitance."""
    cells = {"offset_sink": sink, "i_offset": codes(code), "membrane_capacitance": np.full(512, capacitance)}
    rest = 80 + sign * 0.02 * code * 10
    since, membrane = after_reset(reset=50, ticks=10, enable_offset=ON, **cells)
    assert membrane[0] == pytest.approx(rest, abs=1e-3)
    tau = 10 * (capacitance / 63 * 2.2 + 0.1) / 2.3
    free = since > 10 * TICK + 0.25
    expected = rest + (50 - rest) * np.exp(-(since[free] - 10 * TICK) / tau)
    np.testing.assert_allclose(membrane[free], expected, atol=1e-2)
    assert np.ptp(after_reset(reset=80, enable_offset=OFF, **cells)[1]) < 1e-3


def test_constant_current_makes_a_neuron_fire() -> None:
    """The f-I curve of the integrate-and-fire neuron, and nothing below the rheobase or into a sink."""
    for code, sink in ((400.0, OFF), (250.0, OFF), (190.0, OFF), (1000.0, ON)):
        cells = {"threshold": 120.0, "reset": 70.0, "i_offset": codes(code), "offset_sink": sink}
        spikes = fired(silent(Record(spikes=np.array([0])), runtime=300, enable_offset=ON, **cells))
        drive = 0.02 * code * 10
        if sink[0] or drive < 40:
            assert spikes.size == 0
        else:
            period = 31 * TICK + 10 * np.log((80 + drive - 70) / (80 + drive - 120))
            np.testing.assert_allclose(np.diff(spikes), period, atol=0.02)


def test_constant_current_of_a_real_circuit_bends_beyond_its_linear_range() -> None:
    """Linear to code 800, half as steep beyond; seen with a leak that is strong enough to stay off the rails."""
    rests = []
    for code in (0.0, 400.0, 800.0, 1000.0):
        task = silent(ONE, runtime=5, enable_offset=ON, i_offset=codes(code), tau_mem=5)
        rests.append(float(traced(task, real()).membrane[0, 0, 0]))
    steps = np.diff(rests)
    np.testing.assert_allclose(steps, [40, 40, 10], atol=1e-3)


# --- Synaptic lines -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind, weight", [("exc", 40), ("inh", -40)])
@pytest.mark.parametrize(
    "resistance, capacitance, slower, stronger",
    [(OFF, OFF, 1, 1), (ON, OFF, 6, 1), (OFF, ON, 0.25, 4), (ON, ON, 1.5, 4)],
)
def test_resistance_and_capacitance_of_a_line(
    kind: str, weight: int, resistance: np.ndarray, capacitance: np.ndarray, slower: float, stronger: float
) -> None:
    """tau_syn = R C: a high resistance slows the line, a small capacitance speeds it up and lets it jump higher."""
    switches = {f"enable_high_resistance_{kind}": resistance, f"enable_small_capacitance_{kind}": capacitance}
    cells = neurons(tau_mem=15, tau_exc=6, tau_inh=6, **switches)  # type: ignore[arg-type]
    trace = traced(program([[weight]], [(500, 0)], cells=cells, record=ONE))
    tau, drive = 6 * slower, abs(weight) * DRIVE * stronger
    later = trace.time > 4.2
    line = trace[f"i_{kind}"][0, later, 0]
    np.testing.assert_allclose(line, drive * np.exp(-(trace.time[later] - 4) / tau), rtol=1e-4, atol=1e-4)
    expected = double_exponential(trace.time[later] - 4, np.sign(weight) * drive, 15, tau)
    np.testing.assert_allclose(trace.membrane[0, later, 0] - 80, expected, atol=3e-3 * np.abs(expected).max())
    other = "inh" if kind == "exc" else "exc"
    assert not trace[f"i_{other}"].any()


# --- Adaptation ---------------------------------------------------------------------------------------------


def _adapting(
    b: float, tau_code: float, *, invert: bool = False, scale: int = 4, step: float = 0.25
) -> tuple[np.ndarray, Trace]:
    """Spikes (µs) and trace of a neuron that fires by itself, with adaptation driven by its spikes alone."""
    cells = neurons(
        leak=150, reset=60, threshold=100, tau_mem=10, ticks=40,
        enable_threshold=only(0), enable_adaptation=only(0),
        i_bias_adapt_b=codes(b), i_bias_adapt_tau=codes(tau_code), invert_adapt_b=np.full(512, invert),
    )  # fmt: skip
    record = replace(FIRING, trace_states=("membrane", "adaptation"))
    task = Program(ChipConfig(cells), 1, 125 * 150, record=record)
    task = replace(
        task, config=replace(task.config, common=replace(task.config.common, adaptation_pulse_scale=scale))
    )
    result = ideal(step).run(task)
    assert result.spikes is not None and result.trace is not None
    return result.spikes.time * CYCLE, result.trace


@pytest.mark.parametrize("step", [0.5, 0.25])
@pytest.mark.parametrize(
    "b, tau_code, invert, scale",
    [(400, 250, False, 4), (800, 1000, False, 4), (200, 250, True, 4), (200, 100, False, 5)],
)
def test_spikes_drive_the_adaptation(b: float, tau_code: float, invert: bool, scale: int, step: float) -> None:
    """w = sum over the spikes of b exp(-(t - t_k) / tau_w), and the neuron slows down as its equation says."""
    spikes, trace = _adapting(b, tau_code, invert=invert, scale=scale, step=step)
    jump = (-1 if invert else 1) * process.ADAPT_B_SLOPE.value * b * 2.0 ** (scale - 4)
    tau = process.ADAPT_TIME_CODE.value / tau_code
    since = trace.time[:, None] - spikes
    expected = np.where(since > 0, jump * np.exp(-np.maximum(since, 0) / tau), 0).sum(axis=1)
    clear = np.all(np.abs(since) > 0.02, axis=1)
    assert spikes.size > 5 and np.abs(expected).max() > 0.3
    np.testing.assert_allclose(
        trace["adaptation"][0, clear, 0], expected[clear], atol=0.003 * np.abs(expected).max()
    )
    # (150 - V) / 10 - w from the end of one refractory time to the next spike
    for n in (0, 3):
        fine = np.arange(spikes[n] + 40 * TICK, spikes[n + 1] + 2, 1e-3)
        w = sum(jump * np.exp(-(fine - s) / tau) for s in spikes[: n + 1])
        v = [60.0]
        for pull in w:
            v.append(v[-1] + 1e-3 * ((150 - v[-1]) / 10 - pull))
        crossing = fine[np.argmax(np.array(v[1:]) > 100)]
        assert crossing == pytest.approx(spikes[n + 1], abs=0.03)


# --- Limits of the membrane ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sink", [False, True])
def test_a_constant_current_ends_at_the_rails_of_a_real_circuit(sink: bool) -> None:
    """Its strength falls linearly inside the soft zone: (E - V) / tau + I (rail - V) / width = 0."""
    rail, width = (process.FLOOR, process.FLOOR_WIDTH) if sink else (process.CEILING, process.CEILING_WIDTH)
    cells = {"enable_offset": ON, "offset_sink": np.full(512, sink), "i_offset": codes(1000), "tau_mem": 20.0}
    trace = traced(silent(ONE, runtime=100, **cells), real())
    pull = 900 * process.OFFSET_CURRENT.value / width.value  # code 1000 is worth 900: beyond 800, half as much
    tau = process.LEAK_TIME_CODE.value / np.rint(process.LEAK_TIME_CODE.value / 20)
    expected = (80 / tau + pull * rail.value) / (1 / tau + pull)
    np.testing.assert_allclose(trace.membrane[0, :, 0], expected, atol=0.02)  # it starts there and stays there
    unlimited = traced(silent(ONE, runtime=20, **cells))
    np.testing.assert_allclose(unlimited.membrane[0, :, 0], 80 + (-400 if sink else 400), atol=0.01)


def test_an_ideal_membrane_goes_below_zero() -> None:
    task = program(np.full((20, 1), -60), [(200, s) for s in range(20)], record=ONE)
    trace = traced(task)
    expected = 80 + double_exponential(trace.time - 1.6, -20 * 60 * DRIVE, 10, 10)
    assert expected.min() < -200
    late = trace.time > 2
    np.testing.assert_allclose(trace.membrane[0, late, 0], expected[late], rtol=2e-3, atol=0.02)


def test_registers_of_other_circuits_do_not_matter() -> None:
    """Each circuit listens to its own switches alone."""
    cells = {"enable_leak_multiplication": only(1), "enable_reset_division": only(2), "enable_pause": only(3)}
    alone, among = (after_reset(real(), reset=50, **chosen) for chosen in ({}, cells))
    np.testing.assert_array_equal(alone[1], among[1])

"""CADC and MADC: when they sample, what they show, and where they clip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bench import CYCLE, DRIVE, neurons, plain_die, program, silent

from hxtorch.twin import (
    ChipConfig,
    CommonConfig,
    Die,
    Noise,
    Program,
    ProgramError,
    ReadoutSource,
    Record,
    VirtualChip,
)
from hxtorch.twin.pattern import process

QUIET = Noise.off()
ALL = np.arange(512)


def _cadc(task: Program, die: Die | None = None) -> np.ndarray:
    cadc = VirtualChip(die or plain_die(), QUIET).run(task).cadc
    assert cadc is not None
    return cadc.value[:, : cadc.count.min()].astype(int)


def _with(task: Program, **common: object) -> Program:
    return replace(task, config=replace(task.config, common=CommonConfig(**common)))  # type: ignore[arg-type]


def test_cadc_period_and_stamps() -> None:
    """Samples every 1.7 µs (6 µs in DRAM); their stamps lie 1 µs before the voltage they show."""
    task = program([[63]], [(1250, 0)], record=Record(cadc=np.array([0]), trace=np.array([0])), runtime=60)
    for in_dram, period in ((False, 1.7), (True, 6.0)):
        here = replace(task, record=replace(task.record, cadc_in_dram=in_dram))
        run = VirtualChip(plain_die(), QUIET, 0.02).run(here)
        assert run.cadc is not None and run.trace is not None
        stamps = run.cadc.time[0, 0, : run.cadc.count[0, 0]] * CYCLE
        np.testing.assert_allclose(np.diff(stamps), period, atol=1e-9)
        assert stamps.size == np.ceil(60 / period) and stamps[0] == 0 and stamps[-1] < 60
        shown = np.interp(stamps + process.CADC_EARLINESS.value, run.trace.time, run.trace.membrane[0, :, 0])
        assert np.ptp(shown) > 15
        np.testing.assert_allclose(run.cadc.value[0, : stamps.size, 0], shown, atol=0.55)


def test_cadc_samples_of_both_hemispheres_and_any_order() -> None:
    """Each column of `value` belongs to the circuit of the same place in `circuits`."""
    chosen = np.array([511, 3, 300, 17, 255, 256])
    leak = np.full(512, 0.0)
    leak[chosen] = [50, 60, 70, 90, 100, 110]
    registers = {"v_leak": process.LEAK_CODE.value + (leak - 80) / process.LEAK_SLOPE.value}
    codes = np.rint(np.clip(registers["v_leak"], 0, 1022))
    task = Program(ChipConfig(neurons(v_leak=codes)), 1, 5000, record=Record(cadc=chosen))
    run = VirtualChip(plain_die(), replace(QUIET, cadc_phase=1.0)).run(task)
    assert run.cadc is not None and np.array_equal(run.cadc.circuits, chosen)
    assert np.abs(run.cadc.value[0, : run.cadc.count.min()] - leak[chosen]).max() <= 1


def test_cadc_conversion() -> None:
    """Code = gain x (voltage) + offsets, rounded, between 0 and 255."""
    base = silent(Record(cadc=ALL), runtime=20)
    assert np.unique(_cadc(base)).tolist() == [80]
    offset = np.zeros(512, dtype=np.int64)
    offset[[5, 300, 301]] = 7, -12, -128
    values = _cadc(_with(base, cadc_offset=offset))
    assert (values[0, :, 5] == 87).all() and (values[0, :, 300] == 68).all() and (values[0, :, 301] == 0).all()
    assert (values[0, :, 6] == 80).all()
    for code, voltage in ((70.0, 20), (550.0, 220), (310.0, 120)):
        assert np.unique(_cadc(_with(base, cadc_test_voltage=code))).tolist() == [voltage]
    assert np.unique(_cadc(_with(base, cadc_test_voltage=0.0, cadc_offset=np.full(512, -20)))).tolist() == [0]
    assert np.unique(_cadc(_with(base, cadc_test_voltage=1000.0))).tolist() == [255]
    slope = np.array([369.0, 738, 369, 369])
    values = _cadc(_with(base, cadc_ramp_slope=slope, cadc_ramp_offset=np.array([31.0, 31, 55, 31])))
    assert [values[0, 0, c] for c in (0, 130, 260, 400)] == [80, 40, 90, 80]


def test_cadc_shows_the_offsets_of_its_die() -> None:
    die = Die.from_seed(3)
    common = CommonConfig(cadc_test_voltage=310.0)
    values = _cadc(Program(ChipConfig(common=common), 1, 2500, record=Record(cadc=ALL)), die)[0]
    expected = np.repeat(die.cadc_gain, 128) * 120 - np.repeat(die.cadc_ramp, 128) * 200 / 480 + die.cadc_channel
    np.testing.assert_allclose(values[0], np.clip(expected, 0, 255), atol=0.51)


@pytest.mark.parametrize(
    "source, sign", [(ReadoutSource.SYNAPTIC_EXCITATORY, 1), (ReadoutSource.SYNAPTIC_INHIBITORY, -1)]
)
def test_synaptic_lines(source: ReadoutSource, sign: int) -> None:
    """The line rests at its documented level and falls with the drive, seen by CADC and MADC alike."""
    cells = neurons(tau_exc=20, tau_inh=20, readout_source=np.full(512, int(source)))
    task = program([[30 * sign]], [(1250, 0)], cells=cells, record=Record(cadc=np.array([0]), madc=np.array([0])))
    run = VirtualChip(plain_die(), QUIET).run(task)
    assert run.cadc is not None and run.madc is not None

    def shown(time: np.ndarray) -> np.ndarray:
        since = time - 10 - process.INPUT_LATENCY.value
        tau = (process.TAU_EXC_CODE if sign > 0 else process.TAU_INH_CODE).value
        tau /= np.rint(tau / 20)  # whole codes
        drive = np.where(since > 0, 30 * DRIVE * np.exp(-since / tau), 0)
        return process.LINE_READOUT_REST.value - process.LINE_READOUT_SLOPE.value * drive

    stamps = run.cadc.time[0, 0, : run.cadc.count[0, 0]] * CYCLE
    assert np.ptp(run.cadc.value[0, : stamps.size, 0]) > 10
    np.testing.assert_allclose(run.cadc.value[0, : stamps.size, 0], shown(stamps + 1), atol=0.6)
    time = run.madc.time * CYCLE
    clear = np.abs(time - 10.4) > 0.1
    expected = process.MADC_AT_ANCHOR.value + process.MADC_SLOPE.value * (shown(time) - 80)
    np.testing.assert_allclose(run.madc.value[0, clear, 0], expected[clear], atol=1.0)


def test_ideal_chip_samples_every_step() -> None:
    task = program([[63]], [(1250, 0)], record=Record(cadc=np.array([0]), trace=np.array([0])), runtime=40)
    run = VirtualChip(Die.ideal(), QUIET, 0.25).run(task)
    assert run.cadc is not None and run.trace is not None
    np.testing.assert_allclose(run.cadc.time[0, 0] * CYCLE, np.arange(160) * 0.25, atol=1e-9)
    np.testing.assert_allclose(run.cadc.value[0, 1:, 0], run.trace.membrane[0, :-1, 0], atol=0.5)


def test_cadc_buffers_are_limited() -> None:
    record = Record(cadc=np.array([0]))
    chip = VirtualChip(plain_die(), QUIET)
    full = chip.run(silent(record, runtime=170))
    assert full.cadc is not None and full.cadc.value.shape[1] == 100
    with pytest.raises(ProgramError, match=r"101 CADC samples.*SRAM buffer holds 100 .*DRAM"):
        chip.run(silent(record, runtime=170.5))
    assert chip.run(silent(replace(record, cadc_in_dram=True), runtime=171)).cadc is not None


# --- MADC ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime, samples", [(50.0, 1470), (34.0, 1000), (17.0, 500), (0.016, 0)])
def test_madc_rate(runtime: float, samples: int) -> None:
    """29.41 MS/s: one sample per 34 ns."""
    run = VirtualChip(plain_die(), QUIET).run(silent(Record(madc=np.array([2])), runtime=runtime))
    assert run.madc is not None and run.madc.value.shape == (1, samples, 1)
    np.testing.assert_allclose(run.madc.time * CYCLE, 0.034 * np.arange(1, samples + 1), atol=1e-9)


def test_madc_slope_and_clipping() -> None:
    levels = np.array([20.0, 79.5, 110, 200])
    codes = np.rint(process.LEAK_CODE.value + (levels - 80) / process.LEAK_SLOPE.value)
    volts = 80 + (codes - process.LEAK_CODE.value) * process.LEAK_SLOPE.value
    for code, volt in zip(codes, volts, strict=True):
        run = VirtualChip(plain_die(), QUIET).run(
            silent(Record(madc=np.array([0])), runtime=1, v_leak=np.full(512, code))
        )
        assert run.madc is not None
        expected = process.MADC_AT_ANCHOR.value + process.MADC_SLOPE.value * (volt - 80)
        assert np.abs(run.madc.value - expected).max() <= 0.51
    rails = Die.ideal()  # without rails of the circuit, those of the converter show
    for weight, code in ((60, 1023), (-60, 0)):
        task = program(np.full((40, 1), weight), [(10, s) for s in range(40)], record=Record(madc=np.array([0])))
        run = VirtualChip(rails, QUIET).run(replace(task, runtime=125 * 20))
        assert run.madc is not None
        assert (run.madc.value.min() if weight < 0 else run.madc.value.max()) == code


def test_madc_limits() -> None:
    chip = VirtualChip(plain_die(), QUIET)
    for circuits in ([0, 2], [1, 257], [0, 1, 2]):
        with pytest.raises(ProgramError, match=r"MADC was asked for circuits.*two circuits at most"):
            chip.run(silent(Record(madc=np.array(circuits)), runtime=10))
    assert chip.run(silent(Record(madc=np.array([3, 256])), runtime=10)).madc is not None
    with pytest.raises(ProgramError, match=r"MADC samples, but the buffer holds 65535"):
        chip.run(silent(Record(madc=np.array([0])), runtime=2230))


def _madc_and_trace(task: Program, circuits: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """MADC samples (CADC LSB) and their times (µs); membranes at tiny steps and their times."""
    run = VirtualChip(plain_die(), QUIET).run(replace(task, record=Record(madc=np.array(circuits))))
    fine = VirtualChip(plain_die(), QUIET, 0.01).run(replace(task, record=Record(trace=np.array(circuits))))
    assert run.madc is not None and fine.trace is not None
    shown = 80 + (run.madc.value[0] - process.MADC_AT_ANCHOR.value) / process.MADC_SLOPE.value
    return shown, run.madc.time * CYCLE, fine.trace.membrane[0], fine.trace.time


@pytest.mark.parametrize("tau_mem", [10.0, 1.0])
def test_madc_resolves_what_happens_inside_a_step(tau_mem: float) -> None:
    """Kinks at events anywhere in a step, joined circuits and two channels: right to a code, 0.35 CADC LSB."""
    rng = np.random.default_rng(8)
    weights = np.array([[40, 20, 0], [-35, 0, -30], [20, -30, 40]])
    events = [(int(t), int(s)) for t, s in zip(rng.integers(0, 4500, 30), rng.integers(0, 3, 30), strict=True)]
    cells = neurons(tau_mem=tau_mem, leak=110, tau_exc=5, tau_inh=3, connect_right=ALL == 0)
    shown, time, membrane, grid = _madc_and_trace(
        program(weights, events, [0, 1, 5], cells=cells, runtime=40), [0, 5]
    )
    for j in range(2):
        true = np.interp(time, grid, membrane[:, j])
        assert np.ptp(true) > 5 and true.min() > 90 and true.max() < 220  # away from the rails
        np.testing.assert_allclose(shown[:, j], true, atol=0.35)


def test_madc_resolves_resets() -> None:
    """The fall and the plateau of a reset and the way back, from a threshold crossed inside a step."""
    cells = neurons(leak=140, threshold=110, reset=60, enable_threshold=ALL == 4)
    shown, time, membrane, grid = _madc_and_trace(Program(ChipConfig(cells), 1, 125 * 60), [4])
    assert np.count_nonzero(np.diff(shown[:, 0]) < -5) > 10  # several resets, 200 LSB/µs steep
    slack = np.arange(-0.12, 0.121, 0.004)  # a run with tiny steps begins 0.09 µs later, and so do its spikes
    true = np.stack([np.interp(time + d, grid, membrane[:, 0]) for d in slack])
    assert np.abs(shown[:, 0] - true).min(axis=0).max() < 0.6


def test_madc_leaves_the_run_as_it_is() -> None:
    """Recording with the MADC changes neither spikes nor CADC samples, nor the step of the engine."""
    task = silent(Record(spikes=ALL, cadc=ALL), runtime=50, batch=2, leak=120.0, threshold=100.0)
    chip = VirtualChip(Die.from_seed(1))
    bare = chip.run(task, 3)
    read = chip.run(replace(task, record=replace(task.record, madc=np.array([7]))), 3)
    assert bare.spikes and read.spikes and bare.cadc and read.cadc and bare.spikes.time.size > 1000
    np.testing.assert_array_equal(bare.spikes.time, read.spikes.time)
    np.testing.assert_array_equal(bare.cadc.value, read.cadc.value)

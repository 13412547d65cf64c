"""The converters: scale, rates, limits, spread of channels, and the time stamps of both against each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hxtorch.fidelity.bench import ALL, CalibratedBench, Settings, cadc_mean, codes, halves, sample_times, switch
from hxtorch.fidelity.row import Measured, Row, protocol
from hxtorch.fidelity.spread import CHI
from hxtorch.shapes import Array
from hxtorch.twin import CommonConfig, NeuronConfig, ProgramError
from hxtorch.twin.places.coordinates import CIRCUITS, QUADRANTS

TEST_CODE = 310.0  # test voltage in the middle of the CADC's range
DRIVE_CODE = 300.0
GRID = 1.0  # µs, as the published figure


@protocol(
    "The same eight calibrated, silent neurons are read with both converters at four leak potentials (codes -60, "
    "0, +60, +120 "
    "around the calibrated ones); the value is the slope of the MADC over the CADC, mean over the neurons.",
    Row("MADC per CADC LSB", "", "2.8 ± 0.1 (2.88, 2.75)", "DEMO-ts_12, superspike figures", "M", 2.65, 3.0,
        "the two figures ± 4 %; routes by volts give 2.35 to 2.67 (D/I) and are not followed, because both "
        "figures show "
        "the same calibrated neuron on both converters"),
)  # fmt: skip
def scale(bench: CalibratedBench) -> Measured:
    """How many MADC LSB are one CADC LSB."""
    base = bench.calibrated()
    good = bench.good()
    chosen = good[np.linspace(0, good.size - 1, 8).astype(np.int64)]
    cadc, madc = [], []
    for shift in (-60.0, 0.0, 60.0, 120.0):
        moved = replace(base.neurons, v_leak=base.neurons.v_leak + shift, enable_threshold=switch(False))
        settings = Settings(moved, base.common)
        cadc.append(
            np.mean([cadc_mean(bench.run(settings, 100.0, entries=4, cadc=chosen)) for _ in range(4)], axis=0)
        )
        madc.append([bench.madc(settings, int(circuit), 100.0).value.mean() for circuit in chosen])
    slopes = [np.polyfit(np.array(cadc)[:, j], np.array(madc)[:, j], 1)[0] for j in range(chosen.size)]
    return Measured((float(np.mean(slopes)),), {"cadc": np.array(cadc), "madc": np.array(madc)})


def _longest_madc(bench: CalibratedBench) -> int:
    """Samples of the longest run that the MADC accepts, found by bisection."""
    settings, low, high = Settings(), 1.0, 10_000.0
    most = 0
    while high - low > 0.02:
        middle = (low + high) / 2
        try:
            most = max(most, bench.madc(settings, 0, middle).time.size)
            low = middle
        except ProgramError:
            high = middle
    return most


@protocol(
    "Rates come from the time stamps of a run; the longest MADC recording is found by bisection over the run time.",
    Row("MADC sample rate", "MS/s", "29.41", "HALDLS, 500 MHz / (12 + 5)", "D", 29.4, 29.42, "exact"),
    Row("MADC samples per run", "", "65,535", "HALDLS", "D", 65_530, 65_535, "a run time is in steps of 8 ns", 0),
    Row("CADC period, SRAM", "µs", "1.7", "CRAMER22; STROBE", "D", 1.6, 1.8,
        "grenade says about 2 and tests 1.0 to 2.5; followed is the loop used for training"),
    Row("CADC period, DRAM", "µs", "about 6, at most 7", "GREN", "D", 5.0, 7.0, "as its test"),
    Row("CADC phase of a run, spread", "periods", "0.29", "GREN: first sample is t = 0, offset unknown", "E",
        0.25, 0.33,
        "the phase is uniform over one period: standard deviation 1/√12"),
)  # fmt: skip
def rates(bench: CalibratedBench) -> Measured:
    """Rates and limits."""
    settings = Settings()
    madc = bench.madc(settings, 0, 100.0)
    fast = bench.run(settings, 100.0, entries=400, cadc=np.array([0, 256]))
    slow = bench.run(settings, 200.0, cadc=np.array([0]), dram=True)
    period = float(np.mean(np.diff(sample_times(fast, 0, 0))))
    first = [sample_times(fast, entry, side)[0] for entry in range(400) for side in range(2)]
    return Measured(
        (
            1 / float(np.mean(np.diff(madc.time))),
            float(_longest_madc(bench)),
            period,
            float(np.mean(np.diff(sample_times(slow, 0, 0)))),
            float(np.std(first)) / period,
        )
    )


def _channels(bench: CalibratedBench, common: CommonConfig) -> Array:
    """Mean reading (512,) of the test voltage."""
    tested = Settings(NeuronConfig(), replace(common, cadc_test_voltage=TEST_CODE))
    return np.asarray(np.mean([cadc_mean(bench.run(tested, 60.0, entries=4, cadc=ALL)) for _ in range(4)], axis=0))


@protocol(
    "All channels read the same test voltage, before calibration (equal registers) and with the default "
    "calibration, averaged over "
    "runs. The slope codes are those that the calibration needs for equal gains of the quadrants.",
    Row("CADC channel offsets, uncalibrated", "CADC LSB", "9.95 (-28 to 30)", "CUBE66; CALIX-T below 20", "M",
        8.8, 11.1,
        "three standard errors of 512 channels, within quadrants"),
    Row("CADC channels, calibrated", "CADC LSB", "about 1, below 3", "CALIX-T; chip.md 4.3", "D", 0.3, 3.0,
        "the limit is documented, the typical value an estimate"),
    Row("CADC ramp slopes: spread of quadrants", "%", "5.0", "CUBE66 codes 389, 379, 348, 359", "M", 5.0 * CHI[0],
        5.0 * CHI[1], "998 of 1000 spreads of four", 1),
)  # fmt: skip
def channels(bench: CalibratedBench) -> Measured:
    """Spread of the CADC channels."""
    raw = _channels(bench, CommonConfig())
    calibrated = bench.calibrated().common
    within = raw - np.repeat(raw.reshape(QUADRANTS, -1).mean(axis=1), CIRCUITS // QUADRANTS)
    slope = calibrated.cadc_ramp_slope
    return Measured(
        (
            float(within.std()),
            float(_channels(bench, calibrated).std()),
            100 * float(slope.std(ddof=1) / slope.mean()),
        ),
        {"uncalibrated": raw},
    )


@protocol(
    "Calibrated neurons fire under a constant current. The CADC samples of a run are interpolated linearly onto a "
    "1 µs grid, as the "
    "library and the published figure do; the reset edge begins at the last grid point before the trace falls by "
    "more than a "
    "tenth of the reset's height. The same neuron on the MADC has its edge at the last sample before the fall. "
    "Both are "
    "compared with the stamp of the spike.",
    Row("CADC: reset edge before the spike stamp", "µs", "1.5 to 2", "DEMO-ts_12 figure", "M", 1.2, 2.3,
        "one spike of a figure on a 1 µs grid, ± 0.3"),
    Row("CADC: width of the reset edge", "µs", "about 3", "DEMO-ts_12 figure", "M", 2.0, 4.0,
        "from the first to the last tenth of the height on a 1 µs grid; published is one edge"),
    Row("MADC: reset edge before the spike stamp", "µs", "0.08", "JAXSNN correction of on-chip stamps", "D", 0.0,
        0.2,
        "0.08 ± two samples and stamps of 8 ns"),
)  # fmt: skip
def timing(bench: CalibratedBench) -> Measured:
    """Time stamps of CADC, MADC and spikes at a reset."""
    base = bench.calibrated()
    good = bench.good()
    chosen = good[np.linspace(0, good.size - 1, 32).astype(np.int64)]
    driven = replace(
        base.neurons, enable_offset=switch(True), i_offset=codes(DRIVE_CODE), enable_threshold=switch(chosen)
    )
    recording = bench.run(Settings(driven, base.common), 150.0, entries=4, cadc=chosen, spikes=chosen)
    assert recording.spikes is not None
    before, width, courses = [], [], []
    grid = np.arange(0.0, 150.0, GRID)
    column = 0
    for time, entry, value in halves(recording):
        for j in range(value.shape[1]):
            for e in range(4):
                trace = np.interp(grid, time[entry == e], value[entry == e, j].astype(np.float64))
                mine = (recording.spikes.circuit == chosen[column + j]) & (recording.spikes.entry == e)
                for stamp in recording.spikes.time[mine] / 125:
                    edge = _edge(trace, stamp)
                    if edge is not None:
                        before.append(stamp - edge[0])
                        width.append(edge[1] - edge[0])
                        place = int(stamp)
                        courses.append(trace[place - 8 : place + 9])
        column += value.shape[1]
    lone = Settings(replace(driven, enable_threshold=switch(chosen[:1])), base.common)
    madc = bench.madc(lone, int(chosen[0]), 300.0, spikes=True)
    edges = [_madc_edge(madc.time, madc.value[0], stamp) for stamp in madc.spikes[0] if 5 < stamp < 290]
    return Measured(
        (float(np.mean(before)), float(np.mean(width)), float(np.mean(edges))),
        {
            "cadc": np.mean(courses, axis=0),
            "madc_time": madc.time,
            "madc": madc.value[0],
            "spikes": madc.spikes[0],
        },
    )


def _edge(trace: Array, stamp: float) -> tuple[float, float] | None:
    """Begin and end (µs) of the fall near a spike on the 1 µs grid; None at the borders of the run."""
    place = int(stamp)
    if place < 8 or place > trace.size - 10:
        return None
    window = trace[place - 6 : place + 5]
    low = 3 + int(np.argmin(window[3:]))
    high = int(np.argmax(window[: low + 1]))
    height = window[high] - window[low]
    near_top = np.flatnonzero(window[:low] > window[high] - height / 10)
    near_low = np.flatnonzero(window[near_top[-1] :] < window[low] + height / 10)
    return place - 6.0 + near_top[-1], place - 6.0 + near_top[-1] + near_low[0]


def _madc_edge(time: Array, value: Array, stamp: float) -> float:
    """Time (µs) from the last MADC sample before the fall to the stamp."""
    near = np.flatnonzero((time > stamp - 1.5) & (time < stamp + 1.0))
    drop = value[near[2:]] - value[near[:-2]]
    return float(stamp - time[near[int(np.argmin(drop))]])

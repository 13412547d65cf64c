"""The step of the engine changes nothing beyond the noise: half a microsecond against a quarter, or far less."""

from __future__ import annotations

from dataclasses import replace

import bench
import numpy as np
import pytest
from bench import CYCLE, crossbar, neurons, only, plain_die, program

from hxtorch.twin import ChipConfig, Die, InputEvents, Noise, Program, Record, VirtualChip
from hxtorch.twin.pattern import process

STEPS = (0.5, 0.25)
EVERYONE = np.arange(512)


def _chips(noise: Noise) -> list[VirtualChip]:
    return [VirtualChip(bench.plain_die(), noise, step) for step in STEPS]


def test_rest_and_its_noise() -> None:
    task = bench.silent(Record(cadc=EVERYONE), runtime=50, batch=40)
    runs = [chip.run(task, 3).cadc for chip in _chips(replace(Noise(), run_offset=0.0))]
    assert runs[0] is not None and runs[1] is not None
    values = [run.value[:, :29].astype(float) for run in runs]
    # 512 * 40 independent membranes: the mean is sure to 0.01 LSB, the deviation to 1 %
    assert values[0].mean() == pytest.approx(values[1].mean(), abs=0.03)
    assert values[0].std() == pytest.approx(values[1].std(), rel=0.02)


@pytest.mark.parametrize(("tau_mem", "tau_syn"), [(10.0, 10.0), (20.0, 2.0), (6.0, 1.0)])
@pytest.mark.parametrize("weight", [40, -40])
def test_course_of_a_psp(tau_mem: float, tau_syn: float, weight: int) -> None:
    """Events at any place inside a step; compared where both steps end."""
    cells = bench.neurons(leak=120, tau_mem=tau_mem, tau_exc=tau_syn, tau_inh=tau_syn)
    events = [(round((5.0 + 7.03 * n) / bench.CYCLE), 0) for n in range(4)]
    task = bench.program([[weight]], events, runtime=40, cells=cells)
    traces = [chip.run(task).trace for chip in _chips(Noise.off())]
    assert traces[0] is not None and traces[1] is not None
    coarse, fine = (np.interp(np.arange(4, 39, 0.5), t.time, t.membrane[0, :, 0]) - 120 for t in traces)
    peak = np.abs(fine).max()
    assert peak > 3
    # the comparison itself draws straight lines between the ends of steps, which costs most at a PSP's onset
    assert np.abs(coarse).max() == pytest.approx(peak, rel=5e-3)
    np.testing.assert_allclose(coarse, fine, atol=0.02 * peak)


@pytest.mark.parametrize("leak", [112.0, 130.0, 160.0])
def test_firing_interval_and_first_crossing(leak: float) -> None:
    """A constant drive above the threshold, without noise: first crossing after a reset, and intervals."""
    cells = bench.neurons(leak=leak, threshold=100)
    task = replace(bench.silent(Record(spikes=np.array([0])), runtime=400), resets=(1,))
    task = replace(task, config=replace(task.config, neurons=cells))
    times = []
    for chip in _chips(Noise.off()):
        spikes = chip.run(task).spikes
        assert spikes is not None
        times.append(spikes.time * bench.CYCLE)
    assert times[0].size == times[1].size > 10
    assert times[0][0] == pytest.approx(times[1][0], abs=0.03)
    assert np.diff(times[0]).mean() == pytest.approx(np.diff(times[1]).mean(), rel=2e-3)


def test_rates_under_input() -> None:
    """Rates of neurons that get a random input: the same to half of a percent, with all noise on."""
    rng = np.random.default_rng(5)
    events = [(int(t), int(s)) for t, s in zip(rng.integers(0, 25000, 400), rng.integers(0, 8, 400), strict=True)]
    chosen = list(range(64))
    task = bench.program(
        np.full((8, 64), 30), events, chosen, runtime=200, batch=20, cells=bench.neurons(threshold=100),
        record=Record(spikes=np.asarray(chosen)),
    )  # fmt: skip
    counts = []
    for chip in _chips(Noise()):
        spikes = chip.run(task, 1).spikes
        assert spikes is not None
        counts.append(spikes.time.size)
    assert counts[1] > 2000
    assert counts[0] == pytest.approx(counts[1], rel=0.01)


# --- A recurrent network and a membrane under input, against a very small step ---


def _membrane(chip: VirtualChip, task: Program) -> tuple[np.ndarray, np.ndarray]:
    trace = chip.run(task).trace
    assert trace is not None
    return trace.time, trace.membrane[0, :, 0].astype(float)


def _recurrent(seed: int, die: Die) -> tuple[Program, int]:
    """40 neurons with random input and random recurrent synapses."""
    rng = np.random.default_rng(seed)
    size, inputs = 40, 20
    circuits = np.arange(size)
    matrix = np.zeros((128, size), dtype=np.int64)
    free = [d for d in range(128) if not (d % 4 < 2 and d // 4 in (0, 4))][:inputs]  # not those of the neurons
    matrix[free] = rng.integers(-20, 63, (inputs, size))
    routing, array = crossbar(matrix, circuits)
    labels = routing.labels.copy()
    label = np.arange(512) % 32 + 2
    for output, driver in ((0, 0), (1, 17)):  # rows of the events of columns 0..31 and 32..63
        for row in (2 * driver, 2 * driver + 1):
            labels[0, row, :size] = 2 + rng.integers(0, 32 if output == 0 else size - 32, size)
            array[0, row, :size] = rng.integers(0, 40, size)
    routing = type(routing)(labels=labels, row_mode=routing.row_mode)
    cells = neurons(threshold=100, tau_mem=8, tau_exc=5, tau_inh=5, enable_threshold=only(*circuits), label=label)
    driver = np.array(free)
    time = np.sort(rng.integers(0, 125 * 40, 150))
    sent = InputEvents(
        np.zeros(150, dtype=np.int64),
        time,
        rng.integers(0, inputs, 150),
        (driver % 4 << 11) | (driver // 4 << 6) | 1,
    )
    record = Record(spikes=circuits, trace=circuits)
    return Program(ChipConfig(cells, routing=routing, weights=array), 1, 125 * 40, sent, record), size


@pytest.mark.parametrize("die", [Die.ideal(), plain_die(), Die.from_seed(3)], ids=["ideal", "plain", "die 3"])
@pytest.mark.parametrize("step, tolerance", [(0.5, 0.09), (0.25, 0.05), (0.125, 0.03)])
def test_spikes_do_not_depend_on_the_step(die: Die, step: float, tolerance: float) -> None:
    """First spikes of a recurrent network agree with those of a step of 1/64 µs to `tolerance` µs."""
    task, size = _recurrent(5, die)

    def first(h: float) -> np.ndarray:
        spikes = VirtualChip(die, Noise.off(), h).run(task).spikes
        assert spikes is not None
        return np.array([spikes.time[spikes.circuit == c].min(initial=10**6) for c in range(size)]) * CYCLE

    fine, coarse = first(1 / 64), first(step)
    silent_cells = np.count_nonzero(fine > 100)
    assert silent_cells < size - 20  # otherwise there is nothing to compare
    differences = np.abs(fine - coarse)
    # a neuron that only just reaches its threshold may come late; all others may not
    assert np.quantile(differences, 0.9) < tolerance
    assert np.median(differences) < tolerance / 2


@pytest.mark.parametrize("die", [Die.ideal(), plain_die(), Die.from_seed(3)], ids=["ideal", "plain", "die 3"])
@pytest.mark.parametrize("step, tolerance", [(0.5, 0.06), (0.25, 0.03), (0.125, 0.015)])
def test_membrane_does_not_depend_on_the_step(die: Die, step: float, tolerance: float) -> None:
    weights = np.array([[60], [-45], [30]])
    rng = np.random.default_rng(2)
    events = sorted(
        (int(t), int(s)) for t, s in zip(rng.integers(0, 5000, 30), rng.integers(0, 3, 30), strict=True)
    )
    cells = neurons(leak=140, tau_mem=8, tau_exc=4, tau_inh=6)
    leaks = VirtualChip(die).parameters(ChipConfig(cells)).leak
    typical = int(np.argmin(np.abs(leaks - 140)))  # away from the rails, where a step matters more
    task = program(weights, events, [typical], cells=cells, runtime=60)
    fine = _membrane(VirtualChip(die, Noise.off(), 1 / 64), task)
    time, coarse = _membrane(VirtualChip(die, Noise.off(), step), task)
    # An event inside a step enters the membrane at the next one: there the end of a step is not comparable.
    latency = 0.0 if die.nominal else process.INPUT_LATENCY.value
    arrivals = np.array([t for t, _ in events]) * CYCLE + latency
    clear = np.array([not np.any((arrivals > t - step - 1 / 32) & (arrivals <= t + 1 / 32)) for t in time])
    clear &= time <= fine[0][-1]
    assert clear.sum() > 40 and np.ptp(fine[1]) > 20
    np.testing.assert_allclose(coarse[clear], np.interp(time, *fine)[clear], rtol=0, atol=tolerance)

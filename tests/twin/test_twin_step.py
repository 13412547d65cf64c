"""Halving the step of the engine changes nothing beyond the noise: half a microsecond against a quarter."""

from __future__ import annotations

from dataclasses import replace

import bench
import numpy as np
import pytest

from hxtorch.twin import Noise, Record, VirtualChip

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

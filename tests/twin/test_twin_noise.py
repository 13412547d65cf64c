"""Temporal noise: reproducible, independent where it should be, and of the stated strengths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from bench import CYCLE, neurons, plain_die, program, silent

from hxtorch.twin import (
    ChipConfig,
    Die,
    Noise,
    Program,
    Record,
    Recording,
    VirtualChip,
    get_num_threads,
    set_num_threads,
)
from hxtorch.twin.pattern import process

EVERYONE = np.arange(512)
QUIET = Noise.off()


@pytest.fixture
def _threads() -> Iterator[None]:
    before = get_num_threads()
    yield
    set_num_threads(before)


def _busy(batch: int = 5, record: Record | None = None) -> Program:
    rng = np.random.default_rng(4)
    weights = rng.integers(-20, 63, (12, 40))
    events = [(int(t), int(s)) for t, s in zip(rng.integers(0, 4000, 80), rng.integers(0, 12, 80), strict=True)]
    circuits = list(range(236, 276))
    record = record or Record(np.array(circuits), np.array(circuits), trace=np.array(circuits))
    cells = neurons(threshold=100, enable_threshold=np.isin(EVERYONE, circuits))
    return program(weights, events, circuits, runtime=40, batch=batch, cells=cells, record=record)


def _same(a: Recording, b: Recording) -> bool:
    assert a.spikes and b.spikes and a.cadc and b.cadc and a.trace and b.trace
    pairs = [
        (a.spikes.entry, b.spikes.entry), (a.spikes.time, b.spikes.time), (a.spikes.circuit, b.spikes.circuit),
        (a.cadc.value, b.cadc.value), (a.cadc.time, b.cadc.time), (a.trace.membrane, b.trace.membrane),
    ]  # fmt: skip
    return all(x.shape == y.shape and np.array_equal(x, y) for x, y in pairs)


@pytest.mark.usefixtures("_threads")
def test_result_depends_on_seeds_only() -> None:
    runs = []
    for threads in (1, 2, 1):
        set_num_threads(threads)
        runs.append(VirtualChip(Die.from_seed(1)).run(_busy(), trial_seed=7))
    assert runs[0].spikes is not None and runs[0].spikes.time.size > 100
    assert _same(runs[0], runs[1]) and _same(runs[0], runs[2])
    assert not _same(runs[0], VirtualChip(Die.from_seed(1)).run(_busy(), trial_seed=8))
    assert not _same(runs[0], VirtualChip(Die.from_seed(2)).run(_busy(), trial_seed=7))


@pytest.mark.usefixtures("_threads")
def test_a_used_chip_equals_a_new_one() -> None:
    """Caches and a spike buffer that had to grow leave no trace."""
    task = _busy(batch=40)
    chip = VirtualChip(Die.from_seed(1))
    set_num_threads(1)
    first = chip.run(task, 3)
    chip.run(replace(task, config=replace(task.config, weights=task.config.weights // 2)), 3)
    chip._emulator.spike_capacity = 1
    assert _same(first, chip.run(task, 3))
    assert _same(first, VirtualChip(Die.from_seed(1)).run(task, 3))


def test_an_entry_does_not_depend_on_the_batch() -> None:
    chip = VirtualChip(Die.from_seed(1))
    one, five = chip.run(_busy(1), 5), chip.run(_busy(5), 5)
    assert one.spikes and five.spikes and one.cadc and five.cadc
    assert np.array_equal(one.spikes.time, five.spikes.time[five.spikes.entry == 0])
    assert np.array_equal(one.cadc.value[0], five.cadc.value[0])
    assert not np.array_equal(five.cadc.value[0], five.cadc.value[1])


# --- Strengths ----------------------------------------------------------------------------------------------


def _trace(
    noise: Noise, seed: int = 0, runtime: float = 400, batch: int = 4, state: str = "membrane"
) -> np.ndarray:
    """Deviation of a state (entries, samples, 512) of silent neurons with a membrane time constant of 10 µs."""
    task = silent(Record(trace=EVERYONE, trace_states=(state,)), runtime=runtime, batch=batch)
    trace = VirtualChip(plain_die(), noise, 0.25).run(task, seed).trace
    assert trace is not None
    return trace[state] - (80.0 if state == "membrane" else 0.0)


@pytest.mark.parametrize("sigma, time", [(0.35, 12.0), (1.0, 4.0)])
def test_noise_of_the_leak_is_an_ornstein_uhlenbeck_process(sigma: float, time: float) -> None:
    """Mean, variance and correlation from 2048 traces of 400 µs: all within 2 %."""
    values = _trace(replace(QUIET, membrane=sigma, membrane_time=time), state="noise")
    assert values.std() == pytest.approx(sigma, rel=0.02)
    assert abs(values.mean()) < 0.02 * sigma
    assert values[:, 0].std() == pytest.approx(sigma, rel=0.08)  # stationary from the start
    for lag in (4, 40, 80):
        correlation = (values[:, :-lag] * values[:, lag:]).mean() / sigma**2
        assert correlation == pytest.approx(np.exp(-lag * 0.25 / time), abs=0.02)


@pytest.mark.parametrize("sigma, time", [(0.35, 12.0), (1.0, 4.0)])
def test_a_silent_membrane_follows_the_noise_of_its_leak(sigma: float, time: float) -> None:
    """Noise of correlation time T behind a low-pass of tau: variance sigma^2 T / (T + tau), two exponentials."""
    tau = 10.0
    values = _trace(replace(QUIET, membrane=sigma, membrane_time=time))
    expected = sigma * np.sqrt(time / (time + tau))
    assert values.std() == pytest.approx(expected, rel=0.02)
    assert abs(values.mean()) < 0.02 * sigma
    for begin in (0, 8, 40, 80):  # stationary from the start
        assert values[:, begin].std() == pytest.approx(expected, rel=0.08)
    for lag in (4, 40, 80):
        t = lag * 0.25
        correlation = (values[:, :-lag] * values[:, lag:]).mean() / expected**2
        exact = (time * np.exp(-t / time) - tau * np.exp(-t / tau)) / (time - tau)
        assert correlation == pytest.approx(exact, abs=0.02)


def test_noise_of_the_leak_jitters_intervals() -> None:
    """After a reset the membrane has not yet followed the noise: its deviation at the threshold over its slope."""
    sigma, time, tau = 0.5, 12.0, 10.0
    cells = {"leak": 120.0, "threshold": 100.0, "tau_mem": tau}
    task = silent(Record(spikes=EVERYONE), runtime=300, **cells)
    noise = replace(QUIET, membrane=sigma, membrane_time=time)
    spikes = VirtualChip(plain_die(), noise).run(task).spikes
    assert spikes is not None
    order = np.lexsort((spikes.time, spikes.circuit))
    stamp, circuit = spikes.time[order] * CYCLE, spikes.circuit[order]
    intervals = np.diff(stamp)[circuit[1:] == circuit[:-1]]
    rise = tau * np.log((120 - 70) / (120 - 100))
    grid = (np.arange(400) + 0.5) * rise / 400
    weight = np.exp(-(rise - grid) / tau) / tau * (grid[1] - grid[0])
    covariance = sigma**2 * np.exp(-np.abs(grid[:, None] - grid) / time)
    deviation = np.sqrt(weight @ covariance @ weight)
    assert intervals.std() == pytest.approx(deviation / (20 / 10), rel=0.05)


def test_streams_are_uncorrelated() -> None:
    """Between 64 circuits, 4 entries and 2 trial seeds: as small as 800 independent samples make it."""
    white = replace(QUIET, membrane=1.0, membrane_time=0.05)  # no memory from step to step
    streams = np.concatenate(
        [
            _trace(white, seed, 200, state="noise")[:, :, :64].swapaxes(1, 2)[:, :, :800].reshape(-1, 800)
            for seed in (0, 1)
        ]
    )
    correlation = np.corrcoef(streams)
    off = correlation[np.triu_indices(len(streams), 1)]
    assert off.size == 512 * 511 // 2
    assert np.abs(off).max() < 5.5 / np.sqrt(800)
    assert off.std() == pytest.approx(1 / np.sqrt(800), rel=0.05)
    lagged = np.abs([np.corrcoef(s[:-1], s[1:])[0, 1] for s in streams])
    assert lagged.max() < 5 / np.sqrt(800)


def _cadc(
    noise: Noise, *, batch: int = 20, seed: int = 0, runtime: float = 160, die: Die | None = None
) -> Recording:
    return VirtualChip(die or plain_die(), noise).run(
        silent(Record(cadc=EVERYONE), runtime=runtime, batch=batch), seed
    )


def _valid(run: Recording) -> np.ndarray:
    assert run.cadc is not None
    return run.cadc.value[:, : run.cadc.count.min()].astype(float)


def test_cadc_noise_is_white() -> None:
    values = _valid(_cadc(replace(QUIET, cadc=0.7)))
    assert values.std() == pytest.approx(np.hypot(0.7, 1 / np.sqrt(12)), rel=0.02)
    assert values.mean() == pytest.approx(80, abs=0.01)
    centred = values - 80
    assert abs((centred[:, 1:] * centred[:, :-1]).mean()) < 0.01
    assert abs((centred[:, :, 1:] * centred[:, :, :-1]).mean()) < 0.01


def test_madc_noise_of_a_silent_neuron() -> None:
    chip = VirtualChip(plain_die())
    run = chip.run(silent(Record(madc=np.array([4, 9])), runtime=100, batch=20))
    assert run.madc is not None
    values = run.madc.value.astype(float)
    assert 1.3 < values.std() < 1.9
    slow = process.MADC_SLOPE.value * Noise().membrane * np.sqrt(12 / (12 + 10))
    expected = np.sqrt(1.35**2 + slow**2 + 1 / 12)
    assert values.std() == pytest.approx(expected, rel=0.08)
    assert values.mean() == pytest.approx(process.MADC_AT_ANCHOR.value, abs=0.4)
    white = VirtualChip(plain_die(), replace(QUIET, madc=1.35)).run(silent(Record(madc=np.array([4])), runtime=100))
    assert white.madc is not None
    assert white.madc.value.std() == pytest.approx(np.hypot(1.35, 1 / np.sqrt(12)), rel=0.04)


def test_run_offset_changes_from_run_to_run() -> None:
    noise = replace(QUIET, run_offset=1.0)
    means = np.stack([_valid(_cadc(noise, batch=2, seed=seed, runtime=20)).mean(axis=(0, 1)) for seed in range(20)])
    assert means.std() == pytest.approx(np.hypot(1.0, 1 / np.sqrt(12)), rel=0.03)
    assert abs(means.mean() - 80) < 0.05
    within = _valid(_cadc(noise, batch=3, runtime=20))
    assert np.ptp(within, axis=(0, 1)).max() == 0  # one offset per neuron and run
    assert abs(np.corrcoef(means)[np.triu_indices(20, 1)]).max() < 5 / np.sqrt(512)


def test_cadc_phase_is_uniform() -> None:
    run = _cadc(replace(QUIET, cadc_phase=1.0), batch=1000, runtime=10)
    assert run.cadc is not None
    phase = run.cadc.time[:, :, 0] * CYCLE / 1.7  # (entry, hemisphere)
    assert phase.min() >= 0 and phase.max() < 1
    for side in (0, 1):
        rank = np.sort(phase[:, side])
        assert np.abs(rank - (np.arange(1000) + 0.5) / 1000).max() < 0.052  # Kolmogorov at 1 %
    assert abs(np.corrcoef(phase.T)[0, 1]) < 0.1
    part = _cadc(replace(QUIET, cadc_phase=0.25), batch=200, runtime=10)
    assert part.cadc is not None
    assert 0.2 < (part.cadc.time[:, :, 0] * CYCLE / 1.7).max() < 0.25


def test_spikes_are_lost_at_the_given_rate() -> None:
    cells = {"leak": 120.0, "threshold": 100.0, "tau_mem": 5.0}
    task = silent(Record(spikes=EVERYONE), runtime=150, **cells)
    complete = VirtualChip(plain_die(), QUIET).run(task)
    assert complete.spikes is not None and complete.lost_spikes == 0
    total = complete.spikes.time.size
    lossy = VirtualChip(plain_die(), replace(QUIET, spike_loss=0.05)).run(task)
    assert lossy.spikes is not None
    assert lossy.spikes.time.size + lossy.lost_spikes == total > 5000
    assert lossy.lost_spikes / total == pytest.approx(0.05, abs=5 * np.sqrt(0.05 * 0.95 / total))
    # losing the record of a spike does not change the dynamics
    every = set(zip(complete.spikes.circuit.tolist(), complete.spikes.time.tolist(), strict=True))
    assert every.issuperset(zip(lossy.spikes.circuit.tolist(), lossy.spikes.time.tolist(), strict=True))


def test_charge_noise_jitters_events() -> None:
    """Relative spread of the PSPs of 400 entries: 5 % with a tolerance of 0.5 %, no change of the mean."""
    task = program([[50], [50]], [(500, 0), (501, 1)], batch=400, runtime=12, record=Record(trace=np.array([0])))
    run = VirtualChip(plain_die(), replace(QUIET, charge=0.05)).run(task)
    exact = VirtualChip(plain_die(), QUIET).run(task)
    assert run.trace is not None and exact.trace is not None
    ratio = (run.trace.membrane[:, -1, 0] - 80) / (exact.trace.membrane[0, -1, 0] - 80)
    assert ratio.std() == pytest.approx(0.05 / np.sqrt(2), abs=0.004)  # two independent events
    assert ratio.mean() == pytest.approx(1, abs=0.008)


def test_threshold_jitters_from_spike_to_spike() -> None:
    """Intervals of a neuron with its leak above threshold spread by sigma over the slope at the threshold."""
    cells = {"leak": 120.0, "threshold": 100.0, "tau_mem": 10.0}
    task = silent(Record(spikes=EVERYONE), runtime=300, **cells)
    spikes = VirtualChip(plain_die(), replace(QUIET, threshold=0.2)).run(task).spikes
    assert spikes is not None
    order = np.lexsort((spikes.time, spikes.circuit))
    time, circuit = spikes.time[order] * CYCLE, spikes.circuit[order]
    intervals = np.diff(time)[circuit[1:] == circuit[:-1]]
    assert intervals.std() == pytest.approx(0.2 / (20 / 10), rel=0.05)
    ideal_interval = 31 * 16 / 250 + 10 * np.log((120 - 70) / (120 - 100))
    assert intervals.mean() == pytest.approx(ideal_interval, rel=0.01)


@pytest.mark.parametrize(
    "name", ["membrane", "cadc", "run_offset", "cadc_phase", "threshold", "charge", "spike_loss"]
)
def test_every_noise_can_be_switched_off(name: str) -> None:
    """Each strength alone changes a busy recording, and without any, trials are identical."""
    strong = {"membrane": 1.0, "cadc": 2.0, "run_offset": 3.0, "threshold": 1.0, "charge": 0.2, "spike_loss": 0.3}
    task = _busy(2)
    alone = replace(QUIET, **{name: strong.get(name, 1.0)})
    chip = VirtualChip(plain_die(), alone)
    assert not _same(chip.run(task, 0), chip.run(task, 1))
    off = VirtualChip(plain_die(), alone.without(name))
    assert _same(off.run(task, 0), off.run(task, 1))


def test_noise_errors() -> None:
    for name, value in (("membrane", -1.0), ("cadc", float("nan")), ("spike_loss", 1.5), ("membrane_time", 0.0)):
        with pytest.raises(ValueError, match=f"Noise.{name} is"):
            Noise(**{name: value})
    with pytest.raises(ValueError, match=r"no noise called rumble.*membrane"):
        Noise().without("rumble")
    assert Noise.off() == Noise().without("membrane", "cadc", "madc", "run_offset", "threshold", "charge",
                                          "spike_loss", "link_load", "cadc_phase")  # fmt: skip
    with pytest.raises(ValueError, match="threads is 0"):
        set_num_threads(0)


def test_test_voltage_has_no_membrane_noise() -> None:
    """With all channels on the test voltage, no circuit is connected."""
    task = silent(Record(cadc=EVERYONE), runtime=100)
    config = ChipConfig(task.config.neurons, replace(task.config.common, cadc_test_voltage=300.0))
    run = VirtualChip(plain_die(), replace(QUIET, membrane=5.0)).run(replace(task, config=config))
    assert np.ptp(_valid(run)) == 0

"""The fixed pattern of a chip: reproducible, and with the spreads of `process`."""

from __future__ import annotations

import numpy as np
import pytest

from hxtorch.twin import DEFAULT_CHIP_SEED, Die, Record, VirtualChip
from hxtorch.twin.pattern import process
from hxtorch.twin.pattern.fixed_pattern import EFFECTS

SEEDS = range(100, 140)


@pytest.fixture(scope="module")
def dies() -> list[Die]:
    return [Die.from_seed(seed) for seed in SEEDS]


def test_a_seed_names_a_chip(dies: list[Die]) -> None:
    again = Die.from_seed(100)
    for effect in EFFECTS:
        value, other = np.asarray(getattr(dies[0], effect)), np.asarray(getattr(dies[1], effect))
        assert np.array_equal(value, getattr(again, effect))
        if effect not in ("capmem_error", "spike_delay"):  # the same on all chips
            assert not np.any(value == other), effect
    assert again.identifier == "twin:100" != dies[1].identifier
    assert not again.nominal


def _within(values: np.ndarray) -> np.ndarray:
    """Deviations (chips x 512) from the means of the quadrants."""
    quadrants = values.reshape(len(values), 4, 128)
    return (quadrants - quadrants.mean(axis=2, keepdims=True)).reshape(len(values), -1)


def _stack(dies: list[Die], effect: str, log: bool) -> np.ndarray:
    values = np.stack([getattr(die, effect) for die in dies])
    return np.log(values) if log else values


@pytest.mark.parametrize(
    "effect, log, spread, quadrant",
    [
        ("leak_code", False, process.LEAK_SPREAD, process.LEAK_QUADRANT_SPREAD),
        ("reset_code", False, process.RESET_SPREAD, process.RESET_QUADRANT_SPREAD),
        ("threshold_code", False, process.THRESHOLD_SPREAD, process.THRESHOLD_QUADRANT_SPREAD),
        ("leak_conductance", True, process.LEAK_CONDUCTANCE_SPREAD, process.LEAK_CONDUCTANCE_QUADRANT_SPREAD),
        ("tau_exc", True, process.TAU_SYN_SPREAD, process.TAU_SYN_QUADRANT_SPREAD),
        ("tau_inh", True, process.TAU_SYN_SPREAD, process.TAU_SYN_QUADRANT_SPREAD),
        ("gain_exc", True, process.GAIN_SPREAD, process.GAIN_QUADRANT_SPREAD),
        ("gain_inh", True, process.GAIN_SPREAD, process.GAIN_QUADRANT_SPREAD),
    ],
)
def test_spreads_of_circuits(
    dies: list[Die], effect: str, log: bool, spread: process.Fact, quadrant: process.Fact
) -> None:
    """40 chips: 20480 circuits (2 % tolerance) and 160 quadrants (20 %)."""
    values = _stack(dies, effect, log)
    assert _within(values).std() == pytest.approx(spread.value * np.sqrt(127 / 128), rel=0.02)
    means = values.reshape(len(dies), 4, 128).mean(axis=2)
    expected = np.hypot(quadrant.value, spread.value / np.sqrt(128))
    assert means.std() == pytest.approx(expected, rel=0.2)
    centre = np.log(process.GAIN_INH_RATIO.value) if effect == "gain_inh" else 0.0
    assert abs(means.mean() - centre) < 4 * expected / np.sqrt(160)


@pytest.mark.parametrize(
    "effect, log, spread",
    [
        ("shift_exc", False, process.SHIFT_SPREAD),
        ("shift_inh", False, process.SHIFT_SPREAD),
        ("reset_time", True, process.RESET_TIME_SPREAD),
        ("synapse", True, process.SYNAPSE_SPREAD),
        ("driver", True, process.DRIVER_SPREAD),
        ("cadc_channel", False, process.CADC_CHANNEL_SPREAD),
    ],
)
def test_spreads_without_quadrants(dies: list[Die], effect: str, log: bool, spread: process.Fact) -> None:
    values = _stack(dies[:10], effect, log)
    assert values.std() == pytest.approx(spread.value, rel=0.04)
    assert abs(values.mean()) < 5 * spread.value / np.sqrt(values.size)


def test_spreads_of_the_converters(dies: list[Die]) -> None:
    gain = np.stack([die.cadc_gain for die in dies])
    ramp = np.stack([die.cadc_ramp for die in dies])
    offset = np.array([die.madc_offset for die in dies])
    assert gain.std() == pytest.approx(process.CADC_GAIN_SPREAD.value, rel=0.2)
    assert gain.mean() == pytest.approx(1, abs=0.02)
    assert ramp.std() == pytest.approx(process.CADC_RAMP_OFFSET_SPREAD.value, rel=0.2)
    assert offset.std() == pytest.approx(process.MADC_OFFSET_SPREAD.value, rel=0.4)


def test_correlations(dies: list[Die]) -> None:
    def correlation(a: str, b: str, log: bool = False) -> float:
        return float(
            np.corrcoef(_within(_stack(dies, a, log)).ravel(), _within(_stack(dies, b, log)).ravel())[0, 1]
        )

    documented = {
        ("leak_code", "reset_code"): process.LEAK_RESET_CORRELATION.value,
        ("leak_code", "threshold_code"): process.LEAK_THRESHOLD_CORRELATION.value,
        ("reset_code", "threshold_code"): process.RESET_THRESHOLD_CORRELATION.value,
    }
    for pair, expected in documented.items():
        assert correlation(*pair) == pytest.approx(expected, abs=0.025)
    assert correlation("gain_exc", "gain_inh", True) == pytest.approx(process.GAIN_CORRELATION.value, abs=0.025)
    independent = ("leak_conductance", "tau_exc", "tau_inh", "gain_exc", "reset_time")
    for i, a in enumerate(independent):
        for b in independent[i + 1 :]:
            assert abs(correlation(a, b, True)) < 0.03
    assert abs(correlation("shift_exc", "shift_inh")) < 0.03


def test_without() -> None:
    die = Die.from_seed(5)
    half = die.without("synapse", "gain_inh", "leak_code")
    assert (half.synapse == 1).all() and (half.gain_inh == 1).all() and (half.leak_code == 0).all()
    for effect in set(EFFECTS) - {"synapse", "gain_inh", "leak_code"}:
        assert np.array_equal(getattr(half, effect), getattr(die, effect))
    assert half.identifier not in (die.identifier, die.without("synapse").identifier)
    assert (die.synapse != 1).any()
    with pytest.raises(ValueError, match=r"no effect called magic, rust\. Known: .*synapse"):
        die.without("rust", "synapse", "magic")


def test_ideal_and_errors() -> None:
    die = Die.ideal()
    assert (
        die.nominal and VirtualChip(die).nominal and die.identifier == VirtualChip(die).identifier == "twin:ideal"
    )
    for effect in EFFECTS:
        assert np.ptp(getattr(die, effect)) == 0
    with pytest.raises(ValueError, match="chip seed is -1"):
        Die.from_seed(-1)
    for step in (0.0, -0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match=f"integration step is {step}"):
            VirtualChip(die, step=step)
    assert Record().cadc.size == 0
    assert VirtualChip().identifier == f"twin:{DEFAULT_CHIP_SEED}"


def test_every_fact_has_a_source() -> None:
    facts = process.facts()
    assert len(facts) > 40
    assert all(fact.mark in "DMIE" and len(fact.source) > 3 and np.isfinite(fact.value) for fact in facts.values())

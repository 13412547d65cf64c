"""Drift and temperature."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hxtorch import calibration
from hxtorch.twin import ChipConfig, Die, Noise, Program, Record, VirtualChip
from hxtorch.twin.pattern.fixed_pattern import EFFECTS


def test_no_time_and_no_warmth_change_nothing() -> None:
    die = Die.from_seed(7)
    for same in (die.drifted(0), die.drifted(9, strength=0.0), die.warmed(0), die.warmed(20, strength=0.0)):
        for name in EFFECTS:
            assert np.array_equal(getattr(same, name), getattr(die, name)), name


def test_drift_is_a_random_walk_of_the_chip() -> None:
    die = Die.from_seed(7)
    moved = [(die.drifted(days).leak_code - die.leak_code) * 0.333 for days in (1, 2, 4, 4.5, 16)]
    for days, shift in zip((1, 2, 4, 4.5, 16), moved, strict=True):
        assert shift.std() == pytest.approx(0.4 * np.sqrt(days), rel=0.12)
    # what happened on the first day has still happened on the fourth
    assert np.corrcoef(moved[0], moved[2])[0, 1] == pytest.approx(0.5, abs=0.1)
    assert np.array_equal(die.drifted(3).tau_exc, Die.from_seed(7).drifted(3).tau_exc)
    assert np.std(np.log(die.drifted(4).gain_exc / die.gain_exc)) == pytest.approx(0.01, rel=0.12)
    other = Die.from_seed(8)
    assert abs(np.corrcoef(moved[0], other.drifted(1).leak_code - other.leak_code)[0, 1]) < 0.15


def test_warm_circuits_have_less_gain() -> None:
    die = Die.from_seed(7)
    ratio = die.warmed(20).gain_exc / die.gain_exc
    assert np.log(ratio).mean() == pytest.approx(-0.06, rel=0.05)
    assert np.log(ratio).std() == pytest.approx(0.012, rel=0.15)
    assert np.allclose(die.warmed(20).tau_exc * die.warmed(20).gain_exc, die.tau_exc * die.gain_exc)
    assert np.log(die.warmed(-20).gain_exc / die.gain_exc).mean() > 0
    with pytest.raises(ValueError, match="60 K"):
        die.warmed(100)
    with pytest.raises(ValueError, match="at least 0"):
        die.drifted(-1)


def test_a_calibration_of_yesterday_is_off_by_the_drift() -> None:
    """Measured: rests of the calibrated chip move by 0.4 LSB times the root of the days."""
    die, every = Die.from_seed(7), np.arange(512)
    result = calibration.cached(VirtualChip(die), calibration.SPIKING)
    quiet = replace(Noise.off(), membrane=0.29)

    def rest(chip: Die) -> np.ndarray:
        program = Program(ChipConfig(result.neurons, result.common), 20, 12_500, record=Record(cadc=every))
        recording = VirtualChip(chip, quiet).run(program)
        assert recording.cadc is not None
        return recording.cadc.value[:, 5:50].mean(axis=(0, 1))

    shift = rest(die.drifted(9)) - rest(die)
    assert np.std(shift) == pytest.approx(1.2, rel=0.25)

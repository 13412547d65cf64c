"""A twin from a calibration: the codes tell the pattern, and the pattern gives the codes back."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hxtorch
from hxtorch.calibration import SPIKING, SPIKING2, CalibrationResult, CalibrationTarget, calibrate, load
from hxtorch.connection import require_chip
from hxtorch.twin import ChipConfig, Die, VirtualChip
from hxtorch.twin.fitting.from_calibration import INFERRED, pattern

from .conftest import Calibrated

CODES = (
    "v_leak", "v_reset", "v_threshold", "i_bias_leak", "i_bias_tau_exc", "i_bias_tau_inh", "i_bias_gm_exc",
    "i_bias_gm_inh", "i_shift_exc", "i_shift_inh",
)  # fmt: skip
COMMON_CODES = ("cadc_offset", "cadc_ramp_offset", "cadc_ramp_slope", "synapse_dac_bias")

# Quadrant means and spread within quadrants of the codes of one real chip (chip.md 4.2)
REAL_CODES = {
    "v_leak": ((633, 661, 602, 621), 34),
    "v_reset": ((634, 655, 600, 610), 33),
    "v_threshold": ((383, 400, 377, 396), 14),
    "i_bias_leak": ((164, 166, 149, 153), 19),
    "i_bias_tau_exc": ((93, 99, 60, 83), 17),
    "i_bias_tau_inh": ((85, 92, 60, 77), 15),
    "i_bias_gm_exc": ((489, 638, 321, 502), 28),
    "i_bias_gm_inh": ((551, 712, 349, 544), 29),
    "i_shift_exc": ((310, 310, 320, 315), 122),
    "i_shift_inh": ((290, 290, 290, 300), 110),
}


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def test_the_codes_tell_the_pattern(case: Calibrated) -> None:
    true, found = pattern(case.chip.die), pattern(Die.from_calibration(case.result))
    good = np.setdiff1d(np.arange(512), case.result.failed)
    for name in true:
        chosen = good if true[name].size == 512 else slice(None)
        a, b = true[name][chosen], found[name][chosen]
        assert correlation(a, b) > 0.95, name
        assert b.std() == pytest.approx(a.std(), rel=0.15), name
        error = 2.5 if name == "threshold_code" else 0.03 * max(abs(a.mean()), a.std(), 12)
        assert abs(a.mean() - b.mean()) < error, name  # noise lifts membranes over a threshold somewhat above


def test_what_the_codes_do_not_tell_is_nominal(case: Calibrated) -> None:
    die = Die.from_calibration(case.result)
    assert np.all(die.reset_time == 1) and np.all(die.synapse == 1) and np.all(die.driver == 1)
    assert np.median(die.gain_exc) == pytest.approx(1)
    assert not die.nominal and die.capmem_error == 1
    assert die.identifier.startswith(f"twin of {case.chip.identifier} (")


def test_the_twin_of_an_ideal_chip_deviates_nowhere(ideal: CalibrationResult) -> None:
    found = Die.from_calibration(ideal)
    for name, values in pattern(found).items():
        neutral = 0 if "code" in name or "shift" in name or name == "cadc_offset" else 1
        # an ideal reset is infinitely fast, that of a chip pulls against the leak
        assert np.allclose(values, neutral, atol=0.6 if name == "reset_code" else 0.01), name


def real_codes() -> CalibrationResult:
    """A calibration with the statistics of a real one."""
    rng = np.random.default_rng(66)
    codes = {
        name: np.rint(np.clip(np.repeat(means, 128) + spread * rng.standard_normal(512), 20, 1000))
        for name, (means, spread) in REAL_CODES.items()
    }
    codes["v_reset"] = np.rint(codes["v_reset"] + 0.6 * (codes["v_leak"] - np.repeat(REAL_CODES["v_leak"][0], 128)))
    ideal = calibrate(VirtualChip(Die.ideal()), SPIKING2)
    offset = np.rint(9.95 * rng.standard_normal(512)).astype(np.int64)
    offset -= np.repeat(np.rint(offset.reshape(4, 128).mean(axis=1)), 128).astype(np.int64)
    common = replace(
        ideal.common,
        cadc_offset=offset,
        cadc_ramp_offset=np.array([40.0, 25, 34, 26]),
        cadc_ramp_slope=np.array([389.0, 379, 348, 359]),
        synapse_dac_bias=np.array([987.0, 1021, 947, 974]),
    )
    target = CalibrationTarget(
        leak=80, reset=80, threshold=150, tau_mem=6, tau_syn_exc=6, tau_syn_inh=6, synapse_dac_bias=982.25
    )
    neurons = replace(ideal.neurons, **codes)
    return replace(ideal, chip_identifier="real", target=target, neurons=neurons, common=common)


def assert_codes_come_back(given: CalibrationResult) -> None:
    again = calibrate(VirtualChip(Die.from_calibration(given)), given.target)
    assert again.failed.size < 0.05 * 512
    for part, names in (("neurons", CODES), ("common", COMMON_CODES)):
        for name in names:
            a, b = getattr(getattr(given, part), name), getattr(getattr(again, part), name)
            assert correlation(a, b) > 0.95, name
            # offsets have the mean zero: their scale is their spread
            scale = a.std() if name == "cadc_offset" else abs(a.mean())
            assert abs(b.mean() - a.mean()) < 0.03 * scale + (0.5 if name == "cadc_offset" else 0), name


def test_codes_like_those_of_a_real_chip_come_back() -> None:
    assert_codes_come_back(real_codes())


REAL = os.environ.get("HXTORCH_VENDOR_DATA")


@pytest.mark.skipif(not REAL, reason="HXTORCH_VENDOR_DATA names no folder with the published calibration")
def test_the_published_codes_come_back() -> None:
    real = load(Path(str(REAL)) / "calix_result_v2_cube66.npz")
    assert_codes_come_back(real)
    die = Die.from_calibration(real)
    nominal = ChipConfig(neurons=calibrate(VirtualChip(Die.ideal()), real.target).neurons, common=real.common)
    p = VirtualChip(die).parameters(nominal)
    assert 10 < p.leak.std() < 14 and 10 < p.reset.std() < 15  # CADC LSB at fixed codes, chip.md 4.2
    assert 5 < die.threshold_code.std() * 0.417 < 8
    assert 0.11 < np.log(p.tau_mem).std() < 0.15
    assert 0.2 < np.log(p.tau_exc).std() < 0.32 and 0.2 < np.log(p.tau_inh).std() < 0.32
    assert die.cadc_channel.std() == pytest.approx(9.95, rel=0.05)


def test_a_twin_is_a_chip_like_any_other(case: Calibrated) -> None:
    hxtorch.init_hardware(Die.from_calibration(case.result))
    assert require_chip().identifier.startswith(f"twin of {case.chip.identifier}")
    hxtorch.release_hardware()


def test_equal_codes_give_the_same_twin_and_others_another(case: Calibrated) -> None:
    first, second = Die.from_calibration(case.result), Die.from_calibration(case.result)
    assert first.identifier == second.identifier
    assert all(np.array_equal(getattr(first, n), getattr(second, n)) for n in INFERRED)
    other = replace(case.result, neurons=replace(case.result.neurons, v_leak=case.result.neurons.v_leak - 1))
    assert Die.from_calibration(other).identifier != first.identifier


def test_target_of_an_array_and_of_a_low_capacitance() -> None:
    rng = np.random.default_rng(5)
    target = replace(
        SPIKING, tau_mem=rng.uniform(4, 20, 512), leak=rng.uniform(70, 110, 512), membrane_capacitance=40.0
    )
    die = Die.from_seed(9)
    found = Die.from_calibration(calibrate(VirtualChip(die), target))
    for name in ("leak_code", "leak_conductance", "gain_exc", "reset_code"):
        assert correlation(getattr(die, name), getattr(found, name)) > 0.9, name

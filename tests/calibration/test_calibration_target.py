import warnings

import numpy as np
import pytest

from hxtorch.calibration import SPIKING, SPIKING2, CalibrationError, CalibrationTarget
from hxtorch.calibration.targets import RANGES


def test_presets() -> None:
    assert (SPIKING.leak, SPIKING.reset, SPIKING.threshold) == (80, 70, 125)
    assert (SPIKING.tau_mem, SPIKING.tau_syn_exc, SPIKING.tau_syn_inh) == (10, 10, 10)
    assert (SPIKING.i_synin_gm, SPIKING.membrane_capacitance, SPIKING.refractory_time) == (500, 63, 2)
    assert SPIKING.synapse_dac_bias == 600
    assert (SPIKING2.leak, SPIKING2.reset, SPIKING2.threshold) == (80, 80, 150)
    assert (SPIKING2.tau_mem, SPIKING2.tau_syn_exc, SPIKING2.synapse_dac_bias) == (6, 6, 1000)


def test_compares_and_hashes_by_value() -> None:
    tau = np.linspace(5, 20, 512)
    a, b = CalibrationTarget(tau_mem=tau), CalibrationTarget(tau_mem=tau.copy())
    assert a == b and hash(a) == hash(b) and a.key() == b.key()
    assert a != CalibrationTarget(tau_syn_exc=tau)
    assert CalibrationTarget(tau_mem=np.full(512, 10.0)) != SPIKING  # other arrays, although the same values
    assert CalibrationTarget(leak=80) == SPIKING != SPIKING2


def test_arrays_are_copied_and_read_only() -> None:
    leak = np.full(512, 90.0)
    target = CalibrationTarget(leak=leak)
    leak[:] = 0
    assert np.all(target.per_circuit("leak") == 90)
    with pytest.raises(ValueError, match="read-only"):
        target.leak[0] = 1


ALONE = [name for name in RANGES if name != "holdoff_time" and not name.startswith("e_coba")]


@pytest.mark.parametrize("name", RANGES)
def test_hard_limits(name: str) -> None:
    low, high = RANGES[name].hard
    for value in (low - 1, high + 1, float("nan"), float("inf")):
        with pytest.raises(CalibrationError, match=name):
            CalibrationTarget(**{name: value})


@pytest.mark.parametrize("name", ALONE)
def test_ranges(name: str) -> None:
    limits = RANGES[name]
    high = limits.hard[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for value in limits.warned:
            CalibrationTarget(**{name: value})
    if limits.warned[1] < high:
        with pytest.warns(UserWarning, match=f"{name} = {high:g}"):
            CalibrationTarget(**{name: high})


def test_holdoff_lies_within_the_refractory_time() -> None:
    assert CalibrationTarget(holdoff_time=1.5).holdoff_time == 1.5
    with pytest.raises(CalibrationError, match="holdoff_time = 3 µs is longer than refractory_time = 2 µs"):
        CalibrationTarget(holdoff_time=3.0)


def test_reversal_potentials_lie_beyond_the_reference() -> None:
    assert np.all(CalibrationTarget(e_coba_reversal_exc=300.0).coba_reference("exc") == 80)
    with pytest.raises(CalibrationError, match="e_coba_reversal_exc = 70 LSB has to lie above"):
        CalibrationTarget(e_coba_reversal_exc=70.0)
    with pytest.raises(CalibrationError, match="e_coba_reversal_inh = 120 LSB has to lie below"):
        CalibrationTarget(e_coba_reversal_inh=120.0, e_coba_reference_inh=100.0)
    with pytest.raises(CalibrationError, match="without e_coba_reversal_inh has no effect"):
        CalibrationTarget(e_coba_reference_inh=100.0)
    with pytest.warns(UserWarning, match="60 LSB lies 20 LSB from the reference .* no less than 49 LSB"):
        CalibrationTarget(e_coba_reversal_inh=60.0)
    some = np.full(512, np.nan)
    some[:10] = 300.0
    assert np.isfinite(CalibrationTarget(e_coba_reversal_exc=some).per_circuit("e_coba_reversal_exc")).sum() == 10


def test_hard_limits_of_arrays() -> None:
    leak = np.full(512, 80.0)
    leak[5] = 300
    with pytest.raises(CalibrationError, match="leak = 300 CADC LSB is out of reach"):
        CalibrationTarget(leak=leak)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("leak", np.full(3, 80.0)),
        ("synapse_dac_bias", np.full(512, 600.0)),
        ("leak", "eighty"),
        ("leak", None),
        ("leak", [80, [1]]),
        ("tau_mem", 10**400),
        ("membrane_capacitance", 31.5),
    ],
)
def test_refuses_what_is_no_target(name: str, value: object) -> None:
    with pytest.raises(CalibrationError, match=name):
        CalibrationTarget(**{name: value})

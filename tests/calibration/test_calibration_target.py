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


@pytest.mark.parametrize("name", RANGES)
def test_ranges(name: str) -> None:
    limits = RANGES[name]
    low, high = limits.hard
    for value in (low - 1, high + 1, float("nan"), float("inf")):
        with pytest.raises(CalibrationError, match=name):
            CalibrationTarget(**{name: value})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for value in limits.warned:
            CalibrationTarget(**{name: value})
    if limits.warned[1] < high:
        with pytest.warns(UserWarning, match=f"{name} = {high:g}"):
            CalibrationTarget(**{name: high})


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

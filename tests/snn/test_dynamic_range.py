"""Dynamic range and scales of a whole chip, and calibration files by name."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch import calibration
from hxtorch.calibration import SPIKING, SPIKING2, CalibrationError
from hxtorch.calibration.cache import cache_folder
from hxtorch.connection import connected_chip
from hxtorch.snn.alignment.dynamic_range import get_dynamic_range, get_trace_scaling, get_weight_scaling
from hxtorch.snn.alignment.dynamic_range.threshold import Threshold
from hxtorch.snn.alignment.dynamic_range.weight_scaling import WeightScaling
from hxtorch.snn.legacy import calib_helper
from hxtorch.twin import Die, Noise, VirtualChip


@pytest.fixture(scope="module")
def nightly(tmp_path_factory):
    path = tmp_path_factory.mktemp("calibration") / "spiking.pkl"
    calibration.save(calibration.nightly("spiking", VirtualChip()), path)
    return path


@pytest.fixture
def chip():
    hxtorch.init_hardware()
    yield
    hxtorch.release_hardware()


def test_trace_scaling_of_the_default_target(nightly):
    scale = get_trace_scaling(calib_path=nightly)
    assert abs(scale.item() - 1 / 45) < 0.007  # the limit of upstream's own test
    assert abs(scale.item() - 1 / 45) < 0.002
    assert connected_chip() is None  # connected for the measurement alone


def test_weight_scaling_of_the_default_target(nightly):
    for points in (1, 8):  # 1 is the default, and stands for the two outermost weights
        scale = get_weight_scaling(weight_step=points, calib_path=nightly)
        assert scale.item() == pytest.approx(50, rel=0.2)


def test_boundaries(nightly, chip):
    baseline, upper, lower = get_dynamic_range(calib_path=nightly)
    assert baseline.item() == pytest.approx(80 - 128, abs=1)
    assert 90 < upper.item() < 127  # about +100, where the supply ends
    assert -128 < lower.item() < -100
    assert connected_chip() is not None


def test_scales_follow_the_parameters(chip):
    # without a file, the chip is calibrated to them: twice the model's threshold is twice the scale
    params = {
        "leak": hxsnn.MixedHXModelParameter(0.0, 80),
        "reset": hxsnn.MixedHXModelParameter(0.0, 80),
        "threshold": hxsnn.MixedHXModelParameter(2.0, 150),
        "tau_mem": 6e-6,
        "tau_syn": 6e-6,
        "synapse_dac_bias": 1000,
        "alpha": 150.0,
    }
    assert get_trace_scaling(params).item() == pytest.approx(2 / 70, rel=0.06)
    assert get_weight_scaling(params, weight_step=4).item() == pytest.approx(60 / 2, rel=0.25)


def test_on_the_mathematical_model_the_scales_are_exact():
    hxtorch.init_hardware(Die.ideal(), noise=Noise.off())
    try:
        threshold = Threshold().run()
        assert threshold.shape == (512,)
        # within what a membrane rises in a step of the CADC's grid
        assert torch.all((threshold > 43) & (threshold <= 45.1))
        weights = WeightScaling(weight_step=5)
        # model and chip have the same PSP up to its discrete steps: 45 LSB are 1
        psp = weights.run().item() * 0.085 * 10 / torch.e  # LSB per weight at tau 10/10 µs
        assert psp == pytest.approx(45 * 0.38742, rel=0.03)
    finally:
        hxtorch.release_hardware()


def test_silent_neurons_are_reported(nightly, chip, monkeypatch):
    monkeypatch.setattr(Threshold, "_current", lambda self: 1)
    with pytest.warns(UserWarning, match="512 of 512 neurons did not fire"):
        assert torch.isnan(Threshold(calib_path=nightly).run()).all()


def test_weight_step_is_at_least_one():
    with pytest.raises(ValueError, match="weight_step is 0"):
        get_weight_scaling(weight_step=0)


@pytest.fixture
def own_cache(nightly, tmp_path, monkeypatch):
    """A cache folder in which nothing but the calibrations of others lies."""
    calibration.nightly("spiking2", VirtualChip())
    entries = list(cache_folder().glob("*.calibration"))
    monkeypatch.setenv("HXTORCH_CACHE_DIR", str(tmp_path))
    cache_folder().mkdir()
    for path in entries:
        shutil.copy(path, cache_folder())


def test_files_by_name(chip, own_cache):
    binary, native = calib_helper.nightly_calib_path(), calib_helper.nightly_calix_native_path("spiking2")
    assert (binary.name, native.name) == ("spiking_cocolist.pbin", "spiking2_calix-native.pkl")
    assert calib_helper.target_from_calix_native(native) == SPIKING2
    result = calib_helper.calib_from_calix_native(binary)
    assert result.target == SPIKING and result.chip_identifier == VirtualChip().identifier
    for config in (
        calib_helper.chip_from_file(binary),
        calib_helper.chip_from_portable_binary(binary.read_bytes()),
    ):
        assert np.array_equal(config.neurons.v_leak, result.neurons.v_leak)
    stamp = binary.stat().st_mtime_ns
    assert calib_helper.nightly_calib_path().stat().st_mtime_ns == stamp
    hxsnn.Experiment().default_execution_instance.load_calib(native)
    binary.write_bytes(b"damaged")
    assert calib_helper.target_from_calix_native(calib_helper.nightly_calib_path("spiking")) == SPIKING


def test_files_that_are_not_there(chip):
    with pytest.raises(CalibrationError, match=r"'hagen'.*spiking"):
        calib_helper.nightly_calib_path("hagen")
    with pytest.raises(CalibrationError, match="The content is no usable calibration file"):
        calib_helper.chip_from_portable_binary(b"\x80\x04N.")
    hxtorch.release_hardware()
    with pytest.raises(RuntimeError, match="No connection present"):
        calib_helper.nightly_calib_path()

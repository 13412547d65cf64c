"""Calibration of what only some targets ask for: compartments, conductance mode, holdoff; and of the drivers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hxtorch.calibration import CalibrationTarget, calibrate, load, save
from hxtorch.calibration.options import CalibrationOptions
from hxtorch.calibration.report import rates_in_band
from hxtorch.twin import Die, VirtualChip

from .conftest import truth


@pytest.fixture(scope="module")
def chip() -> VirtualChip:
    return VirtualChip(Die.from_seed(21))


def test_time_constant_between_compartments(chip: VirtualChip) -> None:
    """The found conductances are those that the die needs: equal time constants from spread cells."""
    result = calibrate(chip, CalibrationTarget(tau_icc=2.0), options=CalibrationOptions(drivers=False))
    assert np.mean(result.success["tau_icc"]) > 0.95
    met = result.success["tau_icc"]
    conductance = chip.die.icc_conductance * result.neurons.i_bias_icc
    assert np.std(np.log(conductance[met])) < 0.6 * np.std(np.log(chip.die.icc_conductance))
    assert not np.any(result.neurons.enable_icc)


def test_conductance_based_inputs(chip: VirtualChip, tmp_path: Path) -> None:
    """Bias and reference of the inputs that ask for it; the others stay current-based. Files keep it all."""
    reversal = np.full(512, 300.0)
    reversal[::2] = np.nan
    target = CalibrationTarget(
        leak=110.0, reset=100.0, threshold=160.0, i_synin_gm=250.0, synapse_dac_bias=400.0,
        e_coba_reversal_exc=reversal, e_coba_reversal_inh=30.0,
    )  # fmt: skip
    result = calibrate(chip, target)
    assert np.array_equal(result.neurons.enable_coba_exc, np.arange(512) % 2 == 1)
    assert np.all(result.neurons.enable_coba_inh)
    for sign in ("exc", "inh"):
        assert np.mean(result.success[f"coba_strength_{sign}"]) > 0.99
        assert np.mean(result.success[f"coba_reference_{sign}"]) > 0.99
    found = truth(chip, result.neurons, result.common).terms
    reference_exc, reference_inh = found.coba_reference_exc[1::2], found.coba_reference_inh
    reversal_exc, reversal_inh = reference_exc + 1 / found.coba_exc[1::2], reference_inh - 1 / found.coba_inh
    # inhibition is measured above the soft floor of the membrane, so that its potentials are not biased
    for values, wanted, spread in (
        (reversal_exc, 300, 4), (reversal_inh, 30, 2.5), (reference_exc, 110, 2), (reference_inh, 110, 2),
    ):  # fmt: skip
        assert np.median(values) == pytest.approx(wanted, abs=1.0)
        assert np.std(values) < spread
        assert np.abs(values - wanted).max() < 5 * spread
    assert np.std(result.drivers.after) < 0.5 * np.std(result.drivers.before)
    save(result, tmp_path / "coba.calib")
    again = load(tmp_path / "coba.calib")
    assert again.target == target
    assert np.array_equal(again.drivers.plasticity.offset, result.drivers.plasticity.offset)


def test_holdoff(chip: VirtualChip) -> None:
    """The reset ends that long before the refractory time does."""
    from hxtorch.twin.circuits import circuit_parameters
    from hxtorch.twin.program.config import ChipConfig

    result = calibrate(
        chip, CalibrationTarget(refractory_time=4.0, holdoff_time=1.0), options=CalibrationOptions(drivers=False)
    )
    assert np.all(result.success["holdoff_time"])
    found = circuit_parameters(ChipConfig(result.neurons, result.common), chip.die)
    assert found.refractory == pytest.approx(4.0, rel=0.1)
    assert found.holdoff == pytest.approx(1.0, abs=0.4)
    assert rates_in_band(result) > 0.95 and abs(np.median(result.residuals["rate"])) < 0.03


def test_fast_membranes_pass_their_check(chip: VirtualChip) -> None:
    """A membrane of 0.6 µs is faster than the constant current that makes it fire; beside it one that is not."""
    tau = np.where(np.arange(512) % 2 == 0, 0.6, 10.0)
    result = calibrate(
        chip, CalibrationTarget(tau_mem=tau, threshold=150.0), options=CalibrationOptions(drivers=False)
    )
    assert result.failed.size < 0.05 * 512
    assert result.success["threshold"].all()
    found = truth(chip, result.neurons, result.common)
    for own in (tau < 1, tau > 1):
        assert np.std(found.tau_mem[own] / tau[own]) < 0.05
        measured, true = result.residuals["threshold"][own], found.threshold[own] - 150.0
        assert abs(np.mean(measured) - np.mean(true)) < 2.0  # the peak of a rise lies above the threshold
        assert np.std(measured) == pytest.approx(np.std(true), rel=0.3)


def test_fast_synapses_are_judged_by_what_their_offset_does(chip: VirtualChip) -> None:
    """With the small capacitance gains are a quarter, and so is what a code of the offset moves the rest by."""
    target = CalibrationTarget(tau_syn_exc=0.4, tau_syn_inh=0.4)
    result = calibrate(chip, target, options=CalibrationOptions(drivers=False))
    assert result.failed.size < 0.05 * 512
    found = truth(chip, result.neurons, result.common)
    for sign, tau in (("exc", found.tau_exc), ("inh", found.tau_inh)):
        assert np.std(tau / 0.4) < 0.03 and np.mean(tau) == pytest.approx(0.4, rel=0.005)
        assert np.median(getattr(result.neurons, f"i_bias_gm_{sign}")) < 200
    good = result.success["i_shift_exc"] & result.success["i_shift_inh"]
    assert np.abs((found.static * found.tau_mem)[good]).max() < 1.5  # LSB, as for any other target


def test_modules_refuse_a_holdoff_beyond_the_refractory_time() -> None:
    """When the module is made, and when a run meets values that were changed since."""
    import torch

    import hxtorch
    import hxtorch.snn as hxsnn

    hxtorch.init_hardware(VirtualChip(Die.ideal()))
    try:
        experiment = hxsnn.Experiment()
        for holdoff in (3e-6, torch.tensor([1e-6, 3e-6, 0.0])):
            with pytest.raises(ValueError, match=r"LIF\(3\): holdoff_time is 3e-06 s.*refractory time of 2e-06 s"):
                hxsnn.LIF(3, experiment, refractory_time=2e-6, holdoff_time=holdoff)
        synapse = hxsnn.Synapse(2, 3, experiment)
        neuron = hxsnn.LIF(3, experiment, refractory_time=torch.tensor(2e-6), holdoff_time=2e-6)
        neuron.holdoff_time = 3e-6  # in two steps, as long as nothing runs in between
        neuron.refractory_time = 4e-6
        neuron(synapse(hxsnn.LIFObservables(spikes=torch.zeros(5, 1, 2))))
        hxsnn.run(experiment, 5)
        (config,) = experiment.last_run_chip_configs.values()
        assert np.unique(config.neurons.reset_holdoff).size == 2
        neuron.refractory_time = 2e-6
        neuron(synapse(hxsnn.LIFObservables(spikes=torch.zeros(5, 1, 2))))
        with pytest.raises(ValueError, match=r"LIF\(3\): holdoff_time is 3e-06 s"):
            hxsnn.run(experiment, 5)
    finally:
        hxtorch.release_hardware()


def test_modules_ask_for_conductance_based_inputs() -> None:
    """Reversal potentials given to a module reach the registers of its circuits, without a loaded calibration."""
    import torch

    import hxtorch
    import hxtorch.snn as hxsnn

    hxtorch.init_hardware(VirtualChip(Die.ideal()))
    try:
        experiment = hxsnn.Experiment()
        synapse = hxsnn.Synapse(2, 3, experiment)
        neuron = hxsnn.LIF(3, experiment, e_coba_reversal=torch.tensor([300.0, float("nan")]))
        neuron(synapse(hxsnn.LIFObservables(spikes=torch.zeros(5, 1, 2))))
        hxsnn.run(experiment, 5)
        (config,) = experiment.last_run_chip_configs.values()
        assert np.count_nonzero(config.neurons.enable_coba_exc) >= 3
        assert not np.any(config.neurons.enable_coba_inh)
        with pytest.raises(ValueError, match="e_coba_reversal"):
            hxsnn.LIF(3, experiment, e_coba_reversal=torch.zeros(4))
    finally:
        hxtorch.release_hardware()

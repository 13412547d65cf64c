"""What users suffer from in the upstream design does not happen here; one test for each fault."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch.snn.utils.readout_source import ReadoutSource
from hxtorch.twin import Die, Noise, VirtualChip

STEPS = 30
SOURCE = Path(hxtorch.__file__).parent
pytestmark = pytest.mark.filterwarnings("ignore:.*range of reliable calibration")


@pytest.fixture
def chip():
    hxtorch.init_hardware(VirtualChip(Die.ideal(), Noise.off(), step=0.5))
    yield
    hxtorch.release_hardware()


def spikes(steps=STEPS, batch=2, size=3):
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(steps, batch, size, generator=generator) < 0.3).float()


def layer(exp, neurons=hxsnn.LIF, size=4, weight=40.0, **options):
    torch.manual_seed(0)
    synapse, module = hxsnn.Synapse(3, size, exp), neurons(size, exp, **options)
    synapse.weight.data.fill_(weight)
    return synapse, module


def test_mock_mode_needs_neither_chip_nor_mapping_nor_calibration():
    code = """
import sys, torch, hxtorch.snn as hxsnn
exp = hxsnn.Experiment(mock=True)
z = hxsnn.LIF(4, exp)(hxsnn.Synapse(3, 4, exp)(hxsnn.LIFObservables(spikes=torch.ones(10, 1, 3))))
hxsnn.run(exp, None)
loaded = [name for name in sys.modules if name.startswith(("hxtorch.mapping", "hxtorch.calibration.calibrate"))]
print(loaded, [name for name in sys.modules if name.startswith(("matplotlib", "hxtorch.plots", "nir"))])
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[] []\n"


def test_no_text_is_ever_executed():
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("exec", "eval", "compile", "__import__"), path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_values_are_in_the_fields_whose_names_they_have():
    exp = hxsnn.Experiment(mock=True)
    x = hxsnn.LIFObservables(spikes=spikes())
    assert hxsnn.LIFObservables(spikes()).spikes is not None
    synapse, hidden = layer(exp, hxsnn.NeuronExp, leak=0.0, reset=0.0, tau_mem=0.9, tau_syn=0.8)
    drop, second = hxsnn.BatchDropout(4, 0.5, exp), hxsnn.Synapse(4, 2, exp)
    out = hxsnn.ReadoutNeuronExp(2, exp, leak=0.0, tau_mem=0.9, tau_syn=0.8)
    second.weight.data.fill_(1.0)
    hidden_z = hidden(synapse(x))
    dropped = drop(hidden_z)
    y = out(second(dropped))
    hxsnn.run(exp, None)
    assert torch.equal(hidden_z.spikes, hidden_z.spikes.bool().float()) and hidden_z.spikes.any()
    assert torch.equal(dropped.spikes, hidden_z.spikes * drop.mask)
    current = torch.zeros(2, 2)
    for now, arriving in zip(y.current, dropped.spikes.sum(2), strict=True):
        current = 0.8 * current + arriving[:, None]
        torch.testing.assert_close(now, current)
    assert not torch.equal(y.membrane_cadc, y.current)


def test_a_later_run_leaves_earlier_results_alone():
    exp = hxsnn.Experiment(mock=True)
    synapse, lif = layer(exp)
    first = lif(synapse(hxsnn.LIFObservables(spikes=spikes())))
    hxsnn.run(exp, None)
    kept = first.spikes.clone()
    second = lif(synapse(hxsnn.LIFObservables(spikes=torch.zeros(STEPS, 2, 3))))
    hxsnn.run(exp, None)
    assert first is not second and torch.equal(first.spikes, kept) and kept.any() and not second.spikes.any()


def test_every_row_is_defined_whatever_the_length_of_the_run(chip):
    exp = hxsnn.Experiment()
    synapse, lif = layer(exp)
    z = lif(synapse(hxsnn.LIFObservables(spikes=spikes())))
    hxsnn.run(exp, STEPS + 7)
    assert z.membrane_cadc.shape[0] == z.spikes.shape[0] == STEPS and z.membrane_cadc.isfinite().all()
    lif(synapse(hxsnn.LIFObservables(spikes=spikes())))
    with pytest.raises(ValueError, match=f"is {STEPS - 1} steps.*has {STEPS}"):
        hxsnn.run(exp, STEPS - 1)


def test_a_changed_parameter_calibrates_anew(chip):
    exp = hxsnn.Experiment()
    synapse, lif = layer(exp)

    def rest():
        z = lif(synapse(hxsnn.LIFObservables(spikes=torch.zeros(STEPS, 1, 3))))
        hxsnn.run(exp, STEPS)
        return z.membrane_cadc.mean().item()

    before = rest()
    lif.leak.hardware_value = 100
    assert rest() - before == pytest.approx(20, abs=3)


@pytest.mark.parametrize("neurons", [hxsnn.LIF, hxsnn.LI, hxsnn.AELIF, hxsnn.Neuron, hxsnn.ReadoutNeuron])
@pytest.mark.parametrize(
    ("wrong", "right"),
    [("treshold", "threshold"), ("enable_madc_recoding", "enable_madc_recording"), ("tau_mem_", "tau_mem")],
)
def test_typos_are_named(neurons, wrong, right):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{wrong}'. Did you mean '{right}'"):
        neurons(2, hxsnn.Experiment(mock=True), **{wrong: 1})


def test_modules_share_no_parameter_object():
    exp = hxsnn.Experiment(mock=True)
    one, other = hxsnn.LIF(1, exp), hxsnn.LIF(1, exp)
    one.threshold.hardware_value = 90
    one.membrane_capacitance.model_value = 3e-6
    assert other.threshold.hardware_value == 125 and other.membrane_capacitance.model_value == 10e-6


def test_dropout_runs_on_the_chip(chip):
    exp = hxsnn.Experiment()
    synapse, lif = layer(exp)
    drop, second = hxsnn.BatchDropout(4, 0.5, exp), hxsnn.Synapse(4, 2, exp)
    out = hxsnn.LI(2, exp)
    z = drop(lif(synapse(hxsnn.LIFObservables(spikes=spikes()))))
    out(second(z))
    hxsnn.run(exp, STEPS)
    fired = z.spikes.sum((0, 1)) > 0
    assert torch.equal(fired, drop.mask) and 0 < drop.mask.sum() < 4


def test_unequal_batches_and_graded_spikes(chip):
    exp = hxsnn.Experiment()
    (one, lif), other = layer(exp), hxsnn.Synapse(3, 4, exp)
    lif(one(hxsnn.LIFObservables(spikes=spikes())), other(hxsnn.LIFObservables(spikes=spikes(batch=3))))
    with pytest.raises(ValueError, match="unequal batch sizes"):
        hxsnn.run(exp, STEPS)
    lif(one(hxsnn.LIFObservables(spikes=spikes() * 2)))
    with pytest.warns(UserWarning, match="neither 0 nor 1") as caught:
        hxsnn.run(exp, STEPS)
    assert len(caught) == 1


def test_clear_leaves_nothing_behind(chip):
    exp, fresh = hxsnn.Experiment(), hxsnn.Experiment()
    synapse, lif = layer(exp, enable_madc_recording=True, record_neuron_id=0)
    exp.inter_batch_entry_wait = 1000
    lif(synapse(hxsnn.LIFObservables(spikes=spikes())))
    hxsnn.run(exp, STEPS)
    place = exp.default_execution_instance
    lif(synapse(hxsnn.LIFObservables(spikes=spikes())))
    exp.clear()
    ignored = {"modules", "_calls"}
    a, b = ({k: v for k, v in vars(e).items() if k not in ignored} for e in (exp, fresh))
    assert a == b and not exp.modules.nodes and not len(exp._calls)
    assert exp.default_execution_instance is not place


def test_run_is_also_a_method():
    exp = hxsnn.Experiment(mock=True)
    synapse, lif = layer(exp)
    z = lif(synapse(hxsnn.LIFObservables(spikes=spikes())))
    assert exp.run(None) is None
    assert z.spikes.shape == (STEPS, 2, 4)


def test_refractory_times_of_neurons_that_do_not_fire_are_named():
    exp = hxsnn.Experiment(mock=True)
    with pytest.warns(UserWarning, match="Refractory period is not applicable") as caught:
        hxsnn.AELIF(2, exp, fire=False, exponential=False, refractory_time=5e-6)
    assert len(caught) == 1 and caught[0].filename == __file__


def test_sources_of_the_readout_are_checked_between_runs_too():
    lif = hxsnn.LIF(2, hxsnn.Experiment(mock=True))
    with pytest.raises(NotImplementedError, match="only the membrane is recorded"):
        lif.cadc_readout_source = ReadoutSource.ADAPTATION

"""The public interface with a virtual chip: what comes back, what is refused, and that a refusal breaks nothing."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial

import pytest
import torch

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch import calibration
from hxtorch.calibration import SPIKING, CalibrationError
from hxtorch.mapping import MappingError
from hxtorch.snn.transforms.weight_transforms import linear_saturating
from hxtorch.twin import Die, Noise, VirtualChip, get_num_threads, set_num_threads

STEPS = 30


@pytest.fixture(scope="module")
def nightly(tmp_path_factory):
    """File of the default chip's calibration "spiking"."""
    path = tmp_path_factory.mktemp("calibration") / "spiking_calix-native.pkl"
    calibration.save(calibration.nightly("spiking", VirtualChip()), path)
    return path


@pytest.fixture
def chip():
    hxtorch.init_hardware()
    yield
    hxtorch.release_hardware()


class Net:
    """Inputs, a spiking layer and a readout on one experiment."""

    def __init__(self, nightly, n_in=5, n_hidden=4, n_out=2, mock=False, **options):
        self.exp = hxsnn.Experiment(mock=mock)
        self.exp.default_execution_instance.load_calib(nightly)
        torch.manual_seed(1)
        self.syn = hxsnn.Synapse(n_in, n_hidden, self.exp, transform=partial(linear_saturating, scale=55.0))
        self.lif = hxsnn.Neuron(n_hidden, self.exp, **options)
        self.out = hxsnn.Synapse(n_hidden, n_out, self.exp, transform=partial(linear_saturating, scale=55.0))
        self.li = hxsnn.ReadoutNeuron(n_out, self.exp)
        torch.nn.init.uniform_(self.syn.weight, 0.5, 1.0)
        self.n_in = n_in

    def inputs(self, steps=STEPS, batch=3):
        return (torch.rand(steps, batch, self.n_in, generator=torch.Generator().manual_seed(0)) < 0.2).float()

    def call(self, inputs):
        z = self.lif(self.syn(hxsnn.NeuronHandle(inputs)))
        return z, self.li(self.out(z))

    def __call__(self, inputs=None, runtime=STEPS, **options):
        z, y = self.call(self.inputs() if inputs is None else inputs)
        hxsnn.run(self.exp, runtime, **options)
        return z, y


def test_two_layers_are_recorded_and_train(nightly, chip):
    net = Net(nightly)
    z, y = net()
    assert z.spikes.shape == z.membrane_cadc.shape == z.current.shape == (STEPS, 3, 4)
    assert y.membrane_cadc.shape == (STEPS, 3, 2)
    assert set(z.spikes.unique().tolist()) == {0.0, 1.0}
    assert abs(y.membrane_cadc[:3].mean().item() + 48) < 3
    # Values come from the chip, gradients from the model.
    y.membrane_cadc.pow(2).mean().backward()
    assert net.syn.weight.grad.abs().sum() > 0
    assert net.out.weight.grad.abs().sum() > 0


def test_hidden_spikes_reach_the_readout_on_the_chip(nightly, chip):
    net = Net(nightly)
    with torch.no_grad():
        net.out.weight.fill_(1.0)
        z, y = net()
        assert z.spikes.sum() > 0
        assert y.membrane_cadc.max() > -48 + 10
        net.out.weight.fill_(-1.0)
        _, y = net()
        assert y.membrane_cadc.min() < -48 - 10


def test_same_seeds_same_result_whatever_the_threads(nightly, chip):
    net, threads = Net(nightly), get_num_threads()
    try:
        results = []
        for number in (1, 2, 2):
            set_num_threads(number)
            torch.manual_seed(7)  # the trial seed is drawn from torch's generator
            results.append(net())
    finally:
        set_num_threads(threads)
    for z, y in results[1:]:
        assert torch.equal(z.spikes, results[0][0].spikes)
        assert torch.equal(y.membrane_cadc, results[0][1].membrane_cadc)
    explicit = [net(trial_seed=3)[1].membrane_cadc for _ in range(2)]
    assert torch.equal(*explicit)
    assert not torch.equal(explicit[0], net(trial_seed=4)[1].membrane_cadc)


def test_a_later_run_leaves_earlier_results_alone(nightly, chip):
    net = Net(nightly)
    z, _ = net()
    before = z.spikes.clone()
    later, _ = net(torch.zeros(STEPS, 3, net.n_in))
    assert later is not z
    assert torch.equal(z.spikes, before)


def test_runtime_beyond_the_input_repeats_nothing_new(nightly, chip):
    z, y = Net(nightly)(runtime=STEPS + 20)
    assert z.spikes.shape[0] == y.membrane_cadc.shape[0] == STEPS


def test_loaded_targets_become_the_parameters(nightly, chip):
    net = Net(nightly)
    with pytest.warns(UserWarning, match=r"threshold 130 -> 125"):
        other = Net(nightly, threshold=130)
        other()
    net()
    assert torch.equal(net.lif.reset.hardware_value, torch.full((4,), 70))
    assert net.lif.tau_mem.hardware_value.dtype == torch.float32
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net()  # said once, not at every run


def test_parameters_without_calibration_file_are_calibrated(chip, tmp_path):
    exp = hxsnn.Experiment()
    exp.default_execution_instance.calib_cache_dir = tmp_path
    syn = hxsnn.Synapse(1, 2, exp)
    li = hxsnn.ReadoutNeuron(2, exp, leak=torch.tensor([70.0, 110.0]))
    traces = []
    for _ in range(2):
        y = li(syn(hxsnn.NeuronHandle(torch.zeros(40, 8, 1))))
        hxsnn.run(exp, 40)
        traces.append(y.membrane_cadc.mean((0, 1)) + 128)
    assert torch.allclose(traces[0], torch.tensor([70.0, 110.0]), atol=6)
    li.leak = torch.tensor([110.0, 70.0])
    y = li(syn(hxsnn.NeuronHandle(torch.zeros(40, 8, 1))))
    hxsnn.run(exp, 40)
    assert torch.allclose(y.membrane_cadc.mean((0, 1)) + 128, torch.tensor([110.0, 70.0]), atol=6)
    assert len(list(tmp_path.iterdir())) == 2


def test_shared_settings_must_agree(chip):
    exp = hxsnn.Experiment()
    syn = hxsnn.Synapse(1, 2, exp)
    a, b = hxsnn.ReadoutNeuron(2, exp), hxsnn.ReadoutNeuron(2, exp, synapse_dac_bias=800)
    g = syn(hxsnn.NeuronHandle(torch.zeros(10, 1, 1)))
    a(g)
    b(g)
    with pytest.raises(AttributeError, match="'synapse_dac_bias' requires same value for all neurons"):
        hxsnn.run(exp, 10)


@pytest.mark.parametrize(
    ("change", "runtime", "text"),
    [
        pytest.param(lambda x: x[:, :, :3], STEPS, "expected", id="features"),
        pytest.param(lambda x: x[:, 0], STEPS, "expected", id="dimensions"),
        pytest.param(lambda x: x * float("nan"), STEPS, "NaN", id="NaN"),
        pytest.param(lambda x: x, STEPS - 1, str(STEPS - 1), id="short run"),
        pytest.param(lambda x: x, -1, "Requested runtime invalid", id="negative run"),
        pytest.param(lambda x: x, 30.0, "Requested runtime invalid", id="float run"),
        pytest.param(lambda x: x, None, "Requested runtime invalid", id="no run time"),
        pytest.param(lambda x: x, 10**9, "Runtime of 1000000000 to long. Maximum supported", id="long run"),
        pytest.param(lambda x: x, 300, "SRAM buffer holds 100", id="CADC buffer"),
    ],
)
def test_bad_input_leaves_the_experiment_usable(nightly, chip, change, runtime, text):
    net = Net(nightly)
    net.call(change(net.inputs()))
    with pytest.raises(ValueError, match=text):
        hxsnn.run(net.exp, runtime)
    z, _ = net()
    assert z.spikes.shape == (STEPS, 3, 4)


def test_unequal_batches_and_bad_weights(nightly, chip):
    net = Net(nightly)
    other = hxsnn.Synapse(5, 4, net.exp)
    net.lif(net.syn(hxsnn.NeuronHandle(net.inputs(batch=3))))
    net.lif(other(hxsnn.NeuronHandle(net.inputs(batch=2))))
    with pytest.raises(ValueError, match="batch"):
        hxsnn.run(net.exp, STEPS)
    good = net.syn.weight.data.clone()
    net.syn.weight.data[0, 0] = float("nan")
    net.call(net.inputs())
    with pytest.raises(ValueError, match="NaN"):
        hxsnn.run(net.exp, STEPS)
    net.syn.weight.data = good
    assert net()[0].spikes is not None


def test_graded_input_counts_as_one_event(nightly, chip):
    net = Net(nightly)
    expected, _ = net(trial_seed=1)
    with pytest.warns(UserWarning, match="neither 0 nor 1"):
        graded, _ = net(net.inputs() * 3, trial_seed=1)
    assert torch.equal(expected.spikes, graded.spikes)


def test_run_needs_a_connection(nightly):
    hxtorch.release_hardware()
    net = Net(nightly)
    net.call(net.inputs())
    with pytest.raises(RuntimeError, match="No connection present"):
        hxsnn.run(net.exp, STEPS)
    with pytest.raises(RuntimeError, match="No connection present"):
        hxtorch.get_unique_identifier()
    hxtorch.release_hardware()  # without a connection: nothing happens


def test_calibration_files(nightly, chip, tmp_path):
    instance = hxsnn.ExecutionInstance()
    with pytest.raises(AssertionError):
        instance.load_calib(None)
    with pytest.raises(FileNotFoundError, match="missing"):
        instance.load_calib(tmp_path / "missing.pkl")
    broken = tmp_path / "broken.pkl"
    broken.write_bytes(nightly.read_bytes()[:200])
    with pytest.raises(CalibrationError, match=r"broken\.pkl"):
        instance.load_calib(broken)
    assert instance.calibration is None
    assert instance.load_calib(nightly).target == SPIKING


def test_calibration_of_another_chip_warns(nightly):
    hxtorch.init_hardware(Die.from_seed(3))
    try:
        with pytest.warns(UserWarning, match="was made for chip"):
            Net(nightly)()
    finally:
        hxtorch.release_hardware()


@pytest.mark.parametrize(
    ("n_in", "n_hidden", "n_out", "words"),
    [(129, 4, 2, ["129", "128"]), (5, 510, 3, ["513", "512", "execution instances"]), (5, 129, 2, ["129", "128"])],
)
def test_what_does_not_fit_says_so(nightly, chip, n_in, n_hidden, n_out, words):
    one = hxsnn.morphology.SingleCompartmentNeuron(1)
    net = Net(nightly, n_in, n_hidden, n_out, neuron_structure=one)
    net.li.neuron_structure = one
    net.call(net.inputs())
    with pytest.raises(MappingError) as error:
        hxsnn.run(net.exp, STEPS)
    for word in [*words, "Neuron"]:
        assert word in str(error.value)


def test_madc_samples_two_neurons_at_most(nightly, chip):
    with pytest.raises(ValueError, match="record_neuron_id"):
        Net(nightly, enable_madc_recording=True)
    z, _ = Net(nightly, enable_madc_recording=True, record_neuron_id=(0, 1))(torch.zeros(STEPS, 3, 5))
    assert z.membrane_madc.shape[0] == 2
    assert z.membrane_madc.shape[2:] == (3, 2)
    net = Net(nightly, enable_madc_recording=True, record_neuron_id=(0, 2))
    net.call(net.inputs())
    with pytest.raises(RuntimeError, match="one in an even and one in an odd column"):
        hxsnn.run(net.exp, STEPS)


def test_chip_given_as_object_seed_or_die(nightly):
    identifiers = []
    for given in (5, Die.from_seed(5), VirtualChip(Die.from_seed(5))):
        hxtorch.init_hardware(given, noise=Noise.off())
        identifiers.append(hxtorch.get_unique_identifier())
    hxtorch.release_hardware()
    assert identifiers == [["twin:5"]] * 3
    for wrong in (True, "file.pbin", object()):
        with pytest.raises(TypeError):
            hxtorch.init_hardware(wrong)


def test_a_calibration_runs_on_the_twin_of_its_chip(nightly):
    hxtorch.init_hardware(Die.from_calibration(calibration.load(nightly)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            z, y = Net(nightly)()
        assert z.spikes.sum() > 0
        assert abs(y.membrane_cadc[:3].mean().item() + 48) < 3
    finally:
        hxtorch.release_hardware()


# --- Circuits that failed to calibrate ----------------------------------------------------------------------


@pytest.fixture
def failing(nightly, tmp_path):
    """A calibration file in which circuits 0, 2 and 5 failed."""
    result = calibration.load(nightly)
    leak = result.success["leak"].copy()
    leak[[0, 2, 5]] = False
    path = tmp_path / "failing.calibration"
    calibration.save(replace(result, success={**result.success, "leak": leak}), path)
    return path


def circuits_of(net):
    return [net.exp.plans.last.circuits(key)[:, 0].tolist() for key in net.exp.plans.last.described.populations]


def test_failed_circuits_are_left_out(failing, chip):
    net = Net(failing)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net()
    assert circuits_of(net) == [[1, 3, 4, 6], [7, 8]]


def test_failed_circuits_that_a_user_wants_are_reported_once(failing, chip):
    net = Net(failing, placement_constraint=[0, 1, 2, 3])
    with pytest.warns(UserWarning, match=r"Neuron\(4\).*asks for circuits 0, 2, which failed.*leak"):
        net()
    assert circuits_of(net)[0] == [0, 1, 2, 3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net()


def test_a_network_that_needs_every_circuit_gets_them(failing, chip):
    net = Net(failing, n_in=1, n_hidden=511, n_out=1)
    lif = net.lif(net.syn(hxsnn.NeuronHandle(net.inputs(batch=1))))
    with pytest.warns(UserWarning, match=r"Neuron\(511\): needs circuits"):
        hxsnn.run(net.exp, STEPS)
    assert lif.spikes.shape == (STEPS, 1, 511)


def test_runs_without_a_file_place_around_failed_circuits(tmp_path, monkeypatch):
    monkeypatch.setenv("HXTORCH_CACHE_DIR", str(tmp_path))
    die = Die.from_seed(8)
    shift = die.shift_exc.copy()
    shift[[1, 2]] = 2000  # no code reaches that
    hxtorch.init_hardware(replace(die, shift_exc=shift, identifier="broken"))
    try:
        experiment = hxsnn.Experiment()
        synapse, neuron = hxsnn.Synapse(1, 3, experiment), hxsnn.Neuron(3, experiment)
        for _ in range(2):
            neuron(synapse(hxsnn.NeuronHandle(torch.zeros(STEPS, 1, 1))))
            hxsnn.run(experiment, STEPS)
            plan = experiment.plans.last
            assert plan.circuits(next(iter(plan.described.populations)))[:, 0].tolist() == [0, 3, 4]
        failed = experiment.default_execution_instance.made_calibration[1].failed
        assert {1, 2} <= set(failed.tolist())
    finally:
        hxtorch.release_hardware()

"""`run`: what it checks, what it fills, and that nothing is left behind after an error."""

import copy
import warnings

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import hxtorch.snn as hxsnn
from hxtorch.snn.observables import CADCHandle, HardwareObservables, MADCHandle, SpikeHandle


def mock_net(weight=50.0, steps=50, batch=1):
    exp = hxsnn.Experiment(mock=True)
    syn, lif = hxsnn.Synapse(1, 1, exp), hxsnn.Neuron(1, exp)
    syn.weight.data.fill_(weight)
    x = torch.zeros(steps, batch, 1)
    x[[10, 15, 20, 30]] = 1
    return exp, syn, lif, x


def test_introduction_in_mock_mode():
    exp, syn, lif, x = mock_net()
    g = syn(hxsnn.NeuronHandle(x))
    z = lif(g)
    assert z.spikes is None
    assert z.membrane_cadc is None
    assert hxsnn.run(exp, 50) is None
    assert z.spikes[:, 0, 0].nonzero().flatten().tolist() == [22, 35]
    assert z.membrane_madc is None
    assert_close(g.graded_spikes, 50 * x)
    z.spikes.sum().backward()
    assert syn.weight.grad.abs().item() > 0


@pytest.mark.parametrize("runtime", [None, 50, 50.0, "long"])
def test_mock_mode_ignores_the_runtime(runtime):
    exp, syn, lif, x = mock_net()
    z = lif(syn(hxsnn.NeuronHandle(x)))
    hxsnn.run(exp, runtime)
    assert z.spikes.shape == x.shape


def test_mock_mode_ignores_settings_of_the_chip():
    traces = []
    for settings in (
        {},
        {
            "trace_offset": 5.0,
            "trace_scale": np.float32(2),
            "cadc_time_shift": -1,
            "shift_cadc_to_first": True,
        },
    ):
        exp, syn, _, x = mock_net()
        lif = hxsnn.Neuron(1, exp, **settings)
        z = lif(syn(hxsnn.NeuronHandle(x)))
        hxsnn.run(exp, None)
        traces.append(z.membrane_cadc)
    assert_close(traces[0], traces[1])


def test_later_runs_do_not_touch_held_tensors():
    exp, syn, lif, x = mock_net()
    first = lif(syn(hxsnn.NeuronHandle(x)))
    hxsnn.run(exp, 50)
    held, values = first.membrane_cadc, first.membrane_cadc.clone()
    second = lif(syn(hxsnn.NeuronHandle(torch.zeros_like(x))))
    assert second is not first
    hxsnn.run(exp, 50)
    assert first.membrane_cadc is held
    assert_close(held, values)
    assert not torch.equal(second.membrane_cadc, values)


def test_inputs_are_summed_whether_given_together_or_in_turn():
    exp, syn, lif, x = mock_net(20.0)
    other = hxsnn.Synapse(1, 1, exp)
    other.weight.data.fill_(30.0)
    traces = []
    for together in (True, False):
        a, b = syn(hxsnn.NeuronHandle(x)), other(hxsnn.NeuronHandle(x))
        if together:
            z = lif(a, b)
        else:
            z = lif(a)
            assert lif(b) is z
        hxsnn.run(exp, 50)
        traces.append(z.spikes[:, 0, 0].nonzero().flatten().tolist())
    assert traces == [[22, 35], [22, 35]]


def test_trained_parameters_get_gradients():
    exp, syn, _, x = mock_net(0.5)
    leak = hxsnn.MixedHXModelParameter(torch.zeros(1), 80).make_trainable()
    tau = hxsnn.HXParameter(10e-6).make_trainable()
    lif = hxsnn.Neuron(1, exp, leak=leak, tau_mem=tau, threshold=1.0, reset=0.0)
    assert {name for name, _ in lif.named_parameters()} == {"leak._model", "tau_mem._model"}
    z = lif(syn(hxsnn.NeuronHandle(x)))
    hxsnn.run(exp, 50)
    z.membrane_cadc.sum().backward()
    assert leak.model_value.grad.item() != 0
    assert tau.model_value.grad.item() != 0


def test_readout_is_a_neuron_that_does_not_fire():
    exp, syn, _, x = mock_net(100.0)
    readout = hxsnn.ReadoutNeuron(1, exp)
    assert isinstance(readout, hxsnn.Neuron)
    y = readout(syn(hxsnn.NeuronHandle(x)))
    hxsnn.run(exp, 50)
    assert isinstance(y, hxsnn.ReadoutNeuronHandle)
    assert y.membrane_cadc.max() > 125


def test_own_modules():
    class Double(hxsnn.HXModule):
        output_type = hxsnn.SynapseHandle

        def forward_func(self, input):
            return hxsnn.SynapseHandle(2 * input.graded_spikes)

    exp, syn, lif, x = mock_net(25.0)
    z = lif(Double(exp)(syn(hxsnn.NeuronHandle(x))))
    passed = hxsnn.HXModule(exp)
    with pytest.raises(AssertionError, match="TensorHandle carries"):
        passed(z)
        hxsnn.run(exp, 50)
    assert z.spikes is None  # nothing of a failed run stays
    z = lif(Double(exp)(syn(hxsnn.NeuronHandle(x))))
    hxsnn.run(exp, 50)
    assert z.spikes[:, 0, 0].nonzero().flatten().tolist() == [22, 35]


@pytest.mark.parametrize(
    ("spikes", "message"),
    [
        (torch.zeros(50, 1, 2), r"shape \(50, 1, 2\), expected \(time, batch, 1\)"),
        (torch.zeros(50, 1), r"shape \(50, 1\), expected \(time, batch, 1\)"),
        (torch.zeros(0, 1, 1), "at least one time step"),
        (torch.full((5, 1, 1), torch.nan), "NaN or infinite"),
        (torch.full((5, 1, 1), torch.inf), "NaN or infinite"),
        (None, "holds no spikes"),
    ],
)
def test_bad_input_is_refused_and_the_experiment_stays_usable(spikes, message):
    exp, syn, lif, x = mock_net()
    lif(syn(hxsnn.NeuronHandle(spikes)))
    with pytest.raises(ValueError, match=message):
        hxsnn.run(exp, 50)
    z = lif(syn(hxsnn.NeuronHandle(x)))
    hxsnn.run(exp, 50)
    assert z.spikes.sum() == 2


def test_large_finite_inputs_are_not_taken_for_infinite_ones():
    exp = hxsnn.Experiment(mock=True)
    syn = hxsnn.Synapse(2, 1, exp)
    syn.weight.data.fill_(3e38)
    syn(hxsnn.NeuronHandle(torch.zeros(2, 1, 2)))
    hxsnn.run(exp, 2)


def test_nan_weights():
    exp, syn, lif, x = mock_net(float("nan"))
    lif(syn(hxsnn.NeuronHandle(x)))
    with pytest.raises(ValueError, match=r"weight of Synapse\(in_features=1, out_features=1\) contains NaN"):
        hxsnn.run(exp, 50)


def test_sizes_of_connected_modules_must_agree():
    exp, syn, lif, x = mock_net()
    hxsnn.Synapse(7, 1, exp)(lif(syn(hxsnn.NeuronHandle(x))))
    with pytest.raises(ValueError, match=r"expects 7 features, but Neuron\(size=1\) gives 1"):
        hxsnn.run(exp, 50)


def test_connected_modules_must_fit():
    exp, syn, _, x = mock_net()
    hxsnn.Synapse(1, 1, exp)(syn(hxsnn.NeuronHandle(x)))
    with pytest.raises(ValueError, match=r"reads spikes, but .* gives graded_spikes"):
        hxsnn.run(exp, 50)


def test_unequal_batch_sizes():
    exp, syn, lif, x = mock_net()
    other = hxsnn.Synapse(1, 1, exp)
    lif(syn(hxsnn.NeuronHandle(x)), other(hxsnn.NeuronHandle(x.expand(50, 3, 1))))
    with pytest.raises(ValueError, match=r"unequal batch sizes: 1 for .* 3 for"):
        hxsnn.run(exp, 50)


def test_nothing_called():
    exp, syn, lif, x = mock_net()
    lif(syn(hxsnn.NeuronHandle(x)))
    hxsnn.run(exp, 50)
    with pytest.raises(ValueError, match="no module was called since the last run"):
        hxsnn.run(exp, 50)


def test_modules_can_be_copied_and_saved():
    exp, syn, lif, x = mock_net()
    net = torch.nn.Sequential(syn, lif)
    assert list(net.state_dict()) == ["0.weight"]
    twin = copy.deepcopy(net)
    assert twin[0].experiment is exp
    z = twin(hxsnn.NeuronHandle(x))
    hxsnn.run(exp, 50)
    assert z.spikes.sum() == 2


def test_print():
    exp = hxsnn.Experiment(mock=True)
    lif = hxsnn.Neuron(3, exp, leak=hxsnn.MixedHXModelParameter(0.0, 80), tau_mem=20e-6, reset=torch.ones(3))
    text = "Neuron(size=3, leak=MixedHXModelParameter(0, 80), reset=<3: 1..1>, tau_mem=2e-05)"
    assert str(lif) == text
    assert str(hxsnn.Synapse(2, 3, exp)) == "Synapse(in_features=2, out_features=3)"
    assert str(hxsnn.InputNeuron(2, exp)) == "InputNeuron(size=2)"


def test_synapse_initialisation():
    syn = hxsnn.Synapse(100, 50, hxsnn.Experiment(mock=True), dtype=torch.float64)
    assert syn.weight.shape == (50, 100)
    assert syn.weight.dtype == torch.float64
    assert 0.09 < syn.weight.abs().max() <= 0.1


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"enable_madc_recording": True}, ValueError, "needs record_neuron_id"),
        ({"enable_madc_recording": True, "record_neuron_id": 2}, ValueError, r"must name neurons of 0\.\.1"),
        ({"enable_madc_recording": True, "record_neuron_id": (0, 0)}, ValueError, "two different"),
        ({"placement_constraint": [1]}, ValueError, "does not equal the `size`"),
        ({"trace_offset": torch.ones(3)}, ValueError, r"shape \(3,\), expected \(\) or \(2,\)"),
        ({"trace_scale": float("nan")}, ValueError, "NaN"),
        ({"interpolation_mode": "cubic"}, RuntimeError, "Mode 'cubic' is not supported yet"),
        ({"cadc_time_shift": 0.5}, TypeError, "whole number"),
        ({"method": "heaviside"}, ValueError, "Threshold function 'heaviside'"),
    ],
)
def test_bad_settings_are_refused_at_construction(settings, error, message):
    with pytest.raises(error, match=message):
        hxsnn.Neuron(2, hxsnn.Experiment(mock=True), **settings)


@pytest.mark.parametrize("size", [0, -1])
def test_sizes_are_positive(size):
    with pytest.raises(ValueError, match=f"size is {size}, but must be at least 1"):
        hxsnn.Neuron(size, hxsnn.Experiment(mock=True))
    with pytest.raises(TypeError, match="whole number"):
        hxsnn.Synapse(1.5, 1, hxsnn.Experiment(mock=True))


@pytest.mark.parametrize("dt", [0, -1e-6, float("nan")])
def test_dt_is_positive(dt):
    with pytest.raises(ValueError, match="dt is"):
        hxsnn.Experiment(dt=dt)


def test_input_neuron():
    exp = hxsnn.Experiment(mock=True)
    source = hxsnn.InputNeuron(2, exp)
    x = torch.ones(3, 1, 2)
    z = source(hxsnn.NeuronHandle(x))
    hxsnn.run(exp, 3)
    assert_close(z.spikes, x)
    recorded = torch.zeros(4, 1, 2)
    assert_close(source.func((hxsnn.NeuronHandle(x),), recorded).spikes, recorded[:3])


class FakeChip:
    """Stands in for `chip_run`: every population returns a fixed recording."""

    def __init__(self):
        self.seeds = []

    def execute(self, experiment, graph, runtime, trial_seed):
        self.seeds.append(trial_seed)
        batch = graph.open_inputs[0][1].spikes.shape[1]
        data = {
            node.module: self.record(node.module, batch)
            for node in graph.modules_in_order
            if isinstance(node.module, hxsnn.Neuron)
        }
        return data, hxsnn.ExecutionInfo({"chip": 1.0}, {"lost_spikes": 0})

    def record(self, module, batch):
        samples = 30
        time = np.tile(np.arange(samples) * 212.5, (batch, 2, 1))
        value = np.full((batch, samples, module.size), 80, dtype=np.uint8)
        value[:, 15:] = 100
        fired = np.zeros(batch, dtype=np.int64)
        return HardwareObservables(
            SpikeHandle(np.arange(batch), fired + 7 * 125, fired, batch, module.size),
            CADCHandle(value, time, np.full((batch, 2), samples), np.zeros(module.size, dtype=np.int64)),
            MADCHandle(np.arange(5.0), np.zeros((batch, 5), np.uint16)),
        )


@pytest.fixture
def chip(monkeypatch):
    fake = FakeChip()
    monkeypatch.setattr("hxtorch.snn.chip_run", fake, raising=False)
    return fake


def chip_net(steps=20, **settings):
    exp = hxsnn.Experiment()
    syn, lif = hxsnn.Synapse(1, 2, exp), hxsnn.Neuron(2, exp, **settings)
    x = torch.zeros(steps, 3, 1)
    x[3] = 1
    return exp, syn, lif, x


def test_chip_data_replaces_the_model(chip):
    exp, syn, lif, x = chip_net(trace_offset=-48.0, trace_scale=0.5)
    z = lif(syn(hxsnn.NeuronHandle(x)))
    info = hxsnn.run(exp, 25, trial_seed=7)
    assert info.health == {"lost_spikes": 0}
    assert chip.seeds == [7]
    assert z.spikes.shape == z.membrane_cadc.shape == z.current.shape == (20, 3, 2)
    assert z.spikes.nonzero().tolist() == [[7, b, 0] for b in range(3)]
    assert (z.membrane_cadc == 0).all()
    assert z.membrane_madc.shape == (2, 5, 3)
    z.membrane_cadc.sum().backward()
    assert syn.weight.grad.abs().sum() > 0


def test_chip_data_of_a_readout(chip):
    exp, syn, _, x = chip_net(30)
    readout = hxsnn.ReadoutNeuron(2, exp, cadc_time_shift=1, shift_cadc_to_first=True, trace_offset=5.0)
    y = readout(syn(hxsnn.NeuronHandle(x)))
    hxsnn.run(exp, 30)
    assert y.membrane_cadc.shape == (30, 3, 2)
    assert (y.membrane_cadc[0] == 0).all()
    assert (y.membrane_cadc[-1] == 20).all()


def test_unplaced_offsets_by_place(chip):
    exp, syn, lif, x = chip_net(trace_offset={"place": 1.0})
    lif(syn(hxsnn.NeuronHandle(x)))
    with pytest.raises(ValueError, match="trace_offset has no value"):
        hxsnn.run(exp, 20)


@pytest.mark.parametrize(
    ("runtime", "message"),
    [
        (None, "Requested runtime invalid."),
        (20.0, "Requested runtime invalid."),
        (True, "Requested runtime invalid."),
        (-1, "must not be negative"),
        (10, "It is 10 steps, but the input of .* has 20"),
        (10**10, "Runtime of 10000000000 to long. Maximum supported runtime 34359738 "),
    ],
)
def test_bad_runtimes(chip, runtime, message):
    exp, syn, lif, x = chip_net()
    lif(syn(hxsnn.NeuronHandle(x)))
    with pytest.raises(ValueError, match=message):
        hxsnn.run(exp, runtime)
    z = lif(syn(hxsnn.NeuronHandle(x)))
    hxsnn.run(exp, np.int64(20))
    assert z.holds("spikes")


def test_graded_input_spikes_warn_once(chip):
    exp, syn, lif, x = chip_net()
    lif(syn(hxsnn.NeuronHandle(2 * x)))
    with pytest.warns(UserWarning, match="neither 0 nor 1") as caught:
        hxsnn.run(exp, 20)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lif(syn(hxsnn.NeuronHandle(x)))
        hxsnn.run(exp, 20)


def test_get_hw_results(chip):
    exp, syn, lif, x = chip_net()
    lif(syn(hxsnn.NeuronHandle(x)))
    data, info = exp.get_hw_results(20)
    assert set(data) == {lif}
    assert data[lif].cadc.shape == (21, 3, 2)
    assert isinstance(info, hxsnn.ExecutionInfo)
    assert hxsnn.Experiment(mock=True).get_hw_results(None) == ({}, None)


def test_execution_instances():
    exp = hxsnn.Experiment()
    instance = exp.default_execution_instance
    assert exp.default_execution_instance is instance
    assert str(instance) == f"ExecutionInstance(ID={instance.ID})"
    assert repr(instance) == str(instance.ID)
    assert hxsnn.ExecutionInstance().ID != instance.ID
    own = hxsnn.ExecutionInstance(input_loopback=True)
    exp.default_execution_instance = own
    assert hxsnn.Synapse(1, 1, exp).execution_instance is own
    assert hxsnn.Synapse(1, 1, exp, instance).execution_instance is instance
    assert hxsnn.Synapse(1, 1, hxsnn.Experiment(mock=True)).execution_instance is None
    exp.clear()
    assert exp.default_execution_instance is not own


def test_load_calib_refuses_nothing_and_missing_files(tmp_path):
    instance = hxsnn.ExecutionInstance()
    with pytest.raises(AssertionError, match="got None"):
        instance.load_calib(None)
    with pytest.raises(FileNotFoundError, match=r"no calibration file .*nothing\.pkl"):
        instance.load_calib(tmp_path / "nothing.pkl")


def test_calibrations_are_parsed_once_per_content(tmp_path, monkeypatch):
    import hxtorch.calibration

    parsed = []
    monkeypatch.setattr(hxtorch.calibration, "load", lambda path: parsed.append(path) or object(), raising=False)
    path = tmp_path / "spiking_calix-native.pkl"
    path.write_bytes(b"one")
    results = {id(hxsnn.ExecutionInstance(path).calibration) for _ in range(10)}
    assert len(parsed) == len(results) == 1
    path.write_bytes(b"three")
    instance = hxsnn.ExecutionInstance()
    assert instance.load_calib(str(path)) is instance.calibration
    assert len(parsed) == 2

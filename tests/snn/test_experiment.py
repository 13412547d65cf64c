"""`run`: what it checks, what it fills, and that nothing is left behind after an error."""

import copy

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import hxtorch.snn as hxsnn


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

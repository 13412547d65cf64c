import copy

import numpy as np
import pytest
import torch

from hxtorch import snn
from hxtorch.snn import (
    Experiment,
    HXParameter,
    HXTransformedModelParameter,
    MixedHXModelParameter,
    ModelParameter,
    Neuron,
    ReadoutNeuron,
)
from hxtorch.snn.parameters.parameter import as_parameter
from hxtorch.snn.parameters.table import PARAMETERS, chip_range_report


def neuron(size=1, **params):
    return Neuron(size, Experiment(mock=True), **params)


def test_hx_parameter_has_one_value():
    parameter = HXParameter(80)
    assert parameter.model_value == parameter.hardware_value == 80
    parameter.hardware_value = 90
    assert parameter.model_value == parameter.hardware_value == 90
    with pytest.raises(AttributeError, match="read-only"):
        parameter.model_value = 1
    assert parameter.model_value == 90


def test_mixed_parameter_has_independent_values():
    parameter = MixedHXModelParameter(0.0, 80)
    assert (parameter.model_value, parameter.hardware_value) == (0.0, 80)
    parameter.hardware_value = torch.full((3,), 70.0)
    assert parameter.model_value == 0.0
    parameter.model_value = 1.0
    assert parameter.hardware_value.tolist() == [70, 70, 70]


def test_transformed_parameter_follows_the_model():
    parameter = HXTransformedModelParameter(2.0, lambda x: 3 * x)
    assert parameter.hardware_value == 6
    parameter.hardware_value = 100
    assert parameter.hardware_value == 6
    parameter.model_value = 5.0
    assert parameter.hardware_value == 15


def test_model_parameter_mirrors():
    parameter = ModelParameter(2.0)
    parameter.hardware_value = 7
    assert parameter.hardware_value == 2
    parameter.model_value = 3.0
    assert parameter.hardware_value == 3


@pytest.mark.parametrize(
    "make",
    [
        HXParameter,
        ModelParameter,
        lambda v: MixedHXModelParameter(v, 80),
        lambda v: HXTransformedModelParameter(v, abs),
    ],
)
def test_make_trainable(make):
    parameter = make(2)
    assert not parameter.is_trainable()
    assert parameter.make_trainable() is parameter
    assert parameter.is_trainable()
    assert isinstance(parameter.model_value, torch.nn.Parameter)
    assert [p is parameter.model_value for p in parameter.parameters()] == [True]
    assert not isinstance(parameter.hardware_value, torch.nn.Parameter)
    assert "trainable=True" in str(parameter)


def test_setting_a_trained_value_keeps_the_tensor_of_the_optimizer():
    parameter = MixedHXModelParameter(2.0, 80).make_trainable()
    held = parameter.model_value
    parameter.model_value = 5.0
    assert parameter.model_value is held
    assert held.item() == 5
    replacement = torch.nn.Parameter(torch.tensor(6.0))
    parameter.model_value = replacement
    assert parameter.model_value is replacement
    assert list(parameter.parameters()) == [replacement]


def test_set_on_chip():
    written = []
    parameter = MixedHXModelParameter(2.0, 80)
    with pytest.raises(ValueError, match="no function"):
        parameter.set_on_chip(None, None)
    parameter.make_trainable(lambda *args: written.append(args))
    parameter.set_on_chip("chip", "place")
    assert written == [("chip", "place", 80)]


def test_with_hardware_value_leaves_the_original():
    for original in (HXParameter(torch.ones(2)), HXParameter(80), MixedHXModelParameter(0.0, 80)):
        other = original.with_hardware_value(torch.full((3,), 5.0))
        assert other.hardware_value.tolist() == [5, 5, 5]
        assert torch.as_tensor(original.hardware_value).unique().item() in (1, 80)
    assert MixedHXModelParameter(0.0, 80).with_hardware_value(5).model_value == 0


def test_coercion():
    assert as_parameter(np.float32(2)).model_value == 2
    assert as_parameter([1.0, 2.0]).model_value.tolist() == [1, 2]
    assert as_parameter(np.arange(3)).model_value.tolist() == [0, 1, 2]
    mixed = MixedHXModelParameter(0.0, 1)
    assert as_parameter(mixed) is mixed
    for wrong in ("80", None, True):
        with pytest.raises(TypeError, match="must be a number or a tensor"):
            as_parameter(wrong)


def test_values_survive_deepcopy_and_stay_out_of_the_state_dict():
    lif = neuron(2, leak=torch.tensor([1.0, 2.0]))
    assert lif.state_dict() == {}
    twin = copy.deepcopy(lif)
    twin.leak.hardware_value = 5.0
    assert lif.leak.model_value.tolist() == [1, 2]
    assert lif.to(torch.float64).leak.model_value.dtype == torch.float64


def test_defaults_of_the_seed():
    lif = neuron()
    expected = {
        "leak": 80, "reset": 80, "threshold": 125, "tau_mem": 10e-6, "tau_syn": 10e-6, "i_synin_gm": 500,
        "membrane_capacitance": 63, "refractory_time": 1e-6, "synapse_dac_bias": 600, "holdoff_time": 0,
    }  # fmt: skip
    assert {name: item.hardware_value for name, item in lif.params.items()} == expected
    assert {name: PARAMETERS[name].default for name in expected} == expected


def test_assigning_a_parameter_coerces_and_checks():
    lif = neuron(2)
    lif.threshold = 100
    assert isinstance(lif.threshold, HXParameter)
    assert lif.params["threshold"].hardware_value == 100
    with pytest.raises(ValueError, match="tau_mem"):
        lif.tau_mem = -1e-6


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"leak": float("nan")}, r"leak \(model value\) is NaN"),
        ({"leak": MixedHXModelParameter(0.0, float("nan"))}, r"leak \(hardware value\) is NaN"),
        ({"tau_mem": -1e-6}, "is -1e-06, but must be above 0"),
        ({"tau_syn": 0.0}, "must be above 0"),
        ({"refractory_time": -1e-6}, "must not be negative"),
        ({"threshold": torch.ones(3)}, r"shape \(3,\), expected \(\) or \(2,\) for 2 neurons"),
        ({"tau_syn": torch.ones(3, 2)}, r"expected \(\) or \(2,\) or \(2, 2\)"),
    ],
)
def test_bad_values_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        neuron(2, **params)


def test_allowed_shapes():
    lif = neuron(3, leak=torch.ones(3), tau_syn=torch.full((2, 3), 1e-5), i_synin_gm=[400, 500], reset=np.ones(3))
    assert lif.i_synin_gm.hardware_value.tolist() == [400, 500]
    model = lif.model("tau_syn", torch.zeros(1, 1, 3))
    assert model.shape == (3,)


def test_unknown_keyword_names_the_closest():
    with pytest.raises(TypeError, match=r"'tresholds'\. Did you mean 'threshold'"):
        neuron(tresholds=1)
    with pytest.raises(TypeError, match="Did you mean 'trace_offset'"):
        ReadoutNeuron(1, Experiment(mock=True), trace_ofset=1)


def test_parameters_of_all_neurons_are_accepted():
    params = {"exponential_slope": 0.1, "tau_adap": 1e-4, "clock_scale_adaptation_pulse": (5, 5)}
    assert neuron(**params).tau_adap.model_value == 1e-4
    readout = ReadoutNeuron(
        1,
        Experiment(mock=True),
        threshold=1.0,
        reset=0.0,
        refractory_time=2e-6,
        alpha=150,
        method="superspike",
    )
    assert readout.threshold.model_value == 1
    assert readout.alpha == 150
    assert not readout.enable_spike_recording


def test_range_of_the_chip_is_a_warning_and_only_there():
    neuron(leak=-0.1, reset=0.0, threshold=1.0)
    with pytest.warns(UserWarning, match="threshold is 1, the range is 50 to 220 CADC LSB"):
        Neuron(1, Experiment(), threshold=1.0)
    assert chip_range_report(neuron().params) == []
    assert len(chip_range_report(neuron(leak=1022, tau_mem=1e-3).params)) == 2


def test_a_number_for_a_trained_value_of_every_neuron_keeps_its_shape():
    experiment = snn.Experiment(mock=True)
    threshold = snn.MixedHXModelParameter(torch.tensor([1.0, 1.5, 2.0]), 100).make_trainable()
    lif = snn.LIF(3, experiment, leak=snn.MixedHXModelParameter(0.0, 80), threshold=threshold)
    z = lif(snn.SynapseHandle(torch.ones(30, 2, 3)))
    snn.run(experiment, None)
    threshold.model_value = 3.0
    z.spikes.sum().backward()  # of the run before
    assert threshold.model_value.grad.shape == (3,) and threshold.model_value.tolist() == [3.0] * 3

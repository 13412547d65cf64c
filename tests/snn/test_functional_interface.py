"""The functions that scripts call, and modules of today's names, against golden numbers."""

import math
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from hxtorch import snn
from hxtorch.snn import functional as F
from hxtorch.snn.functional.integrators.eventprop import adjoint

AELIF_VALUES = {
    "leak": 0.1,
    "reset": -0.1,
    "threshold": 0.7,
    "tau_syn": 5e-6,
    "c_mem": 8e-6,
    "g_l": 1.6,
    "refractory_time": 2e-6,
    "exp_slope": 0.2,
    "exp_threshold": 0.3,
    "subthreshold_adaptation_strength": 2.0,
    "spike_triggered_adaptation_increment": 0.3,
    "tau_adap": 20e-6,
    "method": "superspike",
    "alpha": 50.0,
}
TERMS = {
    "refractory": True,
    "exponential": True,
    "subthreshold_adaptation": True,
    "spike_triggered_adaptation": True,
}


def numbers(text):
    return torch.tensor([float(item) for item in text.split()])


V = numbers("0.114715 .127427 -.1 -.1 -.1 .59262 -.1 -.1 -.1 .136388 .285032 .380024")
W = numbers(".001472 .004141 .370264 .381664 .382351 .412495 .799001 .778085 .74958 .71574 .698456 .691536")


def golden_input():
    x = torch.zeros(12, 1, 1)
    x[1], x[4] = 5, 3
    return x


def steps_of(spikes):
    return spikes[:, 0, 0].nonzero().flatten().tolist()


@pytest.mark.parametrize("way", ["keywords", "flags", "generated", "two inputs"])
def test_cuba_aelif_integration(way):
    x = golden_input()
    terms = dict(TERMS)
    if way == "flags":
        terms = {"integration_step_code": F.CuBaStepCode(**TERMS)}
    elif way == "generated":
        terms = {"integration_step_code": F.CuBaStepCode(**TERMS).generate()}
    elif way == "two inputs":
        x = (x * 0.25, x * 0.75)
    v, v_madc, i, w, w_madc, z = F.cuba_aelif_integration(x, **AELIF_VALUES, **terms)
    assert_close(v[:, 0, 0], V, atol=2e-6, rtol=0)
    assert_close(w[:, 0, 0], W, atol=2e-6, rtol=0)
    assert steps_of(z) == [2, 6]
    assert v_madc is None
    assert w_madc is None
    assert i[1, 0, 0] == 5


def test_program_text_is_never_executed(tmp_path):
    trap = tmp_path / "trap"
    with pytest.raises(ValueError, match="never executed here"):
        F.cuba_aelif_integration(golden_input(), **AELIF_VALUES, integration_step_code=f"open({str(trap)!r}, 'w')")
    assert not trap.exists()


@pytest.mark.parametrize(("time", "steps"), [(0.0, None), (1e-6, 1), (1.5e-6, 2), (3e-6, 3), (2.0000001e-6, 2)])
def test_refractory_steps(time, steps):
    assert F.refractory_steps(time, 1e-6) == steps
    tensor = F.refractory_steps(torch.tensor([time], dtype=torch.float64), 1e-6)
    assert tensor is None if steps is None else tensor.item() == steps


def test_exponential_euler_follows_the_exact_solution_of_a_leak():
    a, s = math.exp(-0.1), math.exp(-0.2)
    x = torch.zeros(30, 1, 1)
    x[0] = 1.0
    v, i, madc = F.exp_cuba_li_integration(x, 0.0, s, a)
    assert madc is None
    t = torch.arange(30.0)
    assert_close(i[:, 0, 0], s**t)
    assert_close(v[:, 0, 0], (1 - a) * (a**t - s**t) / (a - s), atol=1e-6, rtol=1e-5)
    z, v_spiking, _, _ = F.exp_cuba_lif_integration(x * 30, 0.0, 0.0, 1.0, s, a)
    assert steps_of(z) == [int((v[:, 0, 0] * 30 > 1).nonzero()[0]), *steps_of(z)[1:]]
    assert (v_spiking[z.bool()] == 0).all()


def test_eventprop_golden():
    x = torch.zeros(30, 1, 1)
    x[5] = 1
    weight = torch.tensor([[6.0]], requires_grad=True)
    stacked = F.EventPropSynapseFunction.apply(x, weight, None)
    z, v, i = F.EventPropLIFFunction.apply(stacked, 0.0, 0.0, 1.0, 1e-5, 1e-5, None, 1e-6)
    assert steps_of(z) == [7, 10, 14]
    z.sum().backward()
    assert weight.grad.item() == pytest.approx(3.523e-6, abs=5e-10)
    weight.grad = None
    states = F.integrate(F.linear(x, weight), F.Membrane(0.0, 1e-5, 1e-5), F.Firing(1.0, 0.0))
    assert torch.equal(states.membrane, v)
    assert torch.equal(states.current[:-1], i[1:])
    states.spikes.sum().backward()
    assert weight.grad.item() == pytest.approx(0.067428, abs=5e-7)


@pytest.mark.parametrize("smallest_slope", [None, 0.5])
def test_eventprop_kernel_equals_reference(smallest_slope):
    g = torch.Generator().manual_seed(0)
    spikes = (torch.rand(40, 3, 7, generator=g) < 0.2).float()
    current, grad = torch.rand(40, 3, 7, generator=g), torch.randn(40, 3, 7, generator=g)
    arguments = (spikes, current, grad, 0.0, torch.rand(7, generator=g) - 1, 1.0, 1e-5, 2e-5, 1e-6)
    arguments += (smallest_slope,)
    fused = adjoint(*arguments)
    with F.reference_numerics():
        expected = adjoint(*arguments)
    for a, b in zip(fused, expected, strict=True):
        assert_close(a, b, rtol=1e-5, atol=1e-5 * b.abs().max().item())


@pytest.mark.parametrize(("current", "slope"), [(2.0, 1.0), (1.01, 0.25), (0.4, 0.25)])
def test_eventprop_bounds_the_slope_at_a_spike(current, slope):
    """One spike of the chip where the current of the model is well above, just above, and below the threshold."""
    spikes, grad = torch.zeros(4, 1, 1), torch.zeros(4, 1, 1)
    spikes[2] = 1
    grad[2] = 3.0
    lambda_v, _ = adjoint(spikes, torch.full_like(grad, current), grad, 0.0, 0.0, 1.0, 1e-5, 1e-5, 1e-6, 0.25)
    assert lambda_v[1].item() == pytest.approx(3.0 / slope)  # before the spike
    unbounded, _ = adjoint(spikes, torch.full_like(grad, current), grad, 0.0, 0.0, 1.0, 1e-5, 1e-5, 1e-6)
    assert unbounded[1].item() == pytest.approx(3.0 / (current - 1), rel=1e-5)


def test_eventprop_passes_chip_data_through():
    stacked = torch.zeros(2, 10, 1, 2, requires_grad=True)
    spikes, cadc = torch.ones(8, 1, 2), torch.rand(8, 1, 2)
    z, v, i = F.EventPropLIFFunction.apply(stacked, 0.0, 0.0, 1.0, 1e-5, 1e-5, (spikes, cadc), 1e-6)
    assert z.sum() == 16
    assert torch.equal(v[:8], cadc)
    assert i is None


@pytest.mark.parametrize(
    ("weight", "options", "expected"),
    [
        (1.5, {}, 1.482482),
        (2.0, {}, 1.4999995),
        (1.4523, {}, 1.4523),
        (-1.5, {}, -1.482482),
        (1.5, {"start_weight": 31.5, "quantize": True}, 1.2142857),
        (1.0, {"start_weight": 31.5, "quantize": True}, 0.9523810),
    ],
)
def test_linear_exponential_clamp(weight, options, expected):
    w = torch.tensor([[weight]], requires_grad=True)
    out = F.linear_exponential_clamp(torch.ones(1, 1), w, **options)
    assert out.item() == pytest.approx(expected, abs=1e-6)
    out.backward()
    assert w.grad.item() > 0


def test_linear_sparse():
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    mask = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]])
    x = torch.ones(2, 5, 4)
    post, pre = mask.nonzero(as_tuple=True)
    for connections in (mask, mask.to_sparse(), [post.tolist(), pre.tolist()]):
        assert_close(F.linear_sparse(x, weight, connections), x @ (weight * mask).T)
    F.linear_sparse(x, weight, mask).sum().backward()
    assert (weight.grad[mask == 0] == 0).all()
    with pytest.raises(ValueError, match="expected a mask of"):
        F.linear_sparse(x, weight, torch.ones(3, 3))


@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 5, 7), (20, 3, 64)])
def test_integer_weights_give_exact_products(shape):
    g = torch.Generator().manual_seed(2)
    spikes = (torch.rand(shape, generator=g) < 0.3).float()
    weight = torch.randint(-63, 64, (11, shape[2]), generator=g, dtype=torch.int8)
    assert torch.equal(F.linear(spikes, weight), spikes @ weight.float().T)
    with pytest.raises(ValueError, match="no whole numbers"):
        F.linear(spikes + 0.5, weight)


@pytest.mark.parametrize("method", sorted(F.SURROGATES))
def test_surrogates_state_what_they_compute(method):
    x = torch.linspace(-2, 2, 401, dtype=torch.float64, requires_grad=True)
    z = F.threshold(x, method, 3.0)
    assert torch.equal(z, (x > 0).double())
    (grad,) = torch.autograd.grad(z.sum(), x)
    u = 3.0 * x.detach()
    s = torch.sigmoid(u)

    def normal(mean, deviation):
        return torch.exp(torch.distributions.Normal(mean, deviation).log_prob(x.detach()))

    expected = {
        "superspike": 1 / (u.abs() + 1) ** 2,
        "sigmoid": 3 * s * (1 - s),
        "arctan": 1.5 / (1 + (math.pi / 2 * u) ** 2),
        "triangular": (1 - u.abs()).clamp_min(0),
        "multi_gaussian": 0.5 * (1.15 * normal(0, 1 / 3) - 0.15 * normal(-1 / 3, 2.0) - 0.15 * normal(1 / 3, 2.0)),
        "straight_through": torch.ones_like(u),
    }[method]
    assert_close(grad, expected, rtol=1e-5, atol=1e-7)  # Normal keeps its parameters in float32
    assert F.SURROGATES[method].source


def run_module(neuron, weight, exp, synapse=snn.Synapse, times=(10, 15, 20, 30)):
    x = torch.zeros(50, 1, 1)
    x[list(times)] = 1
    linear = synapse(1, neuron.size, exp)
    torch.nn.init.constant_(linear.weight, weight)
    z = neuron(linear(snn.NeuronHandle(x)))
    snn.run(exp, None)
    return z, linear


@pytest.mark.parametrize(("weight", "expected"), [(50.0, [22]), (63.0, [20, 31])])
def test_lif_has_a_refractory_period(weight, expected):
    exp = snn.Experiment(mock=True)
    z, _ = run_module(snn.LIF(1, exp), weight, exp)
    assert type(z) is snn.LIFObservables
    assert steps_of(z.spikes) == expected


def test_lif_follows_its_capacitance():
    """With tau_mem = 20 us and the default c, the current counts twice as much as in `Neuron`."""
    exp = snn.Experiment(mock=True)
    weak, _ = run_module(snn.LI(1, exp, leak=0, tau_mem=20e-6), 1.0, exp)
    seed, _ = run_module(snn.ReadoutNeuron(1, exp, leak=0, tau_mem=20e-6), 2.0, exp)
    assert type(weak) is snn.LIObservables
    assert_close(weak.membrane_cadc, seed.membrane_cadc)
    same, _ = run_module(snn.LI(1, exp, leak=0, tau_mem=20e-6, membrane_capacitance=20e-6), 2.0, exp)
    assert_close(same.membrane_cadc, seed.membrane_cadc)
    default = snn.LIF(1, exp).membrane_capacitance
    assert (default.model_value, default.hardware_value) == (10e-6, pytest.approx(63))
    assert snn.LIF(1, exp).membrane_capacitance is not default


def test_aelif_observables_follow_its_terms():
    exp = snn.Experiment(mock=True)
    z, _ = run_module(snn.AELIF(1, exp, leak=0, reset=0, threshold=1, exponential=False), 5.0, exp)
    assert z.names() == (
        "spikes",
        "membrane_cadc",
        "current",
        "membrane_madc",
        "adaptation_cadc",
        "adaptation_madc",
    )
    assert z.adaptation_cadc.max() > 0
    plain, _ = run_module(
        snn.AELIF(
            1, exp, exponential=False, subthreshold_adaptation=False, spike_triggered_adaptation=False, fire=False
        ),
        50.0,
        exp,
    )
    assert type(plain) is snn.LIObservables


def test_trainable_parameters_of_neurons_get_gradients():
    exp = snn.Experiment(mock=True)
    names = ("leak", "reset", "threshold", "tau_mem", "tau_syn", "membrane_capacitance", "tau_adap")
    names += ("subthreshold_adaptation_strength", "spike_triggered_adaptation_increment")
    values = {name: snn.MixedHXModelParameter(v, v) for name, v in zip(names, (0.0, -0.1, 1.0, 9e-6, 8e-6, 1e-5))}
    values |= {name: snn.ModelParameter(v) for name, v in zip(names[6:], (5e-5, 0.5, 0.1))}
    neuron = snn.AELIF(2, exp, exponential=False, refractory_time=1e-6, **values)
    for name in names:
        getattr(neuron, name).make_trainable()
    z, linear = run_module(neuron, 5.0, exp)
    (z.spikes.sum() + z.membrane_cadc.square().sum()).backward()
    assert linear.weight.grad.abs().sum() > 0
    for name in names:
        grad = getattr(neuron, name).model_value.grad
        assert grad is not None, name
        assert grad.abs().sum() > 0, name


def test_exponential_euler_modules():
    exp = snn.Experiment(mock=True)
    factor = math.exp(-0.1)
    with pytest.warns(DeprecationWarning, match="NeuronExp is deprecated. Use LIF") as caught:
        z, _ = run_module(snn.NeuronExp(1, exp, 0.0, 0.0, 1.0, factor, factor), 6.0, exp)
    assert Path(caught[0].filename).parent == Path(__file__).parent  # the user's line, which Python shows
    assert z.spikes.sum() > 0
    with pytest.warns(DeprecationWarning, match="Use LI"):
        y, _ = run_module(snn.ReadoutNeuronExp(1, exp, 0.0, factor, factor), 1.0, exp, times=(0,))
    t = torch.arange(50.0)
    assert_close(y.membrane_cadc[:, 0, 0], (1 - factor) * t * factor ** (t - 1), atol=1e-6, rtol=1e-5)


def test_eventprop_modules():
    exp = snn.Experiment(mock=True)
    neuron = snn.EventPropLIF(1, exp, 0.0, 0.0, 1.0)
    z, linear = run_module(neuron, 6.0, exp, snn.EventPropSynapse, times=(5,))
    assert steps_of(z.spikes)[:3] == [7, 10, 14]
    z.spikes.sum().backward()
    assert linear.weight.grad.abs() > 0
    with pytest.raises(ValueError, match="EventPropSynapse"):
        run_module(neuron, 6.0, exp)


def test_handle_factory():
    names = ("spikes", "membrane_cadc", "current", "membrane_madc")
    assert type(snn.Handle(*names)) is snn.LIFObservables is snn.NeuronHandle
    assert type(snn.Handle(*names[1:])) is snn.LIObservables
    z = torch.ones(1)
    made = snn.Handle(spikes=z, other=None)
    assert type(made) is type(snn.Handle("other", "spikes"))
    assert made.spikes is z
    with pytest.raises(Exception, match="Ambiguous Handle construction mode"):
        snn.Handle("spikes", other=z)
    with pytest.raises(TypeError, match="names of fields"):
        snn.Handle(z)

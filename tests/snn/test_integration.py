"""The neuron equations against golden numbers, closed forms and finite differences."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from hxtorch.snn.functional import (
    Adaptation,
    Exponential,
    Firing,
    Measured,
    Membrane,
    fit_steps,
    inject,
    integrate,
    reference_numerics,
    threshold,
)

DT = 1e-6
SEED_MEMBRANE = Membrane(leak=80.0, tau_syn=10e-6, c=10e-6)
SEED_FIRING = Firing(threshold=125.0, reset=80.0)
UNIT_MEMBRANE = Membrane(leak=0.0, tau_syn=10e-6, c=10e-6)
UNIT_FIRING = Firing(threshold=1.0, reset=0.0)


def spikes_at(times, steps=50, weight=1.0, dtype=torch.float32):
    x = torch.zeros(steps, 1, 1, dtype=dtype)
    x[list(times)] = weight
    return x


def times_of(spikes):
    return spikes[:, 0, 0].nonzero().flatten().tolist()


def test_golden_weight_50():
    states = integrate(spikes_at([10, 15, 20, 30], weight=50.0), SEED_MEMBRANE, SEED_FIRING)
    assert times_of(states.spikes) == [22, 35]
    v = states.membrane[:, 0, 0]
    golden = [
        80,
        85,
        89,
        92.15,
        94.58,
        96.4025,
        102.7147,
        107.6004,
        111.2819,
        113.9510,
        115.7735,
        121.8920,
        80,
    ]
    assert_close(v[10:23], torch.tensor(golden), atol=6e-5, rtol=0)
    assert_close(v[[34, 35, 49]], torch.tensor([124.1546, 80.0, 97.6106]), atol=6e-5, rtol=0)
    assert (v[:11] == 80).all()
    current = torch.tensor([50, 45, 40.5, 36.45, 32.805, 79.5245, 71.5720])
    assert_close(states.current[10:17, 0, 0], current, atol=6e-5, rtol=0)


def test_golden_weight_63():
    states = integrate(spikes_at([10, 15, 20, 30], weight=63.0), SEED_MEMBRANE, SEED_FIRING)
    assert times_of(states.spikes) == [20, 27, 37]


@pytest.mark.parametrize(("weight", "expected"), [(63.0, [20, 31]), (50.0, [22])])
def test_golden_refractory(weight, expected):
    firing = Firing(threshold=125.0, reset=80.0, refractory_steps=1)
    states = integrate(spikes_at([10, 15, 20, 30], weight=weight), SEED_MEMBRANE, firing)
    assert times_of(states.spikes) == expected


def test_golden_psp():
    v = integrate(spikes_at([10]), UNIT_MEMBRANE).membrane[:, 0, 0]
    assert_close(v[10:14], torch.tensor([0.0, 0.1, 0.18, 0.243]))
    assert_close(v[[19, 20]], torch.tensor([0.38742, 0.38742]), atol=5e-6, rtol=0)
    assert v.max() == v[[19, 20]].max()
    assert v[49].item() == pytest.approx(0.071167, abs=5e-7)


@pytest.mark.parametrize(
    ("refractory", "expected", "gradient"),
    [(None, [5, *range(8, 50, 2)], 3.80153), (1, list(range(5, 48, 3)), 2.71873)],
)
def test_golden_gradient(refractory, expected, gradient):
    weight = torch.tensor(1.0, requires_grad=True)
    firing = Firing(threshold=1.0, reset=0.0, refractory_steps=refractory)
    states = integrate(torch.ones(50, 1, 1) * weight, UNIT_MEMBRANE, firing)
    assert times_of(states.spikes) == expected
    states.spikes.sum().backward()
    assert weight.grad.item() == pytest.approx(gradient, abs=6e-6)
    if refractory is None:
        assert states.membrane.max().item() == pytest.approx(0.99427, abs=5e-6)


def test_golden_adaptive_exponential():
    x = torch.zeros(12, 1, 1)
    x[1], x[4] = 5, 3
    states = integrate(
        x,
        Membrane(leak=0.1, tau_syn=5e-6, c=8e-6, g=1.6),
        Firing(threshold=0.7, reset=-0.1, refractory_steps=2),
        Exponential(slope=0.2, threshold=0.3),
        Adaptation(tau=20e-6, subthreshold=2.0, increment=0.3),
    )
    v = "0.114715 .127427 -.1 -.1 -.1 .59262 -.1 -.1 -.1 .136388 .285032 .380024"
    w = ".001472 .004141 .370264 .381664 .382351 .412495 .799001 .778085 .74958 .71574 .698456 .691536"
    assert_close(states.membrane[:, 0, 0], torch.tensor([float(a) for a in v.split()]), atol=2e-6, rtol=0)
    assert_close(states.adaptation[:, 0, 0], torch.tensor([float(a) for a in w.split()]), atol=2e-6, rtol=0)
    assert times_of(states.spikes) == [2, 6]


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_refractory_clamps_steps(steps):
    firing = Firing(threshold=1.0, reset=0.0, refractory_steps=steps)
    states = integrate(torch.ones(50, 1, 1) * 20, UNIT_MEMBRANE, firing)
    times = times_of(states.spikes)
    assert times[1] - times[0] == steps + 1


def test_linear_response_has_closed_form():
    """A leaky integrator is linear: v is the difference of two geometric series of the input."""
    tau_mem, tau_syn = 10e-6, 5e-6
    a, b = 1 - DT / tau_mem, 1 - DT / tau_syn
    v = integrate(spikes_at([0], dtype=torch.float64), Membrane(0.0, tau_syn, tau_mem)).membrane[:, 0, 0]
    t = np.arange(50)
    np.testing.assert_allclose(v, DT / tau_mem * (a**t - b**t) / (a - b), atol=1e-15)


def test_parameters_per_neuron_equal_single_neurons():
    torch.manual_seed(0)
    x = torch.randn(30, 4, 3, dtype=torch.float64) + 0.5
    leak, tau, thr = (torch.tensor(a, dtype=torch.float64) for a in ([0, 0.1, 0.2], [5e-6, 1e-5, 2e-5], [1, 2, 3]))
    together = integrate(x, Membrane(leak, tau, tau), Firing(thr, leak))
    for n in range(3):
        membrane = Membrane(leak[n].item(), tau[n].item(), tau[n].item())
        alone = integrate(x[..., n : n + 1], membrane, Firing(thr[n].item(), leak[n].item()))
        assert_close(together.membrane[..., n : n + 1], alone.membrane)
        assert_close(together.spikes[..., n : n + 1], alone.spikes)


@pytest.mark.parametrize("batch", [1, 3])
def test_parameters_with_a_dimension_for_the_batch_equal_those_without(batch):
    x = 20 * (torch.rand(30, batch, 4, generator=torch.Generator().manual_seed(1)) < 0.2).float()
    leak = torch.tensor([70.0, 75.0, 80.0, 85.0])
    found = []
    for shape in ((4,), (1, 4)):
        given = leak.reshape(shape).requires_grad_()
        states = integrate(x, dataclasses.replace(SEED_MEMBRANE, leak=given), SEED_FIRING)
        found.append((states.membrane, torch.autograd.grad(states.membrane.square().sum(), given)[0].flatten()))
    assert_close(found[0], found[1], atol=0, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_keeps_dtype(dtype):
    states = integrate(spikes_at([3], 10, dtype=dtype), UNIT_MEMBRANE, UNIT_FIRING)
    assert states.membrane.dtype == states.spikes.dtype == states.current.dtype == dtype


def test_gradients_of_integrator_match_finite_differences():
    torch.manual_seed(1)
    x = torch.randn(8, 2, 3, dtype=torch.float64, requires_grad=True)
    leak, tau = (torch.rand(3, dtype=torch.float64) + 1 for _ in range(2))

    def membrane(x, leak, tau):
        return integrate(x, Membrane(leak, tau * 5e-6, tau * 1e-5)).membrane

    inputs = (x, leak.requires_grad_(), tau.requires_grad_())
    assert torch.autograd.gradcheck(membrane, inputs)
    assert torch.autograd.gradgradcheck(membrane, inputs)


def test_double_backward_through_spikes():
    weight = torch.tensor(1.0, requires_grad=True)
    with reference_numerics():
        spikes = integrate(torch.ones(20, 1, 1) * weight, UNIT_MEMBRANE, UNIT_FIRING).spikes
    (first,) = torch.autograd.grad(spikes.sum(), weight, create_graph=True)
    (second,) = torch.autograd.grad(first, weight)
    assert torch.isfinite(second)
    assert second != 0


def test_surrogate():
    x = torch.tensor([-0.01, 0.0, 0.01, 1.0], requires_grad=True)
    z = threshold(x, "superspike", 50.0)
    assert z.tolist() == [0, 0, 1, 1]
    z.sum().backward()
    assert_close(x.grad, torch.tensor([0.4444444, 1.0, 0.4444444, 1 / 51**2]))
    with pytest.raises(ValueError, match="Threshold function 'heaviside' is not implemented yet"):
        threshold(x, "heaviside", 50.0)


def test_injection_takes_value_of_chip_and_gradient_of_model():
    model = torch.tensor([1.0, 2.0], requires_grad=True)
    measured = torch.tensor([5.0, 6.0], requires_grad=True)
    result = inject(model, measured)
    assert result.tolist() == [5, 6]
    (result * torch.tensor([2.0, 3.0])).sum().backward()
    assert model.grad.tolist() == [2, 3]
    assert measured.grad is None


def test_measured_values_replace_the_model():
    torch.manual_seed(2)
    x = torch.rand(20, 2, 3, requires_grad=True)
    v_chip, z_chip = torch.randn(20, 2, 3), (torch.rand(20, 2, 3) < 0.3).float()
    states = integrate(x, UNIT_MEMBRANE, UNIT_FIRING, measured=Measured(v_chip, z_chip))
    assert_close(states.membrane, v_chip)
    assert_close(states.spikes, z_chip)
    states.membrane.sum().backward()
    # The gradient ignores the values: it is that of the free leaky integrator.
    free = x.detach().clone().requires_grad_()
    integrate(free, UNIT_MEMBRANE).membrane.sum().backward()
    assert_close(x.grad, free.grad)


def test_measured_spikes_reset_the_model_membrane():
    z_chip = spikes_at([5, 9], 20)
    states = integrate(spikes_at([0], 20), UNIT_MEMBRANE, UNIT_FIRING, measured=Measured(spikes=z_chip))
    assert times_of(states.spikes) == [5, 9]
    assert (states.membrane[[5, 9]] == 0).all()
    assert (states.membrane[[4, 8]] > 0).all()


def test_perfect_chip_data_changes_nothing():
    """If the chip returned what the model computes, values and gradients are those of the model."""
    torch.manual_seed(3)
    x = torch.rand(30, 2, 3, requires_grad=True)
    model = integrate(x, UNIT_MEMBRANE)
    (expected,) = torch.autograd.grad(model.membrane.square().sum(), x)
    injected = integrate(x, UNIT_MEMBRANE, measured=Measured(model.membrane.detach()))
    (gradient,) = torch.autograd.grad(injected.membrane.square().sum(), x)
    assert_close(injected.membrane, model.membrane)
    assert_close(gradient, expected)


def test_spikes_of_the_chip_count_as_at_the_threshold():
    """An input moves the membrane of the next row by dt/tau; a spike there has the derivative at 0, or above."""
    x = torch.zeros(2, 1, 4, requires_grad=True)
    v_chip = torch.tensor([[[0.0, 0, 0, 0]], [[0.2, 1.3, 0.2, 1.3]]])
    z_chip = torch.tensor([[[0.0, 0, 0, 0]], [[1.0, 1, 0, 0]]])
    for at_spikes, distances in ((False, [0.8, 0.3, 0.8, 0.3]), (True, [0.0, 0.3, 0.8, 0.3])):
        firing = dataclasses.replace(UNIT_FIRING, alpha=10.0, threshold_at_spikes=at_spikes)
        states = integrate(x, UNIT_MEMBRANE, firing, measured=Measured(v_chip, z_chip))
        assert_close(states.membrane, v_chip)
        assert_close(states.spikes, z_chip)
        (gradient,) = torch.autograd.grad(states.spikes.sum(), x)
        assert_close(gradient[0, 0], 0.1 / (1 + 10 * torch.tensor(distances)) ** 2)


def test_fit_steps():
    like = torch.zeros(4, 1, 1, dtype=torch.float64)
    measured = torch.arange(1.0, 3.0).reshape(2, 1, 1)
    assert fit_steps(measured, like)[:, 0, 0].tolist() == [1, 2, 2, 2]
    assert fit_steps(measured, like, repeat_last=False)[:, 0, 0].tolist() == [1, 2, 0, 0]
    assert fit_steps(measured, like[:1])[:, 0, 0].tolist() == [1]
    assert fit_steps(measured, like).dtype == torch.float64


def test_chip_data_of_other_shape():
    with pytest.raises(ValueError, match=r"shape \(20, 2, 2\), but the input has \(20, 1, 1\)"):
        integrate(spikes_at([0], 20), UNIT_MEMBRANE, measured=Measured(torch.zeros(20, 2, 2)))

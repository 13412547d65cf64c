"""The model stays finite: time constants below the step, the exponential term, values out of their limits."""

import math
import warnings
from contextlib import nullcontext

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from hxtorch import snn
from hxtorch.snn import functional as F
from hxtorch.snn.functional.integrators.eventprop import adjoint

DT = 1e-6
RATIOS = st.floats(0.01, 1) | st.floats(1.0001, 30)
SPIKING = (snn.Neuron, snn.LIF, snn.AELIF)
SILENT = (snn.ReadoutNeuron, snn.LI)


def factors(ratio):
    """What is left after a step, and what went: today's formula up to 1, above that of the exact solution."""
    return (1 - ratio, ratio) if ratio <= 1 + 1e-6 else (math.exp(-ratio), 1 - math.exp(-ratio))


def by_hand(x, leak, ratio_mem, ratio_syn, threshold=math.inf):
    """Membrane and current of one neuron in double precision, with the reset at the leak."""
    (stays_v, goes_v), (stays_i, _) = factors(ratio_mem), factors(ratio_syn)
    v, i, rows = leak, 0.0, []
    for drive in x:
        v = leak + stays_v * (v - leak) + goes_v * i
        v = leak if v > threshold else v
        i = stays_i * i + drive
        rows.append((v, i))
    return torch.tensor(rows, dtype=torch.float64)


def network(kind, weight=40.0, steps=40, size=3, dt=DT, reference=False, rate=0.2, **options):
    """Output, synapse and neurons of a layer with random input spikes (steps, 2, 4)."""
    exp = snn.Experiment(mock=True, dt=dt)
    synapse, neurons = snn.Synapse(4, size, exp), kind(size, exp, **options)
    torch.nn.init.constant_(synapse.weight, weight)
    spikes = (torch.rand(steps, 2, 4, generator=torch.Generator().manual_seed(1)) < rate).float()
    output = neurons(synapse(snn.NeuronHandle(spikes)))
    with F.reference_numerics() if reference else nullcontext():
        snn.run(exp, steps)
    return output, synapse, neurons


def loss_of(output):
    return sum(
        tensor.sum()
        for tensor in (getattr(output, name, None) for name in ("spikes", "membrane_cadc", "adaptation_cadc"))
        if tensor is not None
    )


@settings(max_examples=40, deadline=None)
@given(
    mem=st.lists(RATIOS, min_size=3, max_size=3),
    syn=st.lists(RATIOS, min_size=3, max_size=3),
    drives=st.lists(st.floats(-50, 50), min_size=2, max_size=20),
    numbers=st.booleans(),
)
def test_any_time_constant_equals_the_formula(mem, syn, drives, numbers):
    x = torch.tensor(drives, dtype=torch.float64)[:, None, None].expand(-1, 1, 3)
    taus = [DT / torch.tensor(ratios, dtype=torch.float64) for ratios in (mem, syn)]
    if numbers:
        parts = [integrate_one(x[..., :1], *(tau[n].item() for tau in taus)) for n in range(3)]
        membrane = torch.cat([part.membrane for part in parts], 2)
        current = torch.cat([part.current for part in parts], 2)
    else:
        states = integrate_one(x, *taus)
        membrane, current = states.membrane, states.current
    for n in range(3):
        expected = by_hand(drives, 80.0, DT / taus[0][n].item(), DT / taus[1][n].item())
        assert_close(membrane[:, 0, n], expected[:, 0])
        assert_close(current[:, 0, n], expected[:, 1])
        highest = max(abs(expected[:, 1]).max().item(), 1e-9)
        assert (membrane[:, 0, n] - 80).abs().max() <= highest * (1 + 1e-9)


def integrate_one(x, tau_mem, tau_syn):
    return F.integrate(x, F.Membrane(80.0, tau_syn, tau_mem))


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from([*SPIKING, *SILENT]),
    ratios=st.lists(RATIOS, min_size=9, max_size=9),
    weight=st.floats(-63, 63),
    per_neuron=st.booleans(),
)
def test_all_neurons_are_finite_and_as_the_reference(kind, ratios, weight, per_neuron):
    names = ("tau_mem", "tau_syn", "tau_adap")[: 3 if kind is snn.AELIF else 2]
    taus = {
        name: DT / (torch.tensor(ratios[3 * n : 3 * n + 3]) if per_neuron else ratios[n])
        for n, name in enumerate(names)
    }
    found = []
    for reference in (False, True):
        values = {name: snn.ModelParameter(tau).make_trainable() for name, tau in taus.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            output, synapse, neurons = network(kind, weight, reference=reference, **values)
        loss_of(output).backward()
        grads = [synapse.weight.grad] + [getattr(neurons, name).model_value.grad for name in names]
        found.append((output, grads))
    (ours, our_grads), (theirs, their_grads) = found
    assert torch.isfinite(ours.membrane_cadc).all()
    if kind is not snn.AELIF:  # the exponential term of both may be rounded differently, and spikes with it
        assert torch.equal(ours.membrane_cadc, theirs.membrane_cadc)
        for a, b in zip(our_grads, their_grads, strict=True):
            assert_close(a, b, rtol=1e-3, atol=1e-4 * max(b.abs().max().item(), 1e-3))
    for grad in our_grads:
        assert torch.isfinite(grad).all()
    drive = 4 * 63 / (1 - factors(min(ratios))[0])  # of a current that all synapses feed in every step
    assert ours.membrane_cadc.abs().max() < 1100 + 2 * drive


@pytest.mark.parametrize("ratio", [0.3, 1.0, 2.5, 12.0])
@pytest.mark.parametrize("name", ["tau_mem", "tau_syn", "tau_adap", "c", "g"])
def test_gradients_of_time_constants_match_finite_differences(ratio, name):
    x = torch.randn(8, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    ratios = torch.tensor([ratio * 1.01, ratio * 0.9, 0.2], dtype=torch.float64)
    value = {"c": ratios * 1e-5, "g": ratios * 8}.get(name, DT / ratios).requires_grad_()

    def states(value):
        given_values = {"tau_syn": 5e-6, "c": 8e-6, "g": 1.6, "tau_adap": 2e-5} | {name: value}
        tau = given_values.pop("tau_mem", None)
        if tau is not None:
            given_values |= {"c": tau, "g": 1.0}
        adaptation = F.Adaptation(given_values.pop("tau_adap"), 0.5)
        found = F.integrate(x, F.Membrane(0.1, **given_values), adaptation=adaptation)
        return found.membrane, found.current, found.adaptation

    scale = value.detach().clone()
    relative = torch.ones(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r: states(r * scale), (relative,))


@pytest.mark.parametrize("tau", [1e-30, 1e-12, 0.999e-6, 1e-6, 1e30, math.inf])
def test_gradients_are_finite_whatever_the_time_constant(tau):
    x = torch.rand(5, 1, 2, generator=torch.Generator().manual_seed(0))
    for compute in (F.integrate, F.integrate_reference):
        tau_mem, tau_syn, tau_adap = (torch.tensor([tau, 1e-5]).requires_grad_() for _ in range(3))
        states = compute(
            x, F.Membrane(0.0, tau_syn, tau_mem), F.Firing(0.5, 0.0), None, F.Adaptation(tau_adap, 0.1)
        )
        states.membrane.sum().backward()
        for value in (states.membrane, states.adaptation, tau_mem.grad, tau_syn.grad, tau_adap.grad):
            assert torch.isfinite(value).all()


def test_nothing_changes_up_to_a_step():
    """Also where the quotient of float32 numbers misses 1 by its rounding."""
    x = torch.randn(20, 1, 3, generator=torch.Generator().manual_seed(0))
    tau = torch.tensor([1e-6, 3e-6, 1e-5])
    for value in (tau, tau.double()):
        states = F.integrate(x, F.Membrane(0.0, value, 1e-5, 1e-5 / value))
        decay, g, v, i = (1 - DT / value).float(), (1e-5 / value).float(), 0.0, torch.zeros(1, 3)
        for t in range(20):
            v = v + torch.tensor(DT / 1e-5) * (i + g * (0.0 - v))
            i = i * decay + x[t]
            assert torch.equal(states.membrane[t], v)
            assert torch.equal(states.current[t], i)


@pytest.mark.parametrize("tau", [0.03e-6, 0.4e-6])
def test_eventprop_is_stable(tau):
    g = torch.Generator().manual_seed(0)
    spikes = (torch.rand(40, 3, 7, generator=g) < 0.05).float()
    current, grad = torch.rand(40, 3, 7, generator=g) + 2, torch.randn(40, 3, 7, generator=g)
    per_neuron = torch.linspace(tau, 1e-5, 7)
    results = []
    for reference in (False, True):
        with F.reference_numerics() if reference else nullcontext():
            results.append(adjoint(spikes, current, grad, 0.0, 0.0, 1.0, per_neuron, per_neuron.flip(0), DT))
    for ours, theirs in zip(*results, strict=True):
        assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
        assert ours.abs().max() < 1e3
    # without spikes the adjoint of the membrane decays by exp(-dt/tau), and the current follows by the rest
    spikes = torch.zeros(6, 1, 1)
    spikes[5] = 1
    lambda_v, lambda_i = adjoint(spikes, current[:6, :1, :1], torch.ones(6, 1, 1), 0.0, 0.0, 1.0, tau, tau, DT)
    left = math.exp(-DT / tau)
    assert_close(lambda_v[:4], lambda_v[1:5] * left, rtol=1e-4, atol=1e-12)
    assert_close(lambda_i[:4], lambda_i[1:5] * left + (1 - left) * lambda_v[1:5], rtol=1e-4, atol=1e-12)
    exp = snn.Experiment(mock=True)
    synapse, lif = snn.EventPropSynapse(2, 3, exp), snn.EventPropLIF(3, exp, 0.0, 0.0, 1.0, tau, tau)
    torch.nn.init.constant_(synapse.weight, 3.0)
    z = lif(synapse(snn.NeuronHandle((torch.rand(50, 2, 2, generator=g) < 0.3).float())))
    with pytest.warns(UserWarning, match="shorter than its time step"):
        snn.run(exp, 50)
    z.spikes.sum().backward()
    assert z.spikes.sum() > 0
    assert synapse.weight.grad.abs().max() < 1


@pytest.mark.parametrize("method", sorted(F.SURROGATES))
@pytest.mark.parametrize("fire", [True, False])
@pytest.mark.parametrize("weight", [20.0, 40.0, 63.0])
def test_aelif_with_its_defaults_is_finite(weight, fire, method):
    found = []
    for reference in (False, True):
        output, synapse, _ = network(snn.AELIF, weight, 80, reference=reference, method=method, fire=fire)
        loss_of(output).backward()
        found.append((output, synapse.weight.grad))
    (ours, grad), (theirs, expected) = found
    assert_close(ours.membrane_cadc, theirs.membrane_cadc, rtol=1e-4, atol=1e-2)
    assert_close(grad, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())
    assert torch.isfinite(grad).all()
    if fire:
        assert ours.spikes.sum() > 0
        assert torch.equal(ours.spikes, theirs.spikes)
        assert ours.membrane_cadc.max() <= 125
    else:  # at the peak and four times its distance from the leak, apart from what the input adds
        plain, _, _ = network(snn.AELIF, weight, 80, fire=False, exponential=False)
        assert ours.membrane_cadc.max() <= 125 + 4 * 45 + plain.membrane_cadc.max() - 80


def test_exponential_equals_the_formula_on_both_sides_of_its_bounds():
    """The potential within it is bounded by the threshold; a step carries no higher than its limit."""
    slope, start, peak, leak, ratio = 2.0, 110.0, 125.0, 80.0, 0.1
    v = torch.tensor([90.0, 112.0, 118.0, 124.0, 126.0, 200.0, 304.0, 400.0], dtype=torch.float64)
    state = torch.zeros(4, 1, 8, dtype=torch.float64)
    state[0] = v
    x = torch.zeros(1, 1, 8, dtype=torch.float64)
    term = F.Exponential(slope, start, peak)
    found = F.integrate(x, F.Membrane(leak, 1e-5, 1e-5), None, term, state=state).membrane[0, 0]
    rise = ratio * slope * torch.exp((v.clamp(max=peak) - start) / slope)
    expected = v + ratio * (leak - v) + torch.minimum(rise, (peak + 4 * (peak - leak) - v).clamp(min=0))
    assert (rise > 305 - v).sum() in range(2, 7)  # both sides of each bound are there
    assert_close(found, expected)


@pytest.mark.parametrize("fire", [True, False])
@pytest.mark.parametrize("start", [90.0, 111.0, 114.0, 120.0, 127.0, 180.0, 310.0])
def test_gradients_of_the_exponential_match_finite_differences(start, fire):
    firing = F.Firing(torch.tensor(1e3), 80.0) if fire else None  # far away: the membrane is smooth
    peak = 125.0

    def membrane(state, leak, slope, begin, c, peak):
        term = F.Exponential(slope, begin, peak)
        states = F.integrate(
            torch.ones(2, 1, 2, dtype=torch.float64), F.Membrane(leak, 1e-5, c * 1e-5, 1.1), firing, term,
            F.Adaptation(2e-5, 0.5), state=torch.cat([state, torch.zeros(3, 1, 2, dtype=torch.float64)]),
        )  # fmt: skip
        return states.membrane[:1] / 100

    def leaf(*values):
        return torch.tensor(values, dtype=torch.float64, requires_grad=True)

    inputs = [leaf([[start, start + 0.3]]), leaf(80.0, 81.0), leaf(3.0, 0.5), leaf(110.0, 109.0), leaf(1.0, 0.7)]
    inputs.append(torch.tensor([peak, 126.0], dtype=torch.float64, requires_grad=not fire))
    assert torch.autograd.gradcheck(membrane, tuple(inputs), atol=1e-4, rtol=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    fire=st.booleans(),
    slope=st.floats(0.02, 5),
    chip=st.booleans(),
    method=st.sampled_from(sorted(F.SURROGATES)),
    seed=st.integers(0, 10_000),
)
def test_kernels_of_the_exponential_equal_the_reference_beyond_its_bounds(fire, slope, chip, method, seed):
    g = torch.Generator().manual_seed(seed)

    def leaf(low, high):
        return (torch.rand(5, generator=g) * (high - low) + low).requires_grad_()

    leak, c, start, peak = leaf(70, 90), leaf(0.5e-5, 2e-5), leaf(100, 115), leaf(118, 130)
    slopes = torch.full((5,), slope, requires_grad=True)
    v = torch.rand(12, 2, 5, generator=g) * 120 + 80
    measured = F.Measured(v) if chip else None
    state = torch.zeros(4, 2, 5)
    state[0] = 80 + 80 * torch.rand(2, 5, generator=g)
    state.requires_grad_()
    x = (60 * torch.rand(12, 2, 5, generator=g)).requires_grad_()
    firing = F.Firing(peak, 80.0, method) if fire else None
    results = []
    for compute in (F.integrate, F.integrate_reference):
        states = compute(
            x, F.Membrane(leak, 1e-5, c, 1.2), firing, F.Exponential(slopes, start, peak),
            F.Adaptation(3e-5, 0.5, 1.0), measured, state=state,
        )  # fmt: skip
        loss = states.membrane.sum() + states.adaptation.sum() + (states.spikes.sum() if fire else 0)
        leaves = (x, state, leak, c, start, peak, slopes)
        grads = torch.autograd.grad(loss, leaves, allow_unused=True)
        results.append((states, grads, leaves))
    (ours, our_grads, leaves), (theirs, their_grads, _) = results
    assert torch.isfinite(ours.membrane).all()
    if fire and not torch.equal(ours.spikes, theirs.spikes):
        return  # the exponentials are rounded differently, which a spike may notice
    assert_close(ours.membrane, theirs.membrane, rtol=1e-3, atol=0.1)
    for a, b, value in zip(our_grads, their_grads, leaves, strict=True):
        if b is None:
            continue
        assert torch.isfinite(a).all()
        scale = value.detach().abs().max()
        a, b = a * scale, b * scale
        # steep slopes multiply the rounding of the exponentials, and sums over time cancel
        assert_close(a, b, rtol=1e-2, atol=2e-3 * (b.abs().max().item() + 1.0))


def test_a_membrane_of_the_chip_above_the_threshold_is_bounded():
    """The exponential sees the threshold, not what the chip measured beyond it."""
    v = torch.full((6, 1, 1), 200.0)
    x = torch.ones(6, 1, 1, requires_grad=True)
    for compute in (F.integrate, F.integrate_reference):
        states = compute(
            x, F.Membrane(80.0, 1e-5, 1e-5), F.Firing(125.0, 80.0, "straight_through"), F.Exponential(0.05, 110.0),
            measured=F.Measured(v),
        )  # fmt: skip
        (grad,) = torch.autograd.grad(states.spikes.sum(), x)
        # a filled term takes away what the membrane had: -dt/tau is left
        assert torch.isfinite(grad).all()
        assert grad.abs().max() < 1


def test_without_peak_only_the_exponent_is_bounded():
    states = F.integrate(torch.full((40, 1, 1), 30.0), F.Membrane(0.0, 1e-5, 1e-5), None, F.Exponential(0.1, 1.0))
    assert torch.isfinite(states.membrane).all()


def test_compiled_equals_eager():
    def loss(x, tau):
        membrane = F.Membrane(80.0, tau, tau)
        states = F.integrate(x, membrane, F.Firing(125.0, 80.0), F.Exponential(0.05, 110.0), F.Adaptation(tau, 0.1))
        return states.membrane.sum() + states.spikes.sum()

    x = (60 * torch.rand(30, 2, 3, generator=torch.Generator().manual_seed(0))).requires_grad_()
    tau = torch.tensor([0.4e-6, 1e-6, 1e-5], requires_grad=True)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    a, b = loss(x, tau), compiled(x, tau)
    assert_close(a, b)
    for p, q in zip(torch.autograd.grad(a, (x, tau)), torch.autograd.grad(b, (x, tau)), strict=True):
        assert torch.isfinite(p).all()
        assert_close(p, q)


def test_one_warning_names_what_is_shorter_than_the_step():
    with pytest.warns(UserWarning) as caught:
        network(snn.LIF, tau_syn=0.4e-6, tau_mem=torch.tensor([0.5e-6, 1e-5, 2e-5]))
    (found,) = [str(item.message) for item in caught]
    for part in ("LIF(3)", "tau_syn", "4e-07", "tau_mem", "5e-07", "1e-06 s", "smaller dt"):
        assert part in found
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (snn.LIF, {"tau_syn": 1e-6, "tau_mem": torch.tensor([1e-6, 1e-5, 3e-6])}),
        (snn.AELIF, {"leaky": False, "tau_mem": 0.5e-6}),
        (snn.AELIF, {"subthreshold_adaptation": False, "spike_triggered_adaptation": False, "tau_adap": 1e-7}),
        (snn.LI, {"tau_adap": 1e-7, "tau_syn": torch.tensor([[0.5e-6] * 3, [2e-6] * 3])}),  # the mean decides
        (snn.Neuron, {"tau_mem": math.inf, "threshold": math.inf}),
    ],
)
def test_no_warning_without_reason(kind, options):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        output, _, _ = network(kind, **options)
    assert torch.isfinite(output.membrane_cadc).all()


BAD = [
    (snn.Neuron, "tau_mem", 0.0, "above 0"),
    (snn.Neuron, "tau_syn", -1e-6, "above 0"),
    (snn.LIF, "tau_mem", math.nan, "NaN"),
    (snn.LI, "tau_mem", 0.0, "above 0"),
    (snn.ReadoutNeuron, "leak", math.inf, "finite"),
    (snn.LIF, "membrane_capacitance", 0.0, "above 0"),
    (snn.LI, "membrane_capacitance", -1e-5, "above 0"),
    (snn.LIF, "refractory_time", -1e-6, "not be negative"),
    (snn.LIF, "refractory_time", math.inf, "finite"),
    (snn.LIF, "reset", -math.inf, "finite"),
    (snn.AELIF, "tau_adap", 0.0, "above 0"),
    (snn.AELIF, "exponential_slope", 0.0, "above 0"),
    (snn.AELIF, "exponential_slope", math.inf, "finite"),
    (snn.AELIF, "exponential_threshold", math.nan, "NaN"),
    (snn.AELIF, "threshold", math.inf, "finite"),
    (snn.AELIF, "subthreshold_adaptation_strength", math.nan, "NaN"),
    (snn.Neuron, "threshold", math.nan, "NaN"),
    (snn.NeuronExp, "tau_mem", 1.0, "below 1"),
    (snn.ReadoutNeuronExp, "tau_syn", 0.0, "above 0"),
    (snn.EventPropLIF, "tau_syn", -1.0, "above 0"),
]


@pytest.mark.parametrize("way", ["number", "tensor", "trained"])
@pytest.mark.parametrize(("kind", "name", "value", "limit"), BAD)
def test_values_set_after_construction_are_refused_by_run(kind, name, value, limit, way):
    exp = snn.Experiment(mock=True)
    one = snn.Synapse(2, 3, exp)
    factors_of = {"tau_mem": 0.9, "tau_syn": 0.9} if kind in (snn.NeuronExp, snn.ReadoutNeuronExp) else {}
    neurons = kind(3, exp, **factors_of)
    good = factors_of.get(name, 1e-5 if name.startswith(("tau", "membrane", "refr")) else 100.0)
    parameter = snn.ModelParameter(torch.full((3,), good) if way != "number" else good)
    setattr(neurons, name, parameter.make_trainable() if way == "trained" else parameter)
    if way == "number":
        parameter.model_value = value
    else:
        with torch.no_grad():
            parameter.model_value[1] = value
    neurons(one(snn.NeuronHandle(torch.ones(5, 1, 2))))
    with pytest.raises(ValueError, match=rf"{name} \(model value\) of {kind.__name__}\(3\)") as error:
        snn.run(exp, 5)
    text = str(error.value)
    assert limit in text
    assert "Give" in text
    if way == "trained" and math.isfinite(value):
        assert f"neuron.{name}.model_value.clamp_(min=" in text
    if limit != "NaN":
        assert f"{value:g}" in text
    # and the experiment can be used again
    setattr(neurons, name, good)
    neurons(one(snn.NeuronHandle(torch.ones(5, 1, 2))) if kind is not snn.EventPropLIF else event_input(exp))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        snn.run(exp, 5)


def event_input(exp):
    return snn.EventPropSynapse(2, 3, exp)(snn.NeuronHandle(torch.ones(5, 1, 2)))


def test_the_remedy_works():
    """Training drives a time constant below zero; with the line of the error it does not."""
    for clamped in (False, True):
        exp = snn.Experiment(mock=True)
        synapse, neuron = snn.Synapse(1, 1, exp), snn.LI(1, exp, tau_mem=snn.HXParameter(3e-6).make_trainable())
        torch.nn.init.constant_(synapse.weight, 20.0)
        with nullcontext() if clamped else pytest.raises(ValueError, match="It is trained: clamp it"):
            for _ in range(3):
                y = neuron(synapse(snn.NeuronHandle(torch.ones(20, 1, 1))))
                snn.run(exp, 20)
                (-y.membrane_cadc.sum()).backward()
                with torch.no_grad():
                    neuron.tau_mem.model_value.sub_(2e-6)
                    if clamped:
                        neuron.tau_mem.model_value.clamp_(min=1e-06)


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("leaky", [False, True])
def test_adaptation_that_swings_up_is_refused(leaky, trained):
    """Just below the limit a disturbance dies out, just above it grows."""
    rate_mem, rate_w, gain = 0.1 if leaky else 0.0, 0.01, 0.1
    limit = (2 - rate_mem) * (2 - rate_w) / (rate_w * gain)
    for part in (0.999, 1.001):
        state = torch.zeros(4, 1, 1, dtype=torch.float64)
        state[0] = 1.0
        x = torch.zeros(4000, 1, 1, dtype=torch.float64)
        membrane = F.Membrane(0.0, 1e-5, 1e-5, 1.0, leaky)
        states = F.integrate(x, membrane, adaptation=F.Adaptation(1e-4, part * limit), state=state)
        assert (states.membrane[-1].abs() > 1).item() == (part > 1)
        strength = snn.ModelParameter(part * limit)
        options = {"subthreshold_adaptation_strength": strength.make_trainable() if trained else strength}
        with pytest.raises(ValueError, match=f"must be below {limit:g}") if part > 1 else nullcontext():
            network(snn.AELIF, leaky=leaky, exponential=False, fire=False, **options)


def test_what_the_model_does_not_use_is_not_refused():
    network(snn.LI, membrane_capacitance=snn.MixedHXModelParameter(1e-5, 0), reset=math.inf, exponential_slope=1.0)
    network(snn.Neuron, membrane_capacitance=0)
    network(snn.LIF, threshold=math.inf)
    network(snn.AELIF, exponential=False, threshold=math.inf)


@pytest.mark.parametrize("alpha", [math.nan, -1.0, math.inf])
def test_steepness_of_surrogates(alpha):
    with pytest.raises(ValueError, match="steepness alpha"):
        network(snn.Neuron, alpha=alpha)
    with pytest.raises(ValueError, match="steepness alpha"):
        F.threshold(torch.zeros(1), alpha=alpha)


@pytest.mark.parametrize("dt", [0.0, -1e-6, math.nan, math.inf])
def test_time_step_changed_after_construction(dt):
    exp = snn.Experiment(mock=True)
    neuron = snn.Neuron(1, exp)
    neuron(snn.Synapse(1, 1, exp)(snn.NeuronHandle(torch.ones(5, 1, 1))))
    exp.dt = dt
    with pytest.raises(ValueError, match="dt is"):
        snn.run(exp, 5)


FUNCTION_VALUES = {
    "leak": 0.0, "reset": 0.0, "threshold": 1.0, "tau_syn": 1e-5, "c_mem": 1e-5, "g_l": 1.0, "tau_adap": 1e-5,
    "refractory_time": 1e-6, "exp_slope": 0.2, "exp_threshold": 0.5, "dt": 1e-6,
}  # fmt: skip


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("bad", [0.0, -1e-6, math.nan])
@pytest.mark.parametrize("name", ["tau_syn", "c_mem", "g_l", "tau_adap", "exp_slope", "refractory_time", "dt"])
def test_functions_refuse_what_they_cannot_compute(name, bad, reference):
    if name in ("g_l", "refractory_time") and bad == 0:
        return
    for value in (bad,) if name == "dt" else (bad, torch.tensor([bad, 1e-5])):
        with F.reference_numerics() if reference else nullcontext(), pytest.raises(ValueError, match="must be"):
            F.cuba_aelif_integration(
                torch.ones(3, 1, 2), **FUNCTION_VALUES | {name: value}, refractory=True, exponential=True,
                subthreshold_adaptation=True,
            )  # fmt: skip


@pytest.mark.parametrize("factor", [1.0, 1.5, -0.1, math.nan])
def test_factors_of_exponential_euler(factor):
    for value in (factor, torch.tensor([0.5, factor])):
        with pytest.raises(ValueError, match="tau_mem_exp is"):
            F.exp_cuba_li_integration(torch.ones(3, 1, 2), 0.0, 0.5, value)
        with pytest.raises(ValueError, match="tau_syn_exp is"):
            F.exp_cuba_lif_integration(torch.ones(3, 1, 2), 0.0, 0.0, 1.0, value, 0.5)


def test_runs_on_the_chip_check_the_model_too():
    exp = snn.Experiment()
    neuron = snn.Neuron(1, exp, tau_mem=snn.MixedHXModelParameter(1e-5, 1e-5))
    neuron.tau_mem.model_value = 0.0
    neuron(snn.Synapse(1, 1, exp)(snn.NeuronHandle(torch.ones(5, 1, 1))))
    with pytest.raises(ValueError, match="tau_mem"):
        exp.get_hw_results(5)
    with pytest.raises(ValueError, match="tau_mem"):
        snn.run(exp, 5)

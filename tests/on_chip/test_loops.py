"""Populations that feed each other: values, gradients, cost."""

from __future__ import annotations

import pytest
import torch
from small_networks import STEPS, spikes, synapse

import hxtorch.snn as hxsnn
import hxtorch.snn.functional as F
from hxtorch.snn.compute import steppers
from hxtorch.snn.modules import EventPropLIF, EventPropSynapse


def loop(exp, style, size=6):
    torch.manual_seed(0)
    inner, outer = hxsnn.Synapse(3, size, exp), hxsnn.Synapse(size, size, exp)
    inner.weight.data.uniform_(0, 60)
    outer.weight.data.uniform_(-20, 25)
    lif = hxsnn.Neuron(size, exp)
    given = hxsnn.NeuronHandle(spikes(3))
    if style == "output_handle":
        z = lif(inner(given), outer(lif.output_handle))
    else:
        z = lif(inner(given))
        lif(outer(z))
    if style == "wrapper":
        hxsnn.HXModuleWrapper(exp, inner=inner, outer=outer, lif=lif)()
    hxsnn.run(exp, STEPS)
    z.membrane_cadc.sum().backward()
    return z, inner.weight.grad, outer.weight.grad


def test_all_ways_to_close_a_loop_are_the_same(exp):
    results = [loop(exp, style) for style in ("output_handle", "call again", "wrapper")]
    for z, inner, outer in results:
        assert z.spikes.sum() > 0 and outer.abs().sum() > 0
        torch.testing.assert_close(z.spikes, results[0][0].spikes)
        torch.testing.assert_close(z.membrane_cadc, results[0][0].membrane_cadc)
        torch.testing.assert_close((inner, outer), results[0][1:])


def test_gradient_through_time_equals_an_unrolled_network():
    """A loop without delay equals a chain of layers, the k-th of which has seen k rounds of its spikes."""
    exp = hxsnn.Experiment(mock=True)
    z, inner, outer = loop(exp, "output_handle")
    exp = hxsnn.Experiment(mock=True)
    torch.manual_seed(0)
    first, back = hxsnn.Synapse(3, 6, exp), hxsnn.Synapse(6, 6, exp)
    first.weight.data.uniform_(0, 60)
    back.weight.data.uniform_(-20, 25)
    g = first(hxsnn.NeuronHandle(spikes(3)))
    chain = hxsnn.Neuron(6, exp)(g)
    for _ in range(STEPS):  # one layer for each step suffices
        again = hxsnn.Synapse(6, 6, exp)
        again.weight = back.weight
        chain = hxsnn.Neuron(6, exp)(g, again(chain))
    hxsnn.run(exp, None)
    torch.testing.assert_close(chain.spikes, z.spikes)
    chain.membrane_cadc.sum().backward()
    torch.testing.assert_close(first.weight.grad, inner)
    torch.testing.assert_close(back.weight.grad, outer)


class Counting(hxsnn.Neuron):
    """Integrates by the package's own functions, and counts the time steps that it is asked for."""

    rows = 0

    def forward_func(self, *input, hw_data=None):
        self.rows += len(input[0].graded_spikes)
        return super().forward_func(*input, hw_data=hw_data)


class CountingLIF(hxsnn.LIF):
    rows = 0

    def forward_func(self, *input, hw_data=None):
        self.rows += len(input[0].graded_spikes)
        return super().forward_func(*input, hw_data=hw_data)


class CountingAELIF(hxsnn.AELIF):
    rows = 0

    def forward_func(self, *input, hw_data=None):
        self.rows += len(input[0].graded_spikes)
        return super().forward_func(*input, hw_data=hw_data)


class Twice(hxsnn.Neuron):
    """Integrates twice: a slow trace of the input lowers the fast one."""

    rows = 0

    def forward_func(self, input, hw_data=None):
        x = input.graded_spikes
        self.rows += len(x)
        slow = F.integrate(x, F.Membrane(0.0, 20e-6, 30e-6), dt=self.dt)
        states = F.integrate(x - 0.05 * slow.membrane, *self.equations(x), dt=self.dt)
        return hxsnn.NeuronHandle(states.spikes, states.membrane, states.current)


class ByHand(hxsnn.Neuron):
    """The equations of `Neuron` in a loop over time of its own."""

    def forward_func(self, *input, hw_data=None):
        x = self.summed_input(input)
        v, i, rows = torch.full_like(x[0], 80.0), torch.zeros_like(x[0]), []
        for row in x.unbind(0):
            v = v + 0.1 * (80 - v + i)
            z = F.threshold(v - 125, "superspike", 50.0)
            v = torch.where(z.bool(), 80.0, v)
            i = 0.9 * i + row
            rows.append((z, v, i))
        return hxsnn.NeuronHandle(*map(torch.stack, zip(*rows)))


class Looking(hxsnn.Neuron):
    """Quietly depends on how many steps it sees, which step by step would go unnoticed at first."""

    def forward_func(self, *input, hw_data=None):
        gain = 1.0 if len(input[0].graded_spikes) in (1, 12) else 0.5
        return super().forward_func(hxsnn.SynapseHandle(gain * self.summed_input(input)), hw_data=hw_data)


def run_loop(kind, exp, steps=STEPS, **options):
    torch.manual_seed(0)
    syn, back = hxsnn.Synapse(3, 4, exp), hxsnn.Synapse(4, 4, exp)
    syn.weight.data.uniform_(0, 80)
    back.weight.data.uniform_(-30, 30)
    lif = kind(4, exp, **options)
    z = lif(syn(hxsnn.NeuronHandle(spikes(3, steps))), back(lif.output_handle))
    hxsnn.run(exp, steps, trial_seed=1)
    assert z.spikes.sum() > 0
    z.current.sum().backward()
    return lif, (z.spikes, z.membrane_cadc, syn.weight.grad, back.weight.grad)


ADAPTING = {
    "exponential": False, "tau_adap": 20e-6, "refractory_time": 2e-6,
    "subthreshold_adaptation_strength": 0.1, "spike_triggered_adaptation_increment": 3.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "plain", "options"),
    [(Counting, hxsnn.Neuron, {}), (CountingLIF, hxsnn.LIF, {"refractory_time": 3e-6}), (ByHand, hxsnn.Neuron, {})],
)
def test_a_loop_of_own_neurons(kind, plain, options):
    """Any forward_func may stand in a loop: the values and gradients of one call for all plain neurons."""
    (_, own), (_, expected) = (run_loop(k, hxsnn.Experiment(mock=True), **options) for k in (kind, plain))
    torch.testing.assert_close(own, expected)


def test_a_loop_of_own_neurons_on_the_chip():
    (lif, own), (_, expected) = (run_loop(kind, hxsnn.Experiment()) for kind in (Counting, hxsnn.Neuron))
    torch.testing.assert_close(own, expected)
    assert lif.rows < 5 * STEPS


@pytest.mark.parametrize(
    ("kind", "options"), [(Counting, {}), (CountingLIF, {}), (CountingAELIF, ADAPTING), (Twice, {})]
)
def test_own_neurons_go_on_from_the_step_before(kind, options, monkeypatch):
    """Steps computed grow with the number of steps, and nothing changes against computing all of them again."""
    lif, own = run_loop(kind, hxsnn.Experiment(mock=True), **options)
    assert lif.rows < 5 * STEPS
    monkeypatch.setattr("hxtorch.snn.compute.steppers._resumes", lambda module, like: False)
    lif, expected = run_loop(kind, hxsnn.Experiment(mock=True), **options)
    assert lif.rows > STEPS * STEPS / 2
    torch.testing.assert_close(own, expected)


def test_neurons_that_differ_step_by_step_are_computed_as_a_whole(monkeypatch):
    _, own = run_loop(Looking, hxsnn.Experiment(mock=True))
    monkeypatch.setattr("hxtorch.snn.compute.steppers._resumes", lambda module, like: False)
    _, expected = run_loop(Looking, hxsnn.Experiment(mock=True))
    torch.testing.assert_close(own, expected)


def test_the_trial_of_own_neurons_draws_no_random_numbers():
    torch.manual_seed(3)
    expected = torch.rand(1)
    x = torch.zeros(2, 4)
    torch.manual_seed(3)
    assert steppers._same_by_step(Counting(4, hxsnn.Experiment(mock=True)), x)
    assert torch.equal(torch.rand(1), expected)


class Declared(Counting):
    """Says that it goes on from the step before, so that nobody tries it."""

    resumes = True


class DeclaredNot(Counting):
    resumes = False


class Silent(Declared):
    """Its own function is not what the class above spoke of."""

    def forward_func(self, *input, hw_data=None):
        return super().forward_func(*input, hw_data=hw_data)


def test_a_class_says_whether_it_goes_on(monkeypatch):
    _, expected = run_loop(Counting, hxsnn.Experiment(mock=True))
    tried = []
    real = steppers._same_by_step
    monkeypatch.setattr(steppers, "_same_by_step", lambda module, like: tried.append(module) or real(module, like))
    for kind, most, trials in ((Declared, 3 * STEPS + 1, 0), (DeclaredNot, STEPS**2, 0), (Silent, 5 * STEPS, 1)):
        tried.clear()
        lif, own = run_loop(kind, hxsnn.Experiment(mock=True))
        assert lif.rows <= most and len(tried) == trials, kind
        torch.testing.assert_close(own, expected)
    assert run_loop(DeclaredNot, hxsnn.Experiment(mock=True))[0].rows > STEPS**2 / 2


def test_eventprop_in_a_loop_is_refused():
    exp = hxsnn.Experiment(mock=True)
    syn, back, lif = EventPropSynapse(3, 4, exp), EventPropSynapse(4, 4, exp), EventPropLIF(4, exp)
    lif(syn(hxsnn.NeuronHandle(spikes(3))), back(lif.output_handle))
    with pytest.raises(ValueError, match=r"EventPropLIF\(size=4.*part of a loop.*Use LIF and Synapse"):
        hxsnn.run(exp, None)


def test_loops_over_two_populations(exp):
    forth, back = synapse(4, 5, exp, 30.0), synapse(5, 4, exp, -20.0)
    first, second = hxsnn.Neuron(4, exp), hxsnn.Neuron(5, exp)
    z = first(synapse(2, 4, exp, 50.0)(hxsnn.NeuronHandle(spikes(2))), back(second.output_handle))
    y = second(forth(z))
    readout = hxsnn.ReadoutNeuron(1, exp)(synapse(5, 1, exp)(y))
    hxsnn.run(exp, STEPS)
    assert z.spikes.sum() > 0 and y.spikes.sum() > 0 and readout.membrane_cadc is not None


def test_what_cannot_be_a_loop_is_refused():
    exp = hxsnn.Experiment(mock=True)
    lif, syn = hxsnn.Neuron(2, exp), synapse(2, 2, exp)
    syn(lif.output_handle)
    with pytest.raises(ValueError, match=r"was given to another module, but .* was not called"):
        hxsnn.run(exp, None)
    lif(syn(lif.output_handle))
    with pytest.raises(ValueError, match="no input from outside"):
        hxsnn.run(exp, None)

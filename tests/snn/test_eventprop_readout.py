"""Spikes in front of a readout learn when they should come: EventProp against differences of spike times."""

import pytest
import torch

import hxtorch.snn as hxsnn
from hxtorch.snn import functional as F

DT, STEPS, TAU = 1e-6, 60, 6e-6


def readout_of(row, weight):
    """Loss and gradient of one spike at `row` into one integrator: its membrane, weighted by a smooth window."""
    exp = hxsnn.Experiment(mock=True, dt=DT)
    synapse = hxsnn.EventPropSynapse(1, 1, exp)
    synapse.weight.data.fill_(weight)
    readout = hxsnn.LI(1, exp, leak=0, tau_mem=TAU, tau_syn=TAU, membrane_capacitance=TAU)
    spikes = torch.zeros(STEPS, 1, 1)
    spikes[row] = 1
    spikes.requires_grad_()
    y = readout(synapse(hxsnn.NeuronHandle(spikes)))
    hxsnn.run(exp, None)
    window = torch.exp(-(((torch.arange(STEPS) - 35.0) / 8) ** 2))
    return (y.membrane_cadc[:, 0, 0] * window).sum(), spikes, synapse.weight


@pytest.mark.parametrize("row", [15, 25, 40])
def test_gradient_is_minus_the_derivative_by_the_time_of_the_spike(row):
    loss, spikes, weight = readout_of(row, 0.7)
    loss.backward()
    later, earlier = (readout_of(row + step, 0.7)[0].item() for step in (1, -1))
    assert spikes.grad[row, 0, 0] == pytest.approx(-(later - earlier) / (2 * DT), rel=1e-3)
    assert weight.grad.item() == pytest.approx(loss.item() / 0.7, rel=1e-4)  # the loss is linear in the weight


def test_edges_and_single_steps():
    x = torch.rand(2, 3, 1, 1, requires_grad=True)
    F.EventPropReadoutFunction.apply(x, 0.5).backward(torch.tensor([1.0, 3.0, 4.0]).reshape(3, 1, 1))
    torch.testing.assert_close(x.grad[0].flatten(), torch.tensor([1.0, 3.0, 4.0]))
    torch.testing.assert_close(x.grad[1].flatten(), torch.tensor([-4.0, -3.0, -2.0]))
    one = torch.rand(2, 1, 1, 1, requires_grad=True)
    F.EventPropReadoutFunction.apply(one, 0.5).sum().backward()
    torch.testing.assert_close(one.grad.flatten(), torch.tensor([1.0, 0.0]))


def test_a_hidden_layer_learns_to_move_the_peak_of_the_readout():
    """One spike through EventPropLIF: the gradient by the weight has the sign and size of a difference."""

    def peak_late(weight):
        exp = hxsnn.Experiment(mock=True, dt=0.05e-6)
        first, second = hxsnn.EventPropSynapse(1, 1, exp), hxsnn.EventPropSynapse(1, 1, exp)
        first.weight.data.fill_(weight)
        second.weight.data.fill_(0.5)
        hidden = hxsnn.EventPropLIF(
            1, exp, leak=0, reset=0, threshold=1, tau_mem=TAU, tau_syn=TAU, membrane_capacitance=TAU
        )
        readout = hxsnn.LI(1, exp, leak=0, tau_mem=TAU, tau_syn=TAU, membrane_capacitance=TAU)
        spikes = torch.zeros(600, 1, 1)
        spikes[40] = 1
        z = hidden(first(hxsnn.NeuronHandle(spikes)))
        y = readout(second(z))
        hxsnn.run(exp, None)
        window = torch.exp(-(((torch.arange(600) - 300.0) / 100) ** 2))
        loss = (y.membrane_cadc[:, 0, 0] * window).sum() * 0.05
        loss.backward()
        assert z.spikes.sum() == 1
        return loss.item(), first.weight.grad.item()

    # spike times lie on a grid: a difference wide enough to move the spike by some steps
    weights = torch.linspace(3.1, 3.8, 11).tolist()
    losses, gradients = zip(*(peak_late(weight) for weight in weights), strict=True)
    slope = (losses[-1] - losses[0]) / (weights[-1] - weights[0])
    assert sum(gradients) / len(gradients) == pytest.approx(slope, rel=0.15)


def test_a_grazing_spike_has_a_gradient_with_a_limit():
    """The same network, its spike once far from none and once close to it: the bound tells only there."""

    def gradient(weight, smallest_slope):
        exp = hxsnn.Experiment(mock=True, dt=0.05e-6)
        synapse = hxsnn.EventPropSynapse(1, 1, exp)
        synapse.weight.data.fill_(weight)
        hidden = hxsnn.EventPropLIF(
            1, exp, leak=0, reset=0, threshold=1, tau_mem=TAU, tau_syn=TAU, membrane_capacitance=TAU
        )
        hidden.smallest_slope = smallest_slope
        spikes = torch.zeros(600, 1, 1)
        spikes[40] = 1
        z = hidden(synapse(hxsnn.NeuronHandle(spikes)))
        hxsnn.run(exp, None)
        assert z.spikes.sum() == 1
        z.spikes.sum().backward()
        return synapse.weight.grad.item()

    # the threshold is reached at the peak of the membrane, at a weight of e, but for the steps of time
    assert gradient(2.72, None) > 5 * gradient(3.5, None)
    assert gradient(3.5, 0.8) == gradient(3.5, None)
    # at its peak the current of the model is 1, of slope 0: without limit but for the grid
    assert gradient(2.72, 0.4) < 0.4 * gradient(2.72, None)
    assert gradient(2.72, 0.4) == pytest.approx(gradient(2.72, 0.8) * 2, rel=1e-4)

"""An ideal chip without noise computes what mock mode computes at a fine time step.

The model integrates with Euler's method, whose error shrinks with the step, so it runs at a fifth of the step
onto which the chip's data are put.
"""

from __future__ import annotations

from functools import partial

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch.snn.transforms.weight_transforms import linear_saturating
from hxtorch.twin import Die, Noise
from hxtorch.twin.circuits import nominal_drive

DT = 0.1e-6
STEPS = 500  # 50 µs
FINE = 5  # model steps per step of the grid
EULER_ERROR = 0.15  # LSB: what is left of it at DT / FINE
LEAK, RESET, THRESHOLD = 80.0, 70.0, 125.0


@pytest.fixture(autouse=True)
def ideal_chip():
    hxtorch.init_hardware(Die.ideal(), noise=Noise.off())
    yield
    hxtorch.release_hardware()


def emulate(mock, events, hidden, out, tau_mem, tau_syn, threshold):
    """A spiking layer and a readout; weights are given in the chip's integers, events as (step, entry, channel)."""
    factor = FINE if mock else 1
    inputs = torch.zeros(STEPS * factor, 2, hidden.shape[1])
    inputs[events[0] * factor, events[1], events[2]] = 1
    exp = hxsnn.Experiment(mock=mock, dt=DT / factor)
    # The drive of one weight LSB in the model's unit, dv/dt = i / tau_mem
    unit = float(nominal_drive(np.array(500.0), np.array(600.0), np.array(63))) * tau_mem * 1e6
    transform = partial(linear_saturating, scale=1 / unit)
    # The model of this neuron has no refractory period; the chip's shortest one is 8 ns.
    shared = {"tau_mem": tau_mem, "tau_syn": tau_syn, "leak": LEAK}
    fire = {**shared, "reset": RESET, "threshold": threshold, "refractory_time": 0.0}
    synapses = []
    for weight in (hidden, out):
        syn = hxsnn.Synapse(weight.shape[1], weight.shape[0], exp, transform=transform)
        syn.weight.data = torch.tensor(weight, dtype=torch.float32) * unit
        synapses.append(syn)
    lif = hxsnn.Neuron(hidden.shape[0], exp, **fire)
    li = hxsnn.ReadoutNeuron(out.shape[0], exp, **shared)
    z = lif(synapses[0](hxsnn.NeuronHandle(inputs)))
    y = li(synapses[1](z))
    hxsnn.run(exp, STEPS * factor)
    return z, y


def spike_rows(z, neuron, entry):
    return torch.nonzero(z.spikes[:, entry, neuron]).reshape(-1).numpy()


@pytest.mark.filterwarnings("ignore:refractory_time = 0.008")  # the model has none, the chip at least a tick
@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**31),
    sizes=st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 3)),
    tau_mem=st.sampled_from([6e-6, 10e-6, 20e-6]),
    tau_syn=st.sampled_from([4e-6, 10e-6]),
)
def test_ideal_chip_equals_mock(seed, sizes, tau_mem, tau_syn):
    rng = np.random.default_rng(seed)
    n_in, n_hidden, n_out = sizes
    hidden = rng.integers(-40, 64, (n_hidden, n_in))
    out = rng.integers(-30, 31, (n_out, n_hidden))
    grid = np.arange(0, STEPS - 50, 10)
    events = np.concatenate(
        [[rng.choice(grid, 4, replace=False), [e] * 4, [c] * 4] for e in range(2) for c in range(n_in)], axis=1
    )
    arguments = (events, hidden, out, tau_mem, tau_syn, THRESHOLD)
    drive = float(nominal_drive(np.array(500.0), np.array(600.0), np.array(63)))  # LSB/µs per weight LSB
    with torch.no_grad():
        z_chip, y_chip = emulate(False, *arguments)
        z_mock, y_mock = emulate(True, *arguments)

    for entry in range(2):
        comparable, moved = True, 0.0
        for neuron in range(n_hidden):
            membrane = z_mock.membrane_cadc[:, entry, neuron].numpy()
            chip, mock = (spike_rows(z, neuron, entry) for z in (z_chip, z_mock))
            if len(chip) != len(mock):
                # Only where the membrane grazes the threshold may one fire and the other not.
                assert np.min(np.abs(membrane - THRESHOLD)) < EULER_ERROR
                comparable = False
                continue
            slope = (THRESHOLD - membrane[mock - FINE]) / FINE  # LSB per model step, before the spike
            late = np.abs(chip * FINE - mock)
            assert np.all(late <= FINE + EULER_ERROR / slope), (chip * FINE, mock, slope)
            # A spike that comes later moves the membranes behind by at most its drive times that time (on a grid).
            moved += (late + FINE).sum() * DT / FINE * 1e6 * np.abs(out[:, neuron]).max() * drive
        if comparable:
            difference = y_chip.membrane_cadc[:, entry] - (y_mock.membrane_cadc[::FINE, entry] - 128)
            assert difference.abs().max() <= 1.0 + moved

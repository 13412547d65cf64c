"""Neurons with four thresholds, and what a changed parameter does: the chip is calibrated again by itself."""

from __future__ import annotations

import torch
from torch import Tensor

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch.connection import connected_chip

STEPS = 100
THRESHOLDS = (80, 90, 100, 120)
LEAK_ABOVE_THRESHOLD = 130  # CADC LSB: now all neurons fire without input
_WEIGHT = 63.0


def main() -> tuple[Tensor, Tensor]:
    """Run two inputs and four neurons on the chip, then again with the leak above their thresholds.

    Returns spikes and membranes (T, 1, 4) of the second run. Connects to the default chip unless one is
    connected.
    """
    connect = connected_chip() is None
    if connect:
        hxtorch.init_hardware()
    try:
        return _run()
    finally:
        if connect:
            hxtorch.release_hardware()


def _run() -> tuple[Tensor, Tensor]:
    exp = hxsnn.Experiment()
    synapse = hxsnn.Synapse(2, len(THRESHOLDS), exp)
    torch.nn.init.constant_(synapse.weight, _WEIGHT)
    neurons = hxsnn.Neuron(
        len(THRESHOLDS),
        exp,
        leak=70,
        reset=60,
        threshold=torch.tensor(THRESHOLDS),
        tau_syn=6e-6,
        tau_mem=20e-6,
    )
    spikes = torch.zeros(STEPS, 1, 2)
    spikes[10::20] = 1
    with torch.no_grad():
        neurons(synapse(hxsnn.NeuronHandle(spikes)))
        hxsnn.run(exp, STEPS)
        neurons.params["leak"].hardware_value = LEAK_ABOVE_THRESHOLD
        output = neurons(synapse(hxsnn.NeuronHandle(spikes)))
        hxsnn.run(exp, STEPS)
    assert output.spikes is not None and output.membrane_cadc is not None
    return output.spikes, output.membrane_cadc


if __name__ == "__main__":
    print("spikes per neuron:", main()[0].sum((0, 1)).tolist())

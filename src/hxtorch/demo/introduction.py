"""The four parts of the introduction as functions.

One neuron is emulated on the chip and simulated by the model, the chip's trace is aligned with the model's,
and three readout neurons learn to follow targets. Time is counted in steps of 1 µs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import hxtorch.snn as hxsnn
from hxtorch.calibration import CalibrationResult
from hxtorch.snn.transforms.weight_transforms import linear_saturating

STEPS = 50  # of the first experiments
INPUT_STEPS = (10, 15, 20, 30)
PSP_INPUT_STEP = 10
WEIGHT_SCALE = 55.0  # weight on the chip per weight of the model that gives equal PSPs
TRAINING_STEPS = 100
INPUTS, OUTPUTS = 128, 3
INPUT_PROBABILITY = 0.03  # per input and step
LEARNING_RATE = 2e-3

OnEpoch = Callable[[float, hxsnn.ReadoutNeuronHandle], None]


def input_spikes(*steps: int, total: int = STEPS) -> Tensor:
    """Spikes of a single input at the given steps, (total, 1, 1)."""
    spikes = torch.zeros(total, 1, 1)
    spikes[list(steps)] = 1
    return spikes


def experiment(calibration: CalibrationResult | None) -> hxsnn.Experiment:
    """Return an experiment on the chip with a calibration, or in mock mode without."""
    made = hxsnn.Experiment(mock=calibration is None)
    made.default_execution_instance.calibration = calibration
    return made


def emulate(calibration: CalibrationResult | None, inputs: Tensor, weight: float) -> hxsnn.NeuronHandle:
    """One neuron with default parameters and one synapse; on the chip all three recordings are on."""
    exp = experiment(calibration)
    synapse = hxsnn.Synapse(1, 1, exp)
    synapse.weight.data.fill_(weight)
    neuron = hxsnn.Neuron(1, exp, enable_madc_recording=True, record_neuron_id=0, cadc_time_shift=-1)
    z: hxsnn.NeuronHandle = neuron(synapse(hxsnn.NeuronHandle(inputs)))
    hxsnn.run(exp, len(inputs))
    return z


@dataclass(frozen=True)
class Alignment:
    """What maps traces of the chip to those of the model, and the traces that show how well it does.

    `baseline` and `threshold_distance` are in CADC LSB; `chip` (runs, T) and `model` (T,) are PSPs in units
    of the threshold distance.
    """

    baseline: float
    threshold_distance: float
    chip: NDArray[np.float32]
    model: NDArray[np.float32]

    @property
    def trace_scale(self) -> float:
        """Model units per CADC LSB, for a threshold of 1 above the leak."""
        return 1 / self.threshold_distance


def align(calibration: CalibrationResult, runs: int = 10) -> Alignment:
    """Measure baseline and threshold on the chip, then one PSP on the chip and in the model."""
    silent, always = input_spikes(), torch.ones(STEPS, 1, 1)
    one = input_spikes(PSP_INPUT_STEP)
    baseline = float(_membranes(calibration, silent, runs).mean())
    driven = _membranes(calibration, always, runs, weight_scale=63.0, offset=baseline)
    distance = float(driven.max(axis=1).mean())
    chip = _membranes(calibration, one, runs, offset=baseline, trace_scale=1 / distance)
    return Alignment(baseline, distance, chip, _membranes(None, one, 1)[0])


def _membranes(
    calibration: CalibrationResult | None,
    inputs: Tensor,
    runs: int,
    *,
    weight_scale: float = WEIGHT_SCALE,
    offset: float = 0.0,
    trace_scale: float = 1.0,
) -> NDArray[np.float32]:
    """Membrane traces (runs, T) of a neuron whose model has leak 0 and threshold 1, at weight 1."""
    exp = experiment(calibration)
    synapse = hxsnn.Synapse(1, 1, exp, transform=partial(linear_saturating, scale=weight_scale))
    synapse.weight.data.fill_(1.0)
    neuron = hxsnn.Neuron(
        1,
        exp,
        leak=hxsnn.MixedHXModelParameter(0.0, 80),
        reset=hxsnn.MixedHXModelParameter(0.0, 70),
        threshold=hxsnn.MixedHXModelParameter(1.0, 125),
        trace_offset=offset,
        trace_scale=trace_scale,
        cadc_time_shift=-1,
    )
    traces = []
    for _ in range(runs):
        z = neuron(synapse(hxsnn.NeuronHandle(inputs)))
        hxsnn.run(exp, len(inputs))
        assert z.membrane_cadc is not None
        traces.append(z.membrane_cadc.detach().numpy()[:, 0, 0])
    return np.stack(traces)


def random_targets(outputs: int = OUTPUTS, steps: int = TRAINING_STEPS) -> Tensor:
    """Sums of three sines with random sign and period, each scaled to a maximum of 1; (T, 1, outputs)."""
    phase = torch.linspace(0, 2 * torch.pi, steps)[:, None, None]
    sign = torch.randint(0, 2, (outputs, 3)) * 2.0 - 1.0
    period = 0.3 + 1.7 * torch.rand(outputs, 3)  # in units of the whole run
    traces = (sign * torch.sin(phase / period)).sum(-1)
    return (traces / traces.abs().amax(0))[:, None]


class Training:
    """Readout neurons that learn target traces (T, 1, outputs) from fixed random input spikes.

    Without a calibration the model alone is trained (mock mode).
    """

    def __init__(self, calibration: CalibrationResult | None, targets: Tensor, trace_scale: float = 1.0) -> None:
        self.targets = targets
        self.inputs = (torch.rand(len(targets), 1, INPUTS) < INPUT_PROBABILITY).float()
        self._experiment = experiment(calibration)
        self._synapse = hxsnn.Synapse(
            INPUTS,
            targets.shape[2],
            self._experiment,
            transform=partial(linear_saturating, scale=WEIGHT_SCALE),
        )
        self._readout = hxsnn.ReadoutNeuron(
            targets.shape[2],
            self._experiment,
            leak=hxsnn.MixedHXModelParameter(0.0, 80),
            shift_cadc_to_first=True,
            trace_scale=trace_scale,
        )
        self._optimizer = torch.optim.Adam(self._synapse.parameters(), lr=LEARNING_RATE)

    def step(self) -> tuple[float, hxsnn.ReadoutNeuronHandle]:
        """Train for one epoch; returns its mean squared error and the readouts' output."""
        self._optimizer.zero_grad()
        y: hxsnn.ReadoutNeuronHandle = self._readout(self._synapse(hxsnn.NeuronHandle(self.inputs)))
        hxsnn.run(self._experiment, len(self.inputs))
        assert y.membrane_cadc is not None
        loss = torch.nn.functional.mse_loss(y.membrane_cadc, self.targets)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return float(loss.detach()), y

    def run(self, epochs: int, on_epoch: OnEpoch | None = None) -> list[float]:
        """Train for some epochs and return their losses."""
        losses = []
        for _ in range(epochs):
            loss, y = self.step()
            losses.append(loss)
            if on_epoch is not None:
                on_epoch(loss, y)
        return losses

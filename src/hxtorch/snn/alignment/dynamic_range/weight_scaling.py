"""The scale between weights of model and chip: which weight of the chip moves its membrane as one of the model."""

from __future__ import annotations

from pathlib import Path

import torch

from hxtorch.snn.alignment.dynamic_range.whole_chip import STEPS, Parameters, WholeChip, connection
from hxtorch.snn.morphology import Morphology
from hxtorch.twin.places.coordinates import MAX_WEIGHT

INPUT_STEP = 10
BATCH = 10


class WeightScaling:
    """Measure PSPs for a row of weights on the chip and in the model; arguments as in `get_weight_scaling`."""

    def __init__(
        self,
        params: Parameters | None = None,
        weight_step: int = 1,
        calib_path: str | Path | None = None,
        neuron_structure: Morphology | None = None,
    ) -> None:
        if weight_step < 1:
            raise ValueError(f"weight_step is {weight_step}, but at least one weight has to be measured.")
        self.chip = WholeChip({} if params is None else params, calib_path, neuron_structure)
        # a single weight would be the largest inhibitory one, which acts less than all others
        self.weights = torch.linspace(-MAX_WEIGHT, MAX_WEIGHT, max(weight_step, 2))

    def run(self) -> torch.Tensor:
        """Return the weight of the chip (LSB) that acts like a weight of 1 in the model, a scalar."""
        with connection():
            chip = self._slopes(self.weights.round(), mock=False)
        model = self._slopes(torch.arange(-1.0, 1.05, 0.1), mock=True)
        (model_leak, chip_leak), (model_top, chip_top) = self.chip.values("leak"), self.chip.values("threshold")
        return (model / chip).mean() * (chip_top - chip_leak) / (model_top - model_leak)

    def _slopes(self, weights: torch.Tensor, *, mock: bool) -> torch.Tensor:
        """Amplitude of a PSP per weight, of every neuron, from a line through zero."""
        amplitudes = torch.stack([self._amplitude(float(weight), mock=mock) for weight in weights])
        return (weights[:, None] * amplitudes).sum(0) / weights.square().sum()

    def _amplitude(self, weight: float, *, mock: bool) -> torch.Tensor:
        inputs = torch.zeros(STEPS, 1 if mock else BATCH, 1)
        inputs[INPUT_STEP] = 1
        handle = self.chip.record(weight, inputs, spiking=False, mock=mock)
        assert handle.membrane_cadc is not None
        trace = handle.membrane_cadc.detach()
        deflection = (trace - trace[: INPUT_STEP - 1].mean(0)).mean(1)  # the mean of trials has little noise
        return deflection.amax(0) if weight >= 0 else deflection.amin(0)


def get_weight_scaling(
    params: Parameters | None = None,
    weight_step: int = 1,
    calib_path: str | Path | None = None,
    neuron_structure: Morphology | None = None,
) -> torch.Tensor:
    """Measure how many weight LSB of the chip act like a weight of 1 in the model, about 50 at the default target.

    Amplitudes of PSPs for `weight_step` weights between -63 and 63 on the chip, and between -1 and 1 in the model,
    both in units of the distance between rest and threshold; at least the two outermost weights are measured. Other
    arguments as in `get_trace_scaling`.
    """
    return WeightScaling(params, weight_step, calib_path, neuron_structure).run()

"""The threshold as the CADC sees it, which scales traces of the chip to those of the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from hxtorch.snn.alignment.dynamic_range.whole_chip import STEPS, Parameters, WholeChip, connection
from hxtorch.snn.handles.handle import NeuronHandle
from hxtorch.snn.morphology import Morphology
from hxtorch.snn.refusals import warn_user
from hxtorch.twin.pattern import process
from hxtorch.twin.places.coordinates import MAX_CAPMEM_CODE

BATCH = 100
OVERDRIVE = 1.35  # where the current would take the membrane, relative to the threshold


class Threshold:
    """Measure the distance between rest and threshold over a whole chip; arguments as in `get_trace_scaling`."""

    def __init__(
        self,
        params: Parameters | None = None,
        calib_path: str | Path | None = None,
        neuron_structure: Morphology | None = None,
    ) -> None:
        self.chip = WholeChip({} if params is None else params, calib_path, neuron_structure)

    def run(self) -> torch.Tensor:
        """Return the distance (CADC LSB) of every neuron, shape (size,); nan for those that did not fire."""
        with connection():
            rest = self._record(0, spiking=False)
            fired = self._record(self._current(), spiking=True)
        assert rest.membrane_cadc is not None and fired.membrane_cadc is not None and fired.spikes is not None
        peak = (fired.membrane_cadc - rest.membrane_cadc.mean((0, 1))).amax(0).mean(0)
        silent = fired.spikes.sum((0, 1)) == 0
        if bool(silent.any()):
            warn_user(
                f"{int(silent.sum())} of {silent.numel()} neurons did not fire under a constant current; they do "
                "not count for the threshold. Check their calibration."
            )
        return torch.where(silent, torch.nan, peak)

    def _record(self, current: int, *, spiking: bool) -> NeuronHandle:
        return self.chip.record(0.0, torch.zeros(STEPS, BATCH, 1), spiking=spiking, current=current)

    def _current(self) -> int:
        """Code of a current that takes the membrane slowly over the threshold."""
        distance = self.chip.values("threshold")[1] - self.chip.values("leak")[1]
        slope = OVERDRIVE * distance / (self.chip.values("tau_mem")[1] * 1e6)  # LSB/µs
        return int(np.clip(round(slope / process.OFFSET_CURRENT.value), 1, MAX_CAPMEM_CODE))


def get_trace_scaling(
    params: Parameters | None = None,
    calib_path: str | Path | None = None,
    neuron_structure: Morphology | None = None,
) -> torch.Tensor:
    """Measure the factor (a scalar) that turns membranes of the chip (CADC LSB) into those of the model.

    It is the model's distance between rest and threshold over the measured one, about 1/45 for the default target.
    Arguments as in `get_dynamic_range`; `params` say what the model's leak and threshold are (default: 0 and 1).
    """
    threshold = Threshold(params, calib_path, neuron_structure)
    model = threshold.chip.values("threshold")[0] - threshold.chip.values("leak")[0]
    return model / threshold.run().nanmean()

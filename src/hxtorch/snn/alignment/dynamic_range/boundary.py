"""Boundaries of the membrane: where it rests, and how far a strong current can push it either way."""

from __future__ import annotations

from pathlib import Path

import torch

from hxtorch.snn.alignment.dynamic_range.whole_chip import STEPS, Parameters, WholeChip, connection
from hxtorch.snn.morphology import Morphology

CURRENT = 1000  # CapMem code
BATCH = 100
SETTLED = 20  # steps at the end that count


class Boundaries:
    """Measure the boundaries of the membrane over a whole chip; arguments as in `get_dynamic_range`."""

    def __init__(
        self,
        neuron_structure: Morphology | None = None,
        calib_path: str | Path | None = None,
        params: Parameters | None = None,
    ) -> None:
        self.chip = WholeChip({} if params is None else params, calib_path, neuron_structure)

    def run(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return baseline, upper and lower boundary, each a scalar."""
        with connection():
            baseline, upper, lower = (self._traces(current) for current in (0, CURRENT, -CURRENT))
        return baseline.mean(), upper[-SETTLED:].mean(), lower[-SETTLED:].mean()

    def _traces(self, current: int) -> torch.Tensor:
        handle = self.chip.record(0.0, torch.zeros(STEPS, BATCH, 1), spiking=False, current=current)
        assert handle.membrane_cadc is not None
        return handle.membrane_cadc


def get_dynamic_range(
    neuron_structure: Morphology | None = None,
    calib_path: str | Path | None = None,
    params: Parameters | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Measure the boundaries of the membranes of a whole chip: (baseline, upper, lower), signed CADC LSB.

    Neurons of the structure `neuron_structure` (default: one circuit) are recorded for 100 µs in 100 batch entries
    without current, with a strong constant current into and out of their first circuit. `calib_path` is loaded,
    otherwise the chip is calibrated to `params` (arguments of the neuron modules). Uses the connected chip, else
    connects to the default one meanwhile.
    """
    return Boundaries(neuron_structure, calib_path, params).run()

"""What a run used of the chip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hxtorch.snn.report.reported import Reported
from hxtorch.twin.places.coordinates import CIRCUITS, HEMISPHERES, ROWS

if TYPE_CHECKING:
    from hxtorch.calibration import CalibrationResult


@dataclass(frozen=True, eq=False)
class ChipUse:
    """One of the runs of an experiment.

    * `name`: its execution instance. `calibration`: what configured it.
    * `circuits`: name of the population -> its circuits. `rows`: synapse rows in use of (HEMISPHERES,) each.
    """

    name: str
    calibration: CalibrationResult
    circuits: dict[str, NDArray[np.int64]]
    rows: tuple[int, ...]

    @property
    def used(self) -> NDArray[np.int64]:
        """Circuits in use, in their order."""
        parts = [circuits.reshape(-1) for circuits in self.circuits.values()]
        return np.unique(np.concatenate(parts)) if parts else np.zeros(0, dtype=np.int64)

    def places(self) -> NDArray[np.float64]:
        """Map of the chip (2, 256): 0 free, and a number for each population, alternating in sign."""
        values = np.zeros(CIRCUITS)
        for index, circuits in enumerate(self.circuits.values()):
            values[circuits.reshape(-1)] = (1.0 if index % 2 == 0 else -1.0) / (1 + index // 2)
        return values.reshape(HEMISPHERES, -1)


def chip_uses(experiment: Reported) -> list[ChipUse]:
    """What the last run of an experiment used, one entry per run of the chip; empty in mock mode."""
    plan = None if experiment.mock else experiment.plans.last
    if plan is None:
        return []
    uses = []
    for run in plan.runs:
        made = run.instance.made_calibration
        calibration = run.instance.calibration or (made[1] if made else None)
        if calibration is None:
            continue
        names = {population.key: population.name for population in run.part.network.neurons}
        circuits = {f"{names[key]} ({key})": places for key, places in run.mapping.circuits.items()}
        synapses = [flat.reshape(-1) for flat in run.mapping.routing.synapses.values()]
        rows = np.unique(np.concatenate(synapses) // 256) if synapses else np.zeros(0, dtype=np.int64)
        # the inhibitory synapse of a connection lies in the row behind
        count = tuple(2 * int((rows // ROWS == hemisphere).sum()) for hemisphere in range(HEMISPHERES))
        uses.append(ChipUse(str(run.instance), calibration, circuits, count))
    return uses

"""Neurons on circuits that could not be calibrated: whoever uses them is told."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hxtorch.calibration import CalibrationResult
from hxtorch.snn.chip.plan import ChipRun
from hxtorch.snn.modules.population import Population
from hxtorch.snn.refusals import warn_user


def warn_of_failed(populations: Mapping[int, Population], run: ChipRun, calibrated: CalibrationResult) -> None:
    """Warn, once per run and calibration, of neurons on circuits that failed, with the quantities they missed."""
    if any(known is calibrated for known in run.warned):
        return
    run.warned.append(calibrated)
    failed = calibrated.defective
    for own, member in run.part.members.items():
        used = np.intersect1d(run.mapping.circuits[own], failed)
        if not used.size:
            continue
        missed = sorted(
            name for name, good in calibrated.success.items() if name != "refractory_time" and not good[used].all()
        )
        population = populations[member.key]
        why = "its placement constraint asks for" if population.placement_constraint is not None else "needs"
        shown = ", ".join(map(str, used[:10])) + (", ..." if used.size > 10 else "")
        warn_user(
            f"{population.short_name}: {why} circuit{'s' * (used.size > 1)} {shown}, which "
            f"failed to calibrate ({', '.join(sorted(missed))}). Its neurons there will be off their targets: "
            "choose other circuits or a smaller network."
        )

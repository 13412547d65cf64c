"""Which calibration a run uses: the loaded one, or one made for the parameters of the modules."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hxtorch import calibration
from hxtorch.calibration import CalibrationResult, CalibrationTarget
from hxtorch.snn.chip.plan import ChipPlan, ChipRun, PlanCache
from hxtorch.snn.chip.settings import ChipSettings
from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.graph.graph import Graph
from hxtorch.snn.modules.population import Population
from hxtorch.snn.parameters.parameter_set import ParameterSet
from hxtorch.snn.refusals import warn_user
from hxtorch.snn.targets.targets import Placed, calibrated_values, moved, taken_over, target_of, values_key
from hxtorch.twin import Chip
from hxtorch.twin.chip import fingerprint

_MOST_PLACEMENTS = 3  # of one network, around circuits that fail

__all__ = [
    "Placed",
    "calibrated_plan",
    "calibrated_values",
    "calibration_for",
    "made_calibration",
    "read_parameters",
    "take_over",
    "target_of",
]


def calibrated_plan(
    settings: ChipSettings, plans: PlanCache, graph: Graph, chip: Chip
) -> tuple[ChipPlan, list[CalibrationResult]]:
    """Plan and calibrations of all runs, on circuits that succeeded in being calibrated as far as possible.

    Which circuits fail is known after a calibration only: then the network is placed once more around them.
    """
    plan = plans.plan_for(settings, graph)
    for _ in range(_MOST_PLACEMENTS - 1):
        calibrations = _calibrations(chip, plan)
        if all(run.instance.calibration is not None for run in plan.runs):
            return plan, calibrations
        again = plans.plan_for(settings, graph)
        if again is plan:
            return plan, calibrations
        plan = again
    return plan, _calibrations(chip, plan)


def _calibrations(chip: Chip, plan: ChipPlan) -> list[CalibrationResult]:
    """Calibration of every run. Without a loaded one, each is calibrated to what its neurons ask for.

    Circuits that fail in it are remembered by the execution instance of the run.
    """
    results = []
    for run in plan.runs:
        if run.instance.calibration is None:
            made = made_calibration(run.instance, chip, _placed_members(plan, run))
            run.instance.learn_failed(fingerprint(chip), made)
            results.append(made)
        else:
            # targets become parameters of the modules, which are whole even if their neurons run in turns
            same = {m.key for r in plan.runs if r.instance.calibration is run.instance.calibration
                    for m in r.part.members.values()}  # fmt: skip
            placed = [(plan.described.populations[key], plan.circuits(key)[:, 0]) for key in same]
            results.append(calibration_for(run.instance, chip, placed))
    return results


def _placed_members(plan: ChipPlan, run: ChipRun) -> list[tuple[ParameterSet, NDArray[np.int64]]]:
    """Neurons of a run with their circuits: every circuit of a neuron gets the neuron's targets."""
    placed = []
    for own, member in run.part.members.items():
        population = plan.described.populations[member.key]
        parameters = population.parameter_set.part(member.start, member.stop)
        placed += [(parameters, circuits) for circuits in run.mapping.circuits[own].T]
    return placed


def made_calibration(instance: ExecutionInstance, chip: Chip, placed: Placed) -> CalibrationResult:
    """Calibration of a chip to the hardware values of placed neurons, made if that was not done before."""
    placed = list(placed)
    key = (fingerprint(chip), *(values_key(parameters, circuits) for parameters, circuits in placed))
    if instance.made_calibration is None or instance.made_calibration[0] != key:
        result = calibration.cached(chip, target_of(placed), instance.calib_cache_dir)
        instance.made_calibration = (key, result)
    return instance.made_calibration[1]


def calibration_for(
    instance: ExecutionInstance, chip: Chip, placed: Iterable[tuple[Population, NDArray[np.int64]]]
) -> CalibrationResult:
    """Return the calibration that a run on `chip` with these placed populations uses.

    A loaded calibration wins: the populations take over its targets. Without one, the hardware values of the
    populations become the target, and the chip is calibrated if that was not done before.
    """
    loaded = instance.calibration
    if loaded is None:
        return made_calibration(instance, chip, ((p.parameter_set, circuits) for p, circuits in placed))
    _check_chip(loaded, chip)
    for population, circuits in placed:
        read_parameters(population, loaded, circuits)
    return loaded


def _check_chip(loaded: CalibrationResult, chip: Chip) -> None:
    twin = chip.identifier.startswith(f"twin of {loaded.chip_identifier} (")  # made by Die.from_calibration
    if loaded.chip_identifier != chip.identifier and not twin:
        warn_user(
            f"The loaded calibration was made for chip {loaded.chip_identifier!r}, but {chip.identifier!r} is "
            "connected. Its neurons will be off their targets: calibrate this chip or load its own file."
        )


def read_parameters(population: Population, loaded: CalibrationResult, circuits: NDArray[np.int64]) -> None:
    """Take over the targets of a loaded calibration as hardware values of a population, once.

    Of plain values the model's value changes too. A value that the user chose and the calibration overrides
    gives one warning that names both. Neurons that come to lie elsewhere later get the targets of the circuits
    there, except for values that were changed in between.
    """
    if not population.read_params_from_calibration:
        return
    before, population.calibrated_circuits = population.calibrated_circuits, circuits
    if population.calibration_read is loaded:
        if before is not None:
            population.assign(moved(population.parameter_set, loaded.target, before, circuits))
        return
    overridden = take_over(population, loaded.target, circuits)
    population.calibration_read = loaded
    if overridden:
        warn_user(
            f"{type(population).__name__}: the loaded calibration decides on the chip and overrides "
            f"{', '.join(overridden)}. Without load_calib, the chip is calibrated to the module's own values."
        )


def take_over(population: Population, target: CalibrationTarget, circuits: NDArray[np.int64]) -> list[str]:
    """Give a population the values of a target; returns one line for each that the user had chosen otherwise."""
    taken, overridden = taken_over(population.parameter_set, target, circuits)
    population.assign(taken)
    return overridden

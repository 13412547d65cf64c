"""Running a graph on the connected chip: plan, calibration, programs, and the recorded data by module."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from hxtorch.connection import require_chip
from hxtorch.mapping import Member, merge_events
from hxtorch.snn import functional as F
from hxtorch.snn.chip_calibration import calibration_for
from hxtorch.snn.chip_data import input_observables, observables
from hxtorch.snn.chip_network import chip_weights, heard_weights, open_handles, spikes_of
from hxtorch.snn.chip_plan import ChipPlan, ChipRun
from hxtorch.snn.execution_info import ExecutionInfo
from hxtorch.snn.failed_circuits import warn_of_failed
from hxtorch.snn.graph import Graph
from hxtorch.snn.modules.base import HXBaseExperimentModule, HXModule
from hxtorch.snn.modules.population import Population
from hxtorch.snn.observables import HardwareObservables
from hxtorch.twin import Chip, ChipConfig, InputEvents, Program, Recording
from hxtorch.twin.chip import fingerprint
from hxtorch.twin.coordinates import CIRCUITS, CYCLES_PER_US

if TYPE_CHECKING:
    from hxtorch.calibration import CalibrationResult
    from hxtorch.snn.experiment import Experiment


@dataclass(frozen=True, eq=False)
class _Events:
    """Spikes on the way to the chip, sorted by entry and time: `entry`, `time` (cycles), `channel`, each (n,)."""

    entry: NDArray[np.int64]
    time: NDArray[np.int64]
    channel: NDArray[np.int64]


def execute(
    experiment: Experiment, graph: Graph, runtime: int, trial_seed: int | None
) -> tuple[dict[HXBaseExperimentModule, HardwareObservables], ExecutionInfo]:
    """Run a graph for `runtime` steps on the connected chip.

    Returns the raw data of every neuron module, and of input modules with loop-back, and the `ExecutionInfo`;
    notes in `experiment.plans` what the chip was set to. Raises RuntimeError without a connection and
    `MappingError` for networks that do not fit.
    """
    begin = time.perf_counter()
    chip = require_chip()
    for node in graph.modules_in_order:
        if isinstance(node.module, HXModule):
            node.module.check_hooks()
            node.module.register_hw_entity()
    plan, calibrations = _calibrated_plan(experiment, graph, chip)
    handles = open_handles(graph)
    inputs = {key: _events(spikes_of(handles[i]), experiment.dt) for key, i in plan.described.inputs.items()}
    batch_size = spikes_of(handles[0]).shape[1] if handles else 1
    cycles = round(runtime * experiment.dt * 1e6 * CYCLES_PER_US)
    weights = {id(synapse): chip_weights(synapse) for synapse in plan.described.synapses.values()}
    matrices = {
        key: heard_weights(weights[id(synapse)], plan.described.between[key])
        for key, synapse in plan.described.synapses.items()
    }
    seed = trial_seed
    if seed is None:  # of the generator of the CPU, whatever the default device is
        seed = int(torch.randint(2**62, (), dtype=torch.int64, device="cpu").item())
    on_chip = 0.0
    recordings: list[Recording] = []
    configs: dict[int, ChipConfig] = {}
    spikes: dict[Member, _Events] = {}
    for number, (run, calibrated) in enumerate(zip(plan.runs, calibrations, strict=True)):
        run.instance.note(
            run.mapping, {own: plan.described.populations[m.key] for own, m in run.part.members.items()}
        )
        config = configs[run.instance.ID] = _config(plan, run, calibrated, matrices)
        program = Program(config, batch_size, cycles, _run_events(run, inputs, spikes), run.record)
        started = time.perf_counter()
        recordings.append(chip.run(program, (seed + number * 0x9E3779B97F4A7C15) % 2**63 if number else seed))
        on_chip += time.perf_counter() - started
        if number + 1 < len(plan.runs):
            for own, member in run.part.members.items():
                spikes[member] = _recorded_spikes(run, own, recordings[-1])

    data: dict[HXBaseExperimentModule, HardwareObservables] = {
        module: observables(plan, key, recordings, batch_size) for key, module in plan.described.populations.items()
    }
    for key, modules in plan.described.looped.items():
        looped = input_observables(plan, key, recordings, batch_size)
        data.update(dict.fromkeys(modules, looped))
    info = ExecutionInfo(
        time={
            "preparation": time.perf_counter() - begin - on_chip,
            "chip": on_chip,
            "realtime": len(plan.runs) * _realtime(batch_size, cycles, experiment.inter_batch_entry_wait or 0),
        },
        health={"lost_spikes": sum(recording.lost_spikes for recording in recordings)},
    )
    experiment.plans.last_configs = configs
    for node in graph.modules_in_order:
        if isinstance(node.module, HXModule):
            node.module.reset_changed_since_last_run()
    return data, info


def _realtime(batch_size: int, cycles: int, wait: int) -> float:
    """Seconds that the entries of a batch and the waits between them take on a chip."""
    return (batch_size * cycles + (batch_size - 1) * wait) / (CYCLES_PER_US * 1e6)


def _calibrated_plan(experiment: Experiment, graph: Graph, chip: Chip) -> tuple[ChipPlan, list[CalibrationResult]]:
    """Plan and calibrations of all runs, on circuits that succeeded in being calibrated as far as possible.

    Which circuits fail is known after a calibration only: then the network is placed once more around them.
    """
    for last in (False, False, True):
        plan = experiment.plans.plan_for(experiment, graph)
        calibrations = _calibrations(chip, plan)
        made = [(r, c) for r, c in zip(plan.runs, calibrations, strict=True) if r.instance.calibration is None]
        for run, calibrated in made:
            run.instance.learn_failed(fingerprint(chip), calibrated)
        same = not made or plan is experiment.plans.plan_for(experiment, graph)
        if same or last:
            break
    for run, calibrated in zip(plan.runs, calibrations, strict=True):
        warn_of_failed(plan.described.populations, run, calibrated)
    return plan, calibrations


def _calibrations(chip: Chip, plan: ChipPlan) -> list[CalibrationResult]:
    """Calibration of every run. Without a loaded one, each is calibrated to what its neurons ask for."""
    results: list[CalibrationResult | None] = [None] * len(plan.runs)
    for number, run in enumerate(plan.runs):
        if run.instance.calibration is not None:
            # targets become parameters of the modules, which are whole even if their neurons run in turns
            same = {m.key for r in plan.runs if r.instance.calibration is run.instance.calibration
                    for m in r.part.members.values()}  # fmt: skip
            placed = [(plan.described.populations[key], plan.circuits(key)[:, 0]) for key in same]
        else:
            placed = _placed_members(plan, run)
        results[number] = calibration_for(run.instance, chip, placed)
    return [result for result in results if result is not None]


def _placed_members(plan: ChipPlan, run: ChipRun) -> list[tuple[Population, NDArray[np.int64]]]:
    """Neurons of a run with their circuits: every circuit of a neuron gets the neuron's targets."""
    placed = []
    for own, member in run.part.members.items():
        population = plan.described.populations[member.key]
        asked = population if member.size == population.size else _MemberParameters(population, member)
        for circuits in run.mapping.circuits[own].T:
            placed.append((asked, circuits))
    return placed  # type: ignore[return-value]  # a calibration reads nothing but `params` and `short_name`


class _MemberParameters:
    """Some neurons of a population as far as a calibration looks at them."""

    def __init__(self, population: Population, member: Member) -> None:
        self.short_name = population.short_name
        self.params = {
            name: _MemberParameter(parameter.hardware_value, member, population.size)
            for name, parameter in population.params.items()
        }


class _MemberParameter:
    def __init__(self, value: object, member: Member, size: int) -> None:
        per_neuron = isinstance(value, torch.Tensor) and value.ndim > 0 and value.shape[-1] == size
        self.hardware_value = value[..., member.start : member.stop] if per_neuron else value  # type: ignore[index]


def _config(
    plan: ChipPlan, run: ChipRun, calibrated: CalibrationResult, matrices: dict[int, NDArray[np.int64]]
) -> ChipConfig:
    own = {}
    for key, cut in run.part.projections.items():
        matrix = matrices[cut.key]
        whole = (0, matrix.shape[0]) == cut.post and (0, matrix.shape[1]) == cut.pre
        own[key] = matrix if whole else matrix[slice(*cut.post), slice(*cut.pre)]
    neurons = run.instance.neuron_config(run.mapping, calibrated)
    placed = [
        (plan.described.populations[member.key], range(member.start, member.stop), run.mapping.circuits[own])
        for own, member in run.part.members.items()
    ]
    neurons = run.instance.with_own_settings(neurons, placed)
    config = ChipConfig(neurons, calibrated.common, run.routing, run.mapping.weights(own))
    masked = {own: plan.described.populations[member.key] for own, member in run.part.members.items()}
    masked = {own: population for own, population in masked.items() if population.masks_neurons}
    if not masked:
        return config
    enabled = np.ones(CIRCUITS, dtype=np.bool_)
    for key, population in masked.items():
        member = run.part.members[key]
        enabled[run.mapping.main_circuits(key)] = population.mask[member.start : member.stop].cpu().numpy()
    return replace(config, enable_events=enabled)


def _events(spikes: F.CarriedSpikes, dt: float) -> _Events:
    """Every entry of an input that is not zero becomes one event at its time step."""
    steps, batch, _ = spikes.shape
    index = spikes.index() if spikes.has_index else None
    channel: NDArray[Any]
    if index is not None:
        by_entry = np.arange(steps * batch).reshape(steps, batch).T.ravel()
        row, channel = index.places(by_entry)
        step, entry = np.divmod(row, batch)
    else:
        fired = spikes.values().detach().cpu().numpy() != 0
        # of bytes in a row, as `np.nonzero` of floats in another order takes ten times as long
        found = np.flatnonzero(np.ascontiguousarray(fired.transpose(1, 0, 2)))
        entry, step, channel = np.unravel_index(found, (batch, steps, fired.shape[2]))
    return _Events(entry, np.rint(step * (dt * 1e6 * CYCLES_PER_US)).astype(np.int64), channel.astype(np.int64))


def _recorded_spikes(run: ChipRun, own: int, recording: Recording) -> _Events:
    neuron_of = np.full(CIRCUITS, -1, dtype=np.int64)
    circuits = run.mapping.main_circuits(own)
    neuron_of[circuits] = np.arange(circuits.size)
    if recording.spikes is None:
        empty = np.empty(0, dtype=np.int64)
        return _Events(empty, empty, empty)
    neuron = neuron_of[recording.spikes.circuit]
    kept = neuron >= 0
    return _Events(recording.spikes.entry[kept], recording.spikes.time[kept], neuron[kept])


def _run_events(run: ChipRun, inputs: dict[int, _Events], spikes: dict[Member, _Events]) -> InputEvents:
    """Events that a run is sent: inputs of the user, and spikes of earlier runs at the times of their stamps."""
    parts = []
    sent = [(own, inputs[key]) for own, key in run.part.inputs.items()]
    sent += [(own, spikes[member]) for own, member in run.part.forwarded.items()]
    for own, events in sent:
        parts.append(run.mapping.events(own, events.entry, events.time, events.channel))
    return parts[0] if len(parts) == 1 else merge_events(parts, run.mapping.routing.addresses)

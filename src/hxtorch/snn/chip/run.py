"""Running a graph on the connected chip, phase by phase: plan and calibration, programs, data by module."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from hxtorch.connection import require_chip
from hxtorch.mapping import Member
from hxtorch.snn.chip.calibration import calibrated_plan
from hxtorch.snn.chip.data import data_by_module
from hxtorch.snn.chip.failed import warn_of_failed
from hxtorch.snn.chip.inputs import Events, events_of, recorded_events, run_events
from hxtorch.snn.chip.plan import ChipPlan, ChipRun, PlanCache
from hxtorch.snn.chip.registers import config_of, weight_matrices
from hxtorch.snn.chip.settings import ChipSettings
from hxtorch.snn.graph.contract import Member as GraphMember
from hxtorch.snn.graph.graph import Graph
from hxtorch.snn.graph.inputs import open_handles, spikes_of
from hxtorch.snn.modules.base import HXModule
from hxtorch.snn.recording.execution_info import ExecutionInfo
from hxtorch.snn.recording.observables import HardwareObservables
from hxtorch.twin import Chip, ChipConfig, Program, Recording, checked
from hxtorch.twin.places.coordinates import CYCLES_PER_US

_ANOTHER_SEED = 0x9E3779B97F4A7C15  # between the runs of a network: the golden ratio times 2**64


@dataclass(frozen=True, eq=False)
class _Job:
    """What is sent to the chip: a network with calibrations, events of the user, and how long it runs (cycles)."""

    plan: ChipPlan
    configs: list[ChipConfig]
    inputs: dict[int, Events]
    batch_size: int
    cycles: int
    trial_seed: int


def execute(
    settings: ChipSettings, plans: PlanCache, graph: Graph, runtime: int, trial_seed: int | None
) -> tuple[dict[GraphMember, HardwareObservables], ExecutionInfo]:
    """Run a graph for `runtime` steps on the connected chip.

    Returns the raw data of every neuron module, and of input modules with loop-back, and the `ExecutionInfo`;
    notes in `plans` what the chip was set to. Raises RuntimeError without a connection and `MappingError` for
    networks that do not fit.
    """
    begin = time.perf_counter()
    chip = require_chip()
    modules = [node.module for node in graph.modules_in_order if isinstance(node.module, HXModule)]
    for module in modules:
        module.check_hooks()
        module.register_hw_entity()
    job = _prepared(settings, plans, graph, chip, runtime, trial_seed)
    recordings, on_chip = _emulated(chip, job)
    data = data_by_module(job.plan, recordings, job.batch_size)
    plans.last_configs = {run.instance.ID: config for run, config in zip(job.plan.runs, job.configs, strict=True)}
    for module in modules:
        module.reset_changed_since_last_run()
    info = ExecutionInfo(
        time={
            "preparation": time.perf_counter() - begin - on_chip,
            "chip": on_chip,
            "realtime": len(job.configs) * _realtime(job.batch_size, job.cycles, settings.wait),
        },
        health={"lost_spikes": sum(recording.lost_spikes for recording in recordings)},
    )
    return data, info


def _prepared(
    settings: ChipSettings, plans: PlanCache, graph: Graph, chip: Chip, runtime: int, trial_seed: int | None
) -> _Job:
    """Everything that is known before the first run begins."""
    plan, calibrations = calibrated_plan(settings, plans, graph, chip)
    handles = open_handles(graph)
    inputs = {key: events_of(spikes_of(handles[i]), settings.dt) for key, i in plan.described.inputs.items()}
    matrices = weight_matrices(plan.described)
    if trial_seed is None:  # of the generator of the CPU, whatever the default device is
        trial_seed = int(torch.randint(2**62, (), dtype=torch.int64, device="cpu").item())
    configs = []
    for run, calibrated in zip(plan.runs, calibrations, strict=True):
        warn_of_failed(plan.described.populations, run, calibrated)
        own = {own: plan.described.populations[member.key] for own, member in run.part.members.items()}
        run.instance.note(run.mapping, dict(own))
        configs.append(config_of(plan, run, calibrated, matrices))
    batch_size = spikes_of(handles[0]).shape[1] if handles else 1
    cycles = round(runtime * settings.dt * 1e6 * CYCLES_PER_US)
    return _Job(plan, configs, inputs, batch_size, cycles, trial_seed)


def _emulated(chip: Chip, job: _Job) -> tuple[list[Recording], float]:
    """What the runs recorded, one after the other, and the seconds that the chip took for it."""
    seconds = 0.0
    recordings: list[Recording] = []
    spikes: dict[Member, Events] = {}
    for number, (run, config) in enumerate(zip(job.plan.runs, job.configs, strict=True)):
        events = run_events(run, job.inputs, spikes)
        program = Program(config, job.batch_size, job.cycles, events, run.record)
        seed = (job.trial_seed + number * _ANOTHER_SEED) % 2**63 if number else job.trial_seed
        started = time.perf_counter()
        recordings.append(checked(chip.run(program, seed), chip, program))
        seconds += time.perf_counter() - started
        if number + 1 < len(job.plan.runs):
            spikes |= _sent_on(run, recordings[-1])
    return recordings, seconds


def _sent_on(run: ChipRun, recording: Recording) -> dict[Member, Events]:
    """The spikes of a run that later ones may be sent."""
    return {member: recorded_events(run, own, recording) for own, member in run.part.members.items()}


def _realtime(batch_size: int, cycles: int, wait: int) -> float:
    """Seconds that the entries of a batch and the waits between them take on a chip."""
    return (batch_size * cycles + (batch_size - 1) * wait) / (CYCLES_PER_US * 1e6)

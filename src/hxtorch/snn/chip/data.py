"""What the runs of the chip recorded, sorted by module."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch.snn.chip.plan import ChipPlan, ChipRun
from hxtorch.snn.graph.contract import Member
from hxtorch.snn.recording.observables import CADCHandle, HardwareObservables, MADCHandle, SpikeHandle
from hxtorch.twin import Recording
from hxtorch.twin.places.coordinates import CIRCUITS, COLUMNS


def data_by_module(
    plan: ChipPlan, recordings: list[Recording], batch_size: int
) -> dict[Member, HardwareObservables]:
    """Data of every neuron module, and of the input modules that want recorded spikes."""
    data: dict[Member, HardwareObservables] = {
        module: observables(plan, key, recordings, batch_size) for key, module in plan.described.populations.items()
    }
    for key, modules in plan.described.looped.items():
        looped = input_observables(plan, key, recordings, batch_size)
        data.update(dict.fromkeys(modules, looped))
    return data


def observables(plan: ChipPlan, key: int, recordings: list[Recording], batch_size: int) -> HardwareObservables:
    """Data of one population, from all runs in which its neurons took part."""
    parts = [_member(plan.runs[run], own, recordings[run], batch_size) for run, own in plan.where[key]]
    if len(parts) == 1:
        return parts[0]
    sizes = [plan.runs[run].part.members[own].size for run, own in plan.where[key]]
    return HardwareObservables(
        _joined_spikes([part.spikes for part in parts], sizes, batch_size),
        _joined_cadc([part.cadc for part in parts]),
        next((part.madc for part in parts if part.madc is not None), None),
        plan.circuits(key),
    )


def _member(run: ChipRun, own: int, recording: Recording, batch_size: int) -> HardwareObservables:
    population = run.part.network.population(own)
    circuits = run.mapping.main_circuits(own)
    spikes = cadc = madc = None
    if population.record_spikes and recording.spikes is not None:  # type: ignore[union-attr]  # neurons
        neuron_of = np.full(CIRCUITS, -1, dtype=np.int64)
        neuron_of[circuits] = np.arange(circuits.size)
        neuron = neuron_of[recording.spikes.circuit]
        mine = neuron >= 0
        spikes = SpikeHandle(
            recording.spikes.entry[mine], recording.spikes.time[mine], neuron[mine], batch_size, circuits.size
        )
    if population.record_cadc and recording.cadc is not None:  # type: ignore[union-attr]
        first = run.cadc_first[own]
        codes = np.ascontiguousarray(recording.cadc.value[:, :, first : first + circuits.size])
        cadc = CADCHandle(codes, recording.cadc.time, recording.cadc.count, circuits // COLUMNS)
    chosen = len(population.record_madc)  # type: ignore[union-attr]
    if chosen and recording.madc is not None:
        first = run.madc_first[own]
        value = recording.madc.value[:, :, first : first + chosen]
        madc = MADCHandle(recording.madc.time, value[:, :, 0] if chosen == 1 else value)
    return HardwareObservables(spikes, cadc, madc, run.mapping.circuits[own])


def _joined_spikes(parts: list[SpikeHandle | None], sizes: list[int], batch_size: int) -> SpikeHandle | None:
    if any(part is None for part in parts):
        return None
    first = np.concatenate([[0], np.cumsum(sizes)])
    given = [part for part in parts if part is not None]
    return SpikeHandle(
        np.concatenate([part.entry for part in given]),
        np.concatenate([part.time for part in given]),
        np.concatenate([part.neuron + offset for part, offset in zip(given, first, strict=False)]),
        batch_size,
        int(first[-1]),
    )


def _joined_cadc(parts: list[CADCHandle | None]) -> CADCHandle | None:
    """Side by side; every run keeps the sampling times of its own two hemispheres."""
    given = [part for part in parts if part is not None]
    if len(given) < len(parts):
        return None
    samples = max(part.value.shape[1] for part in given)

    def padded(array: NDArray[np.generic], axis: int) -> NDArray[np.generic]:
        width = [(0, 0)] * array.ndim
        width[axis] = (0, samples - array.shape[axis])
        return np.pad(array, width)

    return CADCHandle(
        np.concatenate([padded(part.value, 1) for part in given], axis=2),
        np.concatenate([padded(part.time, 2) for part in given], axis=1),
        np.concatenate([part.count for part in given], axis=1),
        np.concatenate([part.hemisphere + 2 * run for run, part in enumerate(given)]),
    )


def input_observables(
    plan: ChipPlan, key: int, recordings: list[Recording], batch_size: int
) -> HardwareObservables:
    """Recorded events of an input population, of the first run that was sent them."""
    for run, recording in zip(plan.runs, recordings, strict=True):
        for own, whole in run.part.inputs.items():
            if whole != key or recording.loopback is None:
                continue
            sources = run.mapping.routing.input_sources[own][:, 0]  # one copy of each event stands for it
            channel_of = np.full(run.mapping.routing.addresses.size, -1, dtype=np.int64)
            channel_of[sources] = np.arange(sources.size)
            channel = channel_of[recording.loopback.source]
            mine = channel >= 0
            spikes = SpikeHandle(
                recording.loopback.entry[mine],
                recording.loopback.time[mine],
                channel[mine],
                batch_size,
                sources.size,
            )
            return HardwareObservables(spikes)
    return HardwareObservables()

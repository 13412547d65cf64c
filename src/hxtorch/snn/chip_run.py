"""Running a graph on the connected chip: mapping, calibration, program, and the recorded data by module."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from hxtorch.connection import require_chip
from hxtorch.mapping import Mapping, MappingError, NeuronPopulation, map_network, merge_events
from hxtorch.snn.chip_calibration import calibration_for
from hxtorch.snn.chip_network import ChipNetwork, chip_network, chip_weights
from hxtorch.snn.execution_info import ExecutionInfo
from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.graph import Graph
from hxtorch.snn.handle import Handle
from hxtorch.snn.modules.base import HXBaseExperimentModule
from hxtorch.snn.modules.population import Population
from hxtorch.snn.observables import CADCHandle, HardwareObservables, MADCHandle, SpikeHandle
from hxtorch.twin import ChipConfig, InputEvents, Program, Recording
from hxtorch.twin.coordinates import CIRCUITS, COLUMNS, CYCLES_PER_US

if TYPE_CHECKING:
    from hxtorch.calibration import CalibrationResult
    from hxtorch.snn.experiment import Experiment


def execute(
    experiment: Experiment, graph: Graph, runtime: int, trial_seed: int | None
) -> tuple[dict[HXBaseExperimentModule, HardwareObservables], ExecutionInfo]:
    """Run a graph for `runtime` steps on the connected chip.

    Returns the raw data of every neuron module and the `ExecutionInfo`. Raises RuntimeError without a
    connection and `MappingError` for networks that do not fit.
    """
    begin = time.perf_counter()
    chip = require_chip()
    described = chip_network(graph)
    instance = _instance(experiment, described)
    _check_recording(described)
    mapping = map_network(described.network)
    _check_madc(mapping)
    placed = [(_population(described, key), circuits) for key, circuits in mapping.circuits.items()]
    calibrated = calibration_for(instance, chip, placed)
    program = _program(experiment, described, mapping, instance, calibrated, runtime)
    prepared = time.perf_counter()

    seed = int(torch.randint(2**62, ()).item()) if trial_seed is None else trial_seed
    recording = chip.run(program, seed)
    finished = time.perf_counter()
    data: dict[HXBaseExperimentModule, HardwareObservables] = {
        _population(described, key): _observables(mapping, key, recording, program.batch_size)
        for key in mapping.circuits
    }
    info = ExecutionInfo(
        time={"preparation": prepared - begin, "chip": finished - prepared},
        health={"lost_spikes": recording.lost_spikes},
    )
    return data, info


def _population(described: ChipNetwork, key: int) -> Population:
    module = described.populations[key].module
    assert isinstance(module, Population)
    return module


def _instance(experiment: Experiment, described: ChipNetwork) -> ExecutionInstance:
    """Return the execution instance that all modules share."""
    instances = {
        id(instance): instance
        for module in (
            *(node.module for node in described.populations.values()),
            *described.synapses.values(),
        )
        if (instance := getattr(module, "execution_instance", None)) is not None
    }
    if len(instances) > 1:
        raise MappingError(
            f"The modules of this network are spread over {len(instances)} execution instances, but a run uses "
            "one. Give all modules the same execution_instance."
        )
    return next(iter(instances.values()), experiment.default_execution_instance)


def _check_recording(described: ChipNetwork) -> None:
    recorded = [p for p in described.network.neurons if p.record_cadc]
    if len({p.cadc_in_dram for p in recorded}) > 1:
        raise RuntimeError(
            "Requesting CADC DRAM and SRAM recording simultaneously. Set "
            "enable_cadc_recording_placement_in_dram to the same value in all modules."
        )


def _check_madc(mapping: Mapping) -> None:
    circuits = mapping.record.madc
    if circuits.size > 2:
        raise RuntimeError(
            f"Another HXModule already registered MADC recording. {circuits.size} neurons are to be recorded, "
            "but the MADC samples two at most, one in an even and one in an odd column."
        )
    if circuits.size == 2 and circuits[0] % 2 == circuits[1] % 2:
        raise RuntimeError(
            "The MADC samples two neurons at most, one in an even and one in an odd column, but both chosen "
            f"neurons are in {'odd' if circuits[0] % 2 else 'even'} columns. Choose another record_neuron_id."
        )


def _program(
    experiment: Experiment,
    described: ChipNetwork,
    mapping: Mapping,
    instance: ExecutionInstance,
    calibrated: CalibrationResult,
    runtime: int,
) -> Program:
    neurons = instance.neuron_config(mapping, calibrated)
    weights: dict[int, NDArray[np.int64]] = {}
    matrices = {id(synapse): synapse for synapse in described.synapses.values()}
    rounded = {key: chip_weights(synapse) for key, synapse in matrices.items()}
    for key, synapse in described.synapses.items():
        weights[key] = rounded[id(synapse)]
    config = ChipConfig(neurons, calibrated.common, mapping.routing.config, mapping.weights(weights))
    return Program(
        config=config,
        batch_size=_batch_size(described),
        runtime=round(runtime * experiment.dt * 1e6 * CYCLES_PER_US),
        events=_events(described, mapping, experiment.dt),
        record=mapping.record,
    )


def _batch_size(described: ChipNetwork) -> int:
    for handle in described.inputs.values():
        return int(_spikes(handle).shape[1])
    return 1


def _spikes(handle: Handle) -> torch.Tensor:
    spikes = getattr(handle, "spikes", None)
    assert isinstance(spikes, torch.Tensor)
    return spikes


def _events(described: ChipNetwork, mapping: Mapping, dt: float) -> InputEvents:
    """Every entry of an input that is not zero becomes one event at its time step."""
    parts = []
    for key, handle in described.inputs.items():
        spikes = _spikes(handle).detach().cpu().numpy()
        entry, step, channel = np.nonzero(spikes.transpose(1, 0, 2))
        cycles = np.rint(step * (dt * 1e6 * CYCLES_PER_US)).astype(np.int64)
        parts.append(mapping.events(key, entry, cycles, channel))
    return parts[0] if len(parts) == 1 else merge_events(parts, mapping.routing.addresses)


def _observables(mapping: Mapping, key: int, recording: Recording, batch_size: int) -> HardwareObservables:
    """Pick the data of one population from a recording."""
    population = mapping.network.population(key)
    assert isinstance(population, NeuronPopulation)
    circuits = mapping.circuits[key]
    spikes = cadc = madc = None
    if population.record_spikes and recording.spikes is not None:
        neuron_of = np.full(CIRCUITS, -1, dtype=np.int64)
        neuron_of[circuits] = np.arange(circuits.size)
        neuron = neuron_of[recording.spikes.circuit]
        own = neuron >= 0
        spikes = SpikeHandle(
            recording.spikes.entry[own], recording.spikes.time[own], neuron[own], batch_size, population.size
        )
    if population.record_cadc and recording.cadc is not None:
        first = _first_column(mapping, key, "record_cadc")
        codes = np.ascontiguousarray(recording.cadc.value[:, :, first : first + population.size])
        cadc = CADCHandle(codes, recording.cadc.time, recording.cadc.count, circuits // COLUMNS)
    if population.record_madc and recording.madc is not None:
        first = _first_column(mapping, key, "record_madc")
        value = recording.madc.value[:, :, first : first + len(population.record_madc)]
        madc = MADCHandle(recording.madc.time, value[:, :, 0] if value.shape[2] == 1 else value)
    return HardwareObservables(spikes, cadc, madc, [int(circuit) for circuit in circuits])


def _first_column(mapping: Mapping, key: int, flag: str) -> int:
    """Column at which the data of a population begins: populations are recorded in the network's order."""
    column = 0
    for population in mapping.network.neurons:
        if population.key == key:
            return column
        recorded = getattr(population, flag)
        column += len(recorded) if isinstance(recorded, tuple) else population.size * recorded
    raise KeyError(key)

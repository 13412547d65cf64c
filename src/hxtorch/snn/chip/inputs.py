"""Inputs on their way to the chip: what it refuses, and the events that it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxtorch.mapping import Member, merge_events
from hxtorch.snn.chip.plan import ChipRun
from hxtorch.snn.functional.memory.spikes import CarriedSpikes, carried_spikes
from hxtorch.snn.graph.graph import Graph
from hxtorch.snn.refusals import warn_user
from hxtorch.twin import InputEvents, Recording
from hxtorch.twin.places.coordinates import CIRCUITS, CYCLES_PER_US


@dataclass(frozen=True, eq=False)
class Events:
    """Spikes on the way to the chip, sorted by entry and time: `entry`, `time` (cycles), `channel`, each (n,)."""

    entry: NDArray[np.int64]
    time: NDArray[np.int64]
    channel: NDArray[np.int64]


def check_chip_input(graph: Graph, runtime: int) -> None:
    """What the chip needs beyond `check_graph`: a run that covers the inputs; a warning for graded spikes."""
    graded = False
    for node, handle in graph.open_inputs:
        field = node.module.input_field
        given = None if field is None else handle.peek(field)
        if given is None:
            continue
        steps = given.shape[0]
        if runtime < steps:
            raise ValueError(
                f"Requested runtime invalid. It is {runtime} steps, but the input of {node.module} has "
                f"{steps}. Run for at least {steps} steps."
            )
        if field == "spikes" and not graded:
            spikes = carried_spikes(given)
            graded = not spikes.has_index and not _zeros_and_ones(spikes.values())
    if graded:
        warn_user(
            "Input spikes are neither 0 nor 1. The chip receives one event for every entry that is not 0, "
            "its value is ignored."
        )


def _zeros_and_ones(tensor: Tensor) -> bool:
    return tensor.dtype == torch.bool or torch.equal(tensor.square(), tensor)


def events_of(spikes: CarriedSpikes, dt: float) -> Events:
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
    return Events(entry, np.rint(step * (dt * 1e6 * CYCLES_PER_US)).astype(np.int64), channel.astype(np.int64))


def recorded_events(run: ChipRun, own: int, recording: Recording) -> Events:
    """The spikes of a population of a run, as events for a later one."""
    neuron_of = np.full(CIRCUITS, -1, dtype=np.int64)
    circuits = run.mapping.main_circuits(own)
    neuron_of[circuits] = np.arange(circuits.size)
    if recording.spikes is None:
        empty = np.empty(0, dtype=np.int64)
        return Events(empty, empty, empty)
    neuron = neuron_of[recording.spikes.circuit]
    kept = neuron >= 0
    return Events(recording.spikes.entry[kept], recording.spikes.time[kept], neuron[kept])


def run_events(run: ChipRun, inputs: dict[int, Events], spikes: dict[Member, Events]) -> InputEvents:
    """Events that a run is sent: inputs of the user, and spikes of earlier runs at the times of their stamps."""
    parts = []
    sent = [(own, inputs[key]) for own, key in run.part.inputs.items()]
    sent += [(own, spikes[member]) for own, member in run.part.forwarded.items()]
    for own, events in sent:
        parts.append(run.mapping.events(own, events.entry, events.time, events.channel))
    return parts[0] if len(parts) == 1 else merge_events(parts, run.mapping.routing.addresses)

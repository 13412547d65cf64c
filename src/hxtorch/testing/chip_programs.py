"""Small programs for a chip under test, and the comparison of what it recorded.

Every circuit under test is driven by the rows of a few drivers of one bus, which all hear the address 0. Levels are
in CADC LSB and times in µs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin import (
    CadcSamples,
    ChipConfig,
    CommonConfig,
    InputEvents,
    NeuronConfig,
    Program,
    Record,
    Recording,
    RoutingConfig,
    RowMode,
)
from hxtorch.twin.pattern import process
from hxtorch.twin.places.coordinates import (
    CIRCUITS,
    COLUMNS,
    CYCLES_PER_US,
    DRIVERS,
    HEMISPHERES,
    LABELS,
    MAX_WEIGHT,
    ROWS,
)

DRIVERS_OF_A_BUS = 4 * np.arange(6)  # bus 0; two rows each
Settings = tuple[NeuronConfig, CommonConfig]


def nominal_settings(leak: float, reset: float, threshold: float | None) -> Settings:
    """Registers of all circuits by the nominal translation; `threshold` None: nobody fires."""
    neurons = NeuronConfig(v_leak=_code(leak, 80, "LEAK"), v_reset=_code(reset, 80, "RESET"))
    if threshold is not None:
        neurons = replace(
            neurons,
            v_threshold=_code(threshold, 150, "THRESHOLD"),
            enable_threshold=np.ones(CIRCUITS, dtype=np.bool_),
        )
    return neurons, CommonConfig()


def _code(level: float, anchor: float, name: str) -> NDArray[np.float64]:
    code, slope = (getattr(process, f"{name}_{of}").value for of in ("CODE", "SLOPE"))
    return np.full(CIRCUITS, code + (level - anchor) / slope)


@dataclass(frozen=True)
class Plan:
    """What a program does: each batch entry gets one event at its onset (µs; None: it stays silent).

    `sign` of the weights (1, -1, or 0: none), `resets` (µs) of all circuits by command.
    """

    onsets: tuple[float | None, ...] = (None,)
    runtime: float = 60.0
    sign: int = 1
    weight: int = MAX_WEIGHT
    resets: tuple[float, ...] = ()


def program(settings: Settings, circuits: Sequence[int], plan: Plan, record: Record) -> Program:
    """The program in which `circuits` hear the events of a plan."""
    rows = np.concatenate([2 * DRIVERS_OF_A_BUS, 2 * DRIVERS_OF_A_BUS + 1])
    row_mode = np.zeros((HEMISPHERES, ROWS), dtype=np.uint8)
    row_mode[:, rows] = RowMode.INHIBITORY if plan.sign < 0 else RowMode.EXCITATORY
    weights = np.zeros((HEMISPHERES, ROWS, COLUMNS), dtype=np.uint8)
    labels = np.full_like(weights, LABELS - 1)  # of synapses that hear nothing
    for circuit in circuits:
        heard = circuit // COLUMNS, rows, circuit % COLUMNS
        labels[heard], weights[heard] = 0, plan.weight if plan.sign else 0
    driver_mask = np.zeros((HEMISPHERES, DRIVERS), dtype=np.uint8)
    routing = RoutingConfig(labels=labels, row_mode=row_mode, driver_mask=driver_mask)
    driven = [(entry, onset) for entry, onset in enumerate(plan.onsets) if onset is not None]
    events = InputEvents(
        entry=np.array([entry for entry, _ in driven], dtype=np.int64),
        time=np.array([cycles(onset) for _, onset in driven], dtype=np.int64),
        source=np.zeros(len(driven), dtype=np.int64),
        addresses=np.zeros(1, dtype=np.int64),
    )
    return Program(
        config=ChipConfig(*settings, routing, weights),
        batch_size=len(plan.onsets),
        runtime=cycles(plan.runtime),
        events=events,
        record=record,
        resets=tuple(cycles(time) for time in plan.resets),
    )


def cycles(time: float) -> int:
    """Cycles of the 125 MHz clock in a time in µs."""
    return round(time * CYCLES_PER_US)


def indices(circuits: Sequence[int]) -> NDArray[np.int64]:
    """Numbers of circuits as `Record` takes them."""
    return np.array(circuits, dtype=np.int64)


def first_spikes(recording: Recording, entry: int, circuits: Sequence[int]) -> NDArray[np.float64]:
    """Time (µs) of the first spike of each circuit in a batch entry; infinite where there is none."""
    spikes = recording.spikes
    assert spikes is not None
    first = np.full(CIRCUITS, np.inf)
    mine = spikes.entry == entry
    np.minimum.at(first, spikes.circuit[mine], spikes.time[mine] / CYCLES_PER_US)
    return first[indices(circuits)]


def levels(recording: Recording, begin: float = -np.inf, end: float = np.inf) -> NDArray[np.float64]:
    """Mean CADC code (B, N) of the samples in ``begin..end`` µs; NaN where there is none."""
    cadc = recording.cadc
    assert cadc is not None
    side = cadc.circuits // COLUMNS
    time = cadc.time[:, side].swapaxes(1, 2) / CYCLES_PER_US  # (B, S, N), as the values
    valid = np.arange(cadc.value.shape[1])[None, :, None] < cadc.count[:, None, side]
    chosen = valid & (time >= begin) & (time < end)
    counted = np.count_nonzero(chosen, axis=1)
    total = np.where(chosen, cadc.value, 0).sum(axis=1, dtype=np.float64)
    return np.where(counted > 0, total / np.maximum(counted, 1), np.nan)


def differences(first: object, second: object, name: str = "recording") -> Iterator[str]:
    """Where two recordings, or parts of them, differ; nothing if they are the same."""
    if isinstance(first, CadcSamples) and isinstance(second, CadcSamples):
        first, second = _without_empty_slots(first), _without_empty_slots(second)
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        if first.shape != second.shape:
            yield f"{name} has the shapes {first.shape} and {second.shape}"
        elif not np.array_equal(first, second, equal_nan=first.dtype.kind == "f"):
            yield f"{name} differs in {np.count_nonzero(first != second)} of {first.size} numbers"
    elif isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        for key in first:
            yield from differences(first[key], second[key], f"{name}[{key!r}]")
    elif is_dataclass(first) and type(first) is type(second):
        for item in fields(first):
            yield from differences(getattr(first, item.name), getattr(second, item.name), f"{name}.{item.name}")
    elif type(first) is not type(second) or first != second:
        yield f"{name} is {first!r} and {second!r}"


def _without_empty_slots(cadc: CadcSamples) -> CadcSamples:
    """The same samples, with zeros in the slots that hold none."""
    slots = np.arange(cadc.value.shape[1])
    valid = slots[None, None] < cadc.count[:, :, None]  # (B, 2, S)
    of_circuit = valid[:, cadc.circuits // COLUMNS].swapaxes(1, 2)
    return replace(cadc, time=np.where(valid, cadc.time, 0), value=np.where(of_circuit, cadc.value, 0))

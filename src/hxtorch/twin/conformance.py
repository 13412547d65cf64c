"""Whether an object is a `Chip`, and whether what it returns is the recording that a program asked for.

Whoever connects a chip of their own hears here, in one sentence each, what is missing or misshapen, and not from
some array inside of a run. `hxtorch.testing.ChipContract` goes further: it runs programs and judges the values.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin.chip import Chip, VirtualChip
from hxtorch.twin.places.coordinates import CIRCUITS, COUNTER_LIMIT, HEMISPHERES
from hxtorch.twin.program import Program, Record, Recording

EXTENDING = 'the page "Extending" (docs/extending.md)'
MADC_LIMIT = 1023  # 10 bit
_ABSENT = object()


class RecordingError(ValueError):
    """A chip returned something else than the recording that its program asked for."""


def chip_faults(chip: object) -> list[str]:
    """What `chip` lacks of the protocol `Chip`, a sentence for each fault; empty if it is a chip."""
    if isinstance(chip, type):
        return [f"{chip.__name__} is a class, not a chip: make one with {chip.__name__}(...)"]
    faults = [
        *_value_faults(chip, "identifier", str, "the name of the chip, a str"),
        *_value_faults(chip, "nominal", (bool, np.bool_), "whether the chip is the mathematical model, a bool"),
        *_run_faults(chip),
    ]
    if not faults and not chip.identifier:  # type: ignore[attr-defined]
        faults.append("`identifier` is empty, but calibrations are kept under this name")
    return faults


def check_chip(chip: object) -> Chip:
    """`chip`, if it follows the whole protocol `Chip`; else TypeError with everything that is missing."""
    faults = chip_faults(chip)
    if faults:
        raise TypeError(
            f"Expected a chip, a Die or a seed, but {type(chip).__name__} is none: {'; '.join(faults)}. A chip has "
            "an `identifier`, says whether it is `nominal`, and has a method `run(program, trial_seed=0)`; "
            f"{EXTENDING} shows one."
        )
    return chip  # type: ignore[return-value]


def _value_faults(chip: object, name: str, kind: type | tuple[type, ...], meaning: str) -> Iterator[str]:
    value = getattr(chip, name, _ABSENT)
    if value is _ABSENT:
        hidden = inspect.getattr_static(chip, name, None) is not None
        broken = ", whose property raises AttributeError" if hidden else ""
        yield f"it has no `{name}`{broken} ({meaning})"
    elif callable(value):
        yield f"`{name}` is a method, but has to be a value or a property ({meaning})"
    elif not isinstance(value, kind):
        yield f"`{name}` is {value!r} ({type(value).__name__}), but has to be {meaning}"


def _run_faults(chip: object) -> Iterator[str]:
    run = getattr(chip, "run", _ABSENT)
    if run is _ABSENT:
        yield "it has no `run`, the method that emulates a program and returns a Recording"
        return
    if not callable(run):
        yield f"`run` is {run!r} ({type(run).__name__}), but has to be a method"
        return
    if inspect.iscoroutinefunction(run):
        yield "`run` is a coroutine, but has to return the Recording itself"
    try:
        signature = inspect.signature(run)
    except (TypeError, ValueError):  # of a compiled function nothing is known
        return
    try:
        signature.bind(0, 0)
    except TypeError as error:
        yield f"`run{signature}` cannot be called as run(program, trial_seed): {error}"


def checked(recording: Recording, chip: Chip, program: Program) -> Recording:
    """What `chip` recorded of `program`, if it is what was asked for; else `RecordingError` with every fault.

    Recordings of the package's own virtual chip are not looked at.
    """
    if type(chip).run is VirtualChip.run:
        return recording
    faults = recording_faults(program, recording)
    if faults:
        raise RecordingError(
            f"{type(chip).__name__}.run returned an unusable recording: {'; '.join(faults)}. "
            f"hxtorch.testing.ChipContract tests a chip on its own, see {EXTENDING}."
        )
    return recording


def recording_faults(program: Program, recording: object) -> list[str]:
    """What is missing or misshapen in what a chip returned for `program`, a sentence for each fault.

    Looks at the shapes and types of what was asked for, at the numbers of circuits and batch entries, and at the
    order of spikes. Internal states are only looked at if there are some: no real chip can give them.
    """
    if not isinstance(recording, Recording):
        return [f"it is of type {type(recording).__name__}, not a hxtorch.twin.Recording"]
    faults: list[str] = []
    for name, asked in asked_for(program.record).items():
        part = getattr(recording, name)
        if part is None:
            if asked and name != "trace":
                faults.append(f"`{name}` is None, but Record.{name} asks for it")
        elif asked:
            try:
                faults += [f"`{name}`: {fault}" for fault in _PARTS[name](program, part)]
            except AttributeError as error:
                faults.append(f"`{name}` is of type {type(part).__name__}: {error}")
    lost = recording.lost_spikes
    if isinstance(lost, bool) or not isinstance(lost, int | np.integer) or lost < 0:
        faults.append(f"`lost_spikes` is {lost!r}, but has to be a number of spikes, 0 or more")
    return faults


def asked_for(record: Record) -> dict[str, bool]:
    """Whether a program asks for the parts of a `Recording`, by their names."""
    return {
        "spikes": record.spikes.size > 0,
        "cadc": record.cadc.size > 0,
        "madc": record.madc.size > 0,
        "trace": record.trace.size > 0,
        "loopback": record.loopback,
        "counters": record.counters,
    }


def _array(name: str, value: Any, kinds: str, shape: tuple[int | str, ...]) -> Iterator[str]:
    """Fault of an array: its type among numpy's `kinds`, its `shape` with letters for sizes that are free."""
    if not isinstance(value, np.ndarray):
        yield f"{name} is of type {type(value).__name__}, not a numpy array"
        return
    if value.dtype.kind not in kinds:
        wanted = "floating-point numbers" if kinds == "f" else "whole numbers"
        yield f"{name} is of dtype {value.dtype}, expected {wanted}"
    fits = value.ndim == len(shape) and all(
        isinstance(want, str) or have == want for have, want in zip(value.shape, shape, strict=False)
    )
    if not fits:
        text = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        yield f"{name} has shape {value.shape}, expected ({text})"


def _range(name: str, value: NDArray[Any], low: float, high: float) -> Iterator[str]:
    if value.size and not (value.min() >= low and value.max() <= high):
        yield f"{name} holds {value.min():g} to {value.max():g}, expected {low:g} to {high:g}"


def _events(program: Program, part: Any, which: str) -> Iterator[str]:
    """Faults of events with `entry`, `time` and a third number called `which`."""
    names = ("entry", "time", which)
    faults = [fault for name in names for fault in _array(name, getattr(part, name), "iu", ("n",))]
    yield from faults
    if faults:
        return
    sizes = {name: getattr(part, name).size for name in names}
    if len(set(sizes.values())) > 1:
        yield f"{', '.join(f'{name} has {size}' for name, size in sizes.items())} numbers, expected equally many"
        return
    yield from _range("entry", part.entry, 0, program.batch_size - 1)


def _sorted(entry: NDArray[np.int64], time: NDArray[np.int64]) -> bool:
    step, later = np.diff(entry), np.diff(time)
    return bool(np.all((step > 0) | ((step == 0) & (later >= 0))))


def _spike_faults(program: Program, part: Any) -> Iterator[str]:
    faults = list(_events(program, part, "circuit"))
    yield from faults
    if faults:
        return
    asked = np.zeros(CIRCUITS, dtype=np.bool_)
    asked[program.record.spikes] = True
    known = (part.circuit >= 0) & (part.circuit < CIRCUITS)
    known[known] = asked[part.circuit[known]]
    if not np.all(known):
        others = np.unique(part.circuit[~known])
        yield f"circuit names {_few(others)}, which Record.spikes does not ask for"
    if not _sorted(part.entry, part.time):
        yield "they are not sorted by batch entry and time"


def _loopback_faults(program: Program, part: Any) -> Iterator[str]:
    faults = list(_events(program, part, "source"))
    yield from faults
    if not faults:
        yield from _range("source", part.source, 0, max(program.events.addresses.size - 1, 0))


def _circuits(part: Any, asked: NDArray[np.int64]) -> Iterator[str]:
    if not np.array_equal(part.circuits, asked):
        given = _few(np.asarray(part.circuits).reshape(-1))
        yield f"circuits is {given}, expected those of the program in their order, {_few(asked)}"


def _few(numbers: NDArray[Any]) -> str:
    return f"[{', '.join(map(str, numbers[:5].tolist()))}{', ...' if numbers.size > 5 else ''}]"


def _cadc_faults(program: Program, part: Any) -> Iterator[str]:
    batch, circuits = program.batch_size, program.record.cadc
    yield from _circuits(part, circuits)
    samples = part.time.shape[-1] if np.ndim(part.time) else 0
    faults = [
        *_array("time", part.time, "f", (batch, HEMISPHERES, "S")),
        *_array("count", part.count, "iu", (batch, HEMISPHERES)),
        *_array("value", part.value, "u", (batch, samples, circuits.size)),
    ]
    yield from faults
    if not faults:
        yield from _range("count", part.count, 0, samples)
        if part.value.dtype != np.uint8:
            yield f"value is of dtype {part.value.dtype}, expected uint8"


def _madc_faults(program: Program, part: Any) -> Iterator[str]:
    circuits = program.record.madc
    yield from _circuits(part, circuits)
    samples = np.size(part.time)
    faults = [
        *_array("time", part.time, "f", ("S",)),
        *_array("value", part.value, "u", (program.batch_size, samples, circuits.size)),
    ]
    yield from faults
    if not faults:
        yield from _range("value", part.value, 0, MADC_LIMIT)


def _trace_faults(program: Program, part: Any) -> Iterator[str]:
    record = program.record
    yield from _circuits(part, record.trace)
    chosen = record.trace_entries
    entries = program.batch_size if chosen is None else chosen.size
    for name in record.trace_states:
        if name not in part.values:
            yield f"the state {name} is missing"
        else:
            yield from _array(name, part.values[name], "f", (entries, np.size(part.time), record.trace.size))


def _counter_faults(program: Program, part: Any) -> Iterator[str]:
    faults = list(_array("the array", part, "iu", (program.batch_size, CIRCUITS)))
    yield from faults
    if not faults:
        yield from _range("the array", part, 0, COUNTER_LIMIT)


_PARTS = {
    "spikes": _spike_faults,
    "cadc": _cadc_faults,
    "madc": _madc_faults,
    "trace": _trace_faults,
    "loopback": _loopback_faults,
    "counters": _counter_faults,
}

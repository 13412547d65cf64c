"""Arrays, times and attributes out of what `hxtorch.calibration.pickled` reads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxtorch.calibration.pickled import Thing, UnreadablePickleError

_KINDS = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "?"}
_UNITS = {"second": 1e6, "millisecond": 1e3, "microsecond": 1.0, "nanosecond": 1e-3}  # µs


def mapping_of(value: Any, what: str) -> dict[str, Any]:
    """Return the attributes of an object, or the items of a dictionary, by name."""
    if isinstance(value, Thing):
        state = value.state
        if isinstance(state, tuple) and len(state) == 2:  # objects with slots
            state = {**_dictionary(state[0]), **_dictionary(state[1])}
        value = state if isinstance(state, dict) else value.items
    if not isinstance(value, dict):
        raise UnreadablePickleError(f"its {what} is a {type(value).__name__}, not a set of named values")
    return {name: item for name, item in value.items() if isinstance(name, str)}


def _dictionary(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def array_of(value: Any, what: str) -> NDArray[np.float64]:
    """Return a number, a list of numbers or a numpy array as float64, copied from the bytes in the file."""
    if isinstance(value, Thing):
        return _numpy(value, what)
    if isinstance(value, list | tuple):
        if not all(isinstance(item, int | float) for item in value):
            raise UnreadablePickleError(f"its {what} holds something that is no number")
        return np.array([_number(item, what) for item in value])
    return np.array(_number(value, what))


def _number(value: Any, what: str) -> float:
    if not isinstance(value, int | float) or (isinstance(value, int) and abs(value) >= 2**63):
        raise UnreadablePickleError(f"its {what} is a {type(value).__name__}, not a number")
    return float(value)


def _numpy(thing: Thing, what: str) -> NDArray[np.float64]:
    state, name = thing.state, thing.kind.name
    if name == "scalar" and len(thing.arguments) == 2:
        return _from_bytes(thing.arguments[1], thing.arguments[0], (), what)
    if name == "_frombuffer" and len(thing.arguments) == 4:
        data, kind, shape, _ = thing.arguments
        if isinstance(data, Thing) and data.kind.name == "bytearray" and data.arguments:
            data = data.arguments[0]
        return _from_bytes(data, kind, shape, what)
    if isinstance(state, tuple) and len(state) in (5, 6):  # a quantity has its unit in sixth place
        _, shape, kind, _, data = state[:5]
        return _from_bytes(data, kind, shape, what)
    raise UnreadablePickleError(f"its {what} is a {str(thing.kind)[:80]}, not an array")


def _from_bytes(data: Any, kind: Any, shape: Any, what: str) -> NDArray[np.float64]:
    label = kind.arguments[0] if isinstance(kind, Thing) and kind.arguments else None
    order = (
        kind.state[1] if isinstance(kind, Thing) and isinstance(kind.state, tuple) and len(kind.state) > 1 else "<"
    )
    if label not in _KINDS or order not in ("<", ">", "|", "=") or not isinstance(data, bytes):
        raise UnreadablePickleError(f"its {what} is an array of something that is no number")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape) or len(shape) > 4:
        raise UnreadablePickleError(f"its {what} has no shape")
    dtype = np.dtype(label).newbyteorder(order)
    if math.prod(shape) * dtype.itemsize != len(data):
        raise UnreadablePickleError(f"its {what} has {len(data)} bytes, which do not fit the shape {shape}")
    return np.asarray(np.frombuffer(data, dtype=dtype).reshape(shape), dtype=np.float64)


def time_in_us(value: Any, what: str) -> NDArray[np.float64]:
    """Return a time in µs: with a unit as it says, a bare number below 0.001 as seconds, others as µs."""
    if isinstance(value, Thing):
        unit = _unit(value)
        if unit is not None:
            return array_of(value, what) * unit
    times = array_of(value, what)
    return np.where(times < 1e-3, times * 1e6, times)


def _unit(quantity: Thing) -> float | None:
    """Return the unit of a quantity in µs: its dimensionality has one unit, whose first argument is its name."""
    state = quantity.state
    if not isinstance(state, tuple) or len(state) != 6 or not isinstance(state[5], Thing):
        return None
    units = list(state[5].items.items())
    if len(units) != 1 or not isinstance(units[0][0], Thing) or units[0][1] != 1:
        raise UnreadablePickleError("a time in it has no single unit")
    arguments = units[0][0].arguments
    unit = arguments[0] if arguments and isinstance(arguments[0], str) else None
    if unit not in _UNITS:
        raise UnreadablePickleError("a time in it has a unit that is no time")
    return _UNITS[unit]

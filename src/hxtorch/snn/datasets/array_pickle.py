"""A reader for pickles of plain numpy arrays, as old image collections are distributed.

It takes tuples, lists, numbers and numeric arrays (protocols 2 and 3), builds arrays from the bytes in the file
with its own code, and refuses everything else. Nothing that a file names is imported or called.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hxtorch._files.pickles import Name, Rules, Thing, UnreadablePickleError, read

_RECONSTRUCT = (Name("numpy.core.multiarray", "_reconstruct"), Name("numpy._core.multiarray", "_reconstruct"))
_ARRAY, _DTYPE = Name("numpy", "ndarray"), Name("numpy", "dtype")
_ENCODE = Name("_codecs", "encode")  # how Python 3 writes bytes for Python 2, always in latin-1
_NAMES = {*_RECONSTRUCT, _ARRAY, _DTYPE, _ENCODE}
_KINDS = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"}
_DEPTH_LIMIT = 10
_RULES = Rules(lambda module, name: Name(module, name) in _NAMES, "no array needs", range(2, 4), 10_000, views=True)


class ArrayPickleError(ValueError):
    """A file is damaged, or holds something else than arrays."""


def read_arrays(data: bytes) -> Any:
    """Return what a pickle holds: an array, or tuples and lists of arrays, numbers and None.

    Arrays are read-only views of `data`. Raises `ArrayPickleError` for anything else.
    """
    try:
        return _finish(read(data, _RULES), 0, {})
    except UnreadablePickleError as error:
        raise ArrayPickleError(str(error)) from error


def _finish(value: Any, depth: int, known: dict[int, Any]) -> Any:
    """The value with arrays in place of their parts; `known`: what was made of lists and tuples, by identity."""
    if depth > _DEPTH_LIMIT:
        raise ArrayPickleError("it is nested too deeply")
    if isinstance(value, tuple | list):
        if id(value) not in known:
            known[id(value)] = type(value)(_finish(item, depth + 1, known) for item in value)
        return known[id(value)]
    if isinstance(value, Thing) and value.kind in _RECONSTRUCT and value.arguments[:1] == (_ARRAY,):
        return _array(value.state)
    if value is None or isinstance(value, int | float | str):
        return value
    raise ArrayPickleError("it holds something that is neither a number nor an array of numbers")


def _array(state: object) -> np.ndarray[Any, Any]:
    if not isinstance(state, tuple) or len(state) != 5:
        raise ArrayPickleError("an array in it has no contents")
    _, shape, dtype, column_major, data = state
    good = isinstance(shape, tuple) and len(shape) <= 8 and all(type(n) is int and n >= 0 for n in shape)
    if not good:
        raise ArrayPickleError("an array in it has no shape")
    kind, content = _kind(dtype), _bytes(data)
    if math.prod(shape) * kind.itemsize != len(content):
        raise ArrayPickleError(f"an array in it has {len(content)} bytes, which do not fit its shape {shape}")
    return np.frombuffer(content, dtype=kind).reshape(shape, order="F" if column_major else "C")


def _kind(value: object) -> np.dtype[Any]:
    """The kind of number that the parts of a dtype say."""
    if isinstance(value, Thing) and value.kind == _DTYPE and value.arguments and isinstance(value.state, tuple):
        label = _label(value.arguments[0])
        order = _label(value.state[1]) if len(value.state) > 1 else "|"
        if label in _KINDS and order in ("<", ">", "|", "="):
            return np.dtype(f"{order}{label}")
    raise ArrayPickleError("an array in it has no known type of numbers")


def _label(value: object) -> str | None:
    """A text, or the bytes that Python 2 wrote for one."""
    if isinstance(value, memoryview):
        return str(value, "latin-1")
    return value if isinstance(value, str) else None


def _bytes(value: object) -> memoryview:
    """Bytes, or the text that Python 3 wrote for them."""
    if isinstance(value, memoryview):
        return value
    arguments = value.arguments if isinstance(value, Thing) and value.kind == _ENCODE else ()
    if len(arguments) == 2 and isinstance(arguments[0], str) and arguments[1] == "latin1":
        try:
            return memoryview(arguments[0].encode("latin-1"))
        except UnicodeEncodeError:
            raise ArrayPickleError("a text in it is no text") from None
    raise ArrayPickleError("an array in it has no bytes")

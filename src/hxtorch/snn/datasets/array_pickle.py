"""A reader for pickles of plain numpy arrays, as old image collections are distributed.

A pickle is a small program. This reader interprets the few instructions with which tuples, lists and numeric
arrays are written (protocols 2 and 3), builds arrays from the bytes in the file with its own code, and
refuses everything else. Nothing that a file names is imported or called. The opcodes are those documented in
Python's `pickletools`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

_RECONSTRUCT = {"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"}
_ARRAY, _DTYPE = "numpy ndarray", "numpy dtype"
_ENCODE = "_codecs encode"  # how Python 3 writes bytes for Python 2, always in latin-1
_KINDS = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"}
_INSTRUCTION_LIMIT = 10_000
_NAME_LIMIT = 100  # bytes


class ArrayPickleError(ValueError):
    """A file is damaged, or holds something else than arrays."""


class _Name(str):
    """A function or class that the file names; never looked up."""


class _Part:
    """An array or a type of numbers whose state is still to come."""

    def __init__(self, kind: str, label: str = "") -> None:
        self.kind, self.label, self.state = kind, label, ()


class _Mark:
    """Marks a place on the stack."""


class _Machine:
    def __init__(self, data: bytes) -> None:
        self.data = memoryview(data)
        self.position = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def take(self, count: int) -> memoryview:
        part = self.data[self.position : self.position + count]
        if len(part) < count:
            raise ArrayPickleError("it ends in the middle of a value")
        self.position += count
        return part

    def number(self, layout: str) -> int:
        return int(struct.unpack(layout, self.take(struct.calcsize(layout)))[0])

    def line(self) -> str:
        window = bytes(self.data[self.position : self.position + _NAME_LIMIT])
        end = window.find(b"\n")
        if end < 0:
            raise ArrayPickleError("a name in it does not end")
        self.position += end + 1
        return window[:end].decode("latin-1")

    def pop(self) -> Any:
        if not self.stack or isinstance(self.stack[-1], _Mark):
            raise ArrayPickleError("its instructions do not fit together")
        return self.stack.pop()

    def since_mark(self) -> list[Any]:
        places = [place for place, item in enumerate(self.stack) if isinstance(item, _Mark)]
        if not places:
            raise ArrayPickleError("its instructions do not fit together")
        items = self.stack[places[-1] + 1 :]
        del self.stack[places[-1] :]
        return items

    def last(self, count: int) -> tuple[Any, ...]:
        return tuple([self.pop() for _ in range(count)][::-1])

    def name(self) -> _Name:
        name = _Name(f"{self.line()} {self.line()}")
        if name not in _RECONSTRUCT | {_ARRAY, _DTYPE, _ENCODE}:
            raise ArrayPickleError(f"it names {str(name)!r}, which arrays do not need")
        return name

    def reduce(self) -> _Part | memoryview:
        arguments, maker = self.pop(), self.pop()
        if isinstance(maker, _Name) and isinstance(arguments, tuple) and arguments:
            if maker in _RECONSTRUCT and arguments[0] == _ARRAY:
                return _Part("array")
            if maker == _ENCODE and len(arguments) == 2 and all(isinstance(item, str) for item in arguments):
                return _latin(*arguments)
            label = arguments[0]
            if isinstance(label, memoryview):
                label = bytes(label).decode("latin-1")
            if maker == _DTYPE and isinstance(label, str) and label in _KINDS:
                return _Part("dtype", label)
        raise ArrayPickleError("it holds an object that is neither a number nor an array of numbers")

    def build(self) -> None:
        state, part = self.pop(), self.pop()
        if not isinstance(part, _Part) or not isinstance(state, tuple):
            raise ArrayPickleError("it gives a state to something that is no array")
        part.state = state
        self.stack.append(part)

    def recall(self, index: int) -> Any:
        if index not in self.memo:
            raise ArrayPickleError("it refers to a value that it does not hold")
        return self.memo[index]


def _latin(text: str, encoding: str) -> memoryview:
    if encoding != "latin1":
        raise ArrayPickleError(f"it has bytes in the encoding {encoding[:20]!r}, not latin1")
    try:
        return memoryview(text.encode("latin-1"))
    except UnicodeEncodeError:
        raise ArrayPickleError("a text in it is no text") from None


def _put(layout: str) -> Callable[[_Machine], None]:
    def run(m: _Machine) -> None:
        value = m.pop()
        m.memo[m.number(layout)] = value
        m.stack.append(value)

    return run


_PUSH: dict[int, Callable[[_Machine], Any]] = {
    ord("("): lambda m: _Mark(),
    ord("N"): lambda m: None,
    0x88: lambda m: True,
    0x89: lambda m: False,
    ord("K"): lambda m: m.number("<B"),
    ord("M"): lambda m: m.number("<H"),
    ord("J"): lambda m: m.number("<i"),
    ord("U"): lambda m: m.take(m.number("<B")),
    ord("T"): lambda m: m.take(m.number("<i")),
    ord("C"): lambda m: m.take(m.number("<B")),
    ord("B"): lambda m: m.take(m.number("<I")),
    ord("X"): lambda m: bytes(m.take(m.number("<I"))).decode("utf-8"),
    ord(")"): lambda m: (),
    ord("]"): lambda m: [],
    ord("t"): lambda m: tuple(m.since_mark()),
    0x85: lambda m: m.last(1),
    0x86: lambda m: m.last(2),
    0x87: lambda m: m.last(3),
    ord("c"): lambda m: m.name(),
    ord("R"): lambda m: m.reduce(),
    ord("h"): lambda m: m.recall(m.number("<B")),
    ord("j"): lambda m: m.recall(m.number("<I")),
}


def _append(m: _Machine, items: list[Any]) -> None:
    target = m.pop()
    if not isinstance(target, list):
        raise ArrayPickleError("it appends to something that is no list")
    target.extend(items)
    m.stack.append(target)


_ACT: dict[int, Callable[[_Machine], Any]] = {
    0x80: lambda m: m.number("<B"),  # protocol
    ord("q"): _put("<B"),
    ord("r"): _put("<I"),
    ord("b"): lambda m: m.build(),
    ord("a"): lambda m: _append(m, [m.pop()]),
    ord("e"): lambda m: _append(m, m.since_mark()),
}


def read_arrays(data: bytes) -> Any:
    """Return what a pickle holds: an array, or tuples and lists of arrays, numbers and None.

    Arrays are read-only views of `data`. Raises `ArrayPickleError` for anything else.
    """
    machine = _Machine(data)
    for _ in range(_INSTRUCTION_LIMIT):
        code = machine.take(1)[0]
        if code == ord("."):
            value = machine.pop()
            if machine.stack:
                break
            return _finish(value, 0)
        if code in _PUSH:
            try:
                machine.stack.append(_PUSH[code](machine))
            except UnicodeDecodeError:
                raise ArrayPickleError("a text in it is no text") from None
        elif code in _ACT:
            _ACT[code](machine)
        else:
            raise ArrayPickleError(f"it has an instruction (0x{code:02x}) that arrays do not need")
    raise ArrayPickleError("its instructions do not fit together")


def _finish(value: Any, depth: int) -> Any:
    if depth > 10:
        raise ArrayPickleError("it is nested too deeply")
    if isinstance(value, tuple | list):
        return type(value)(_finish(item, depth + 1) for item in value)
    if isinstance(value, _Part) and value.kind == "array":
        return _array(value.state)
    if value is None or (isinstance(value, int | float | str) and not isinstance(value, _Name)):
        return value
    raise ArrayPickleError("it holds something that is neither a number nor an array of numbers")


def _array(state: tuple[Any, ...]) -> np.ndarray[Any, Any]:
    if len(state) != 5:
        raise ArrayPickleError("an array in it has no contents")
    _, shape, dtype, column_major, data = state
    good = isinstance(shape, tuple) and len(shape) <= 8 and all(type(n) is int and n >= 0 for n in shape)
    if not good or not isinstance(data, memoryview) or not isinstance(dtype, _Part) or dtype.kind != "dtype":
        raise ArrayPickleError("an array in it has no shape, no type or no bytes")
    order = dtype.state[1] if len(dtype.state) > 1 else "|"
    if isinstance(order, memoryview):
        order = bytes(order).decode("latin-1")
    if order not in ("<", ">", "|", "="):
        raise ArrayPickleError("an array in it has an unknown byte order")
    kind: np.dtype[Any] = np.dtype(dtype.label).newbyteorder(order)  # type: ignore[arg-type]  # checked above
    if math.prod(shape) * kind.itemsize != len(data):
        raise ArrayPickleError(f"an array in it has {len(data)} bytes, which do not fit its shape {shape}")
    return np.frombuffer(data, dtype=kind).reshape(shape, order="F" if column_major else "C")

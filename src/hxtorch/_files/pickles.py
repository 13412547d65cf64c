"""A reader for pickles that can only build plain data.

A pickle is a small program for a stack machine. This one interprets the part of its instructions that data needs,
with its own loop: classes and functions that a file names stay names (`Name`), objects stay the parts they would
be made of (`Thing`), and nothing is ever imported or called. Who reads says which names may occur at all
(`Rules`), and makes values of the things. The opcodes are those documented in Python's `pickletools`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class UnreadablePickleError(ValueError):
    """A pickle is damaged, or holds something that plain data does not need."""


@dataclass(frozen=True)
class Rules:
    """What may occur in a pickle, besides plain values, lists, tuples and dictionaries.

    `allows(module, name)`: whether a class or function may be named; `refusal`: what messages say of others, after
    "which". `protocols` and `most_instructions` bound the file. With `views`, bytes stay views of the content.
    """

    allows: Callable[[str, str], bool]
    refusal: str
    protocols: range
    most_instructions: int
    views: bool = False


@dataclass(frozen=True)
class Name:
    """A class or function that a file names; only the name."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Thing:
    """The parts of an object: its class or maker, arguments, state, and items that were put into it."""

    kind: Name
    arguments: tuple[Any, ...]
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)
    appended: list[Any] = field(default_factory=list)


class _Mark:
    """Marks a place on the stack."""


_MARK = _Mark()


class _Machine:
    """The stack machine; the content bounds everything that it can build."""

    def __init__(self, content: bytes, rules: Rules) -> None:
        self.content = memoryview(content)
        self.rules = rules
        self.position = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def take(self, count: int) -> memoryview:
        if not 0 <= count <= len(self.content) - self.position:
            raise UnreadablePickleError("it ends in the middle of a value")
        part = self.content[self.position : self.position + count]
        self.position += count
        return part

    def number(self, layout: str) -> int:
        return int(struct.unpack(layout, self.take(struct.calcsize(layout)))[0])

    def bytes(self, layout: str) -> bytes | memoryview:
        part = self.take(self.number(layout))
        return part if self.rules.views else bytes(part)

    def text(self, layout: str) -> str:
        return str(self.take(self.number(layout)), "utf-8")

    def line(self) -> str:
        window = bytes(self.content[self.position : self.position + 300])
        end = window.find(b"\n")
        if end < 0:
            raise UnreadablePickleError("a name in it does not end")
        self.position += end + 1
        return window[:end].decode("utf-8")

    def pop(self) -> Any:
        if not self.stack or isinstance(self.stack[-1], _Mark):
            raise UnreadablePickleError("its instructions do not fit together")
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack or isinstance(self.stack[-1], _Mark):
            raise UnreadablePickleError("its instructions do not fit together")
        return self.stack[-1]

    def since_mark(self) -> list[Any]:
        for i in range(len(self.stack) - 1, -1, -1):
            if isinstance(self.stack[i], _Mark):
                values = self.stack[i + 1 :]
                del self.stack[i:]
                return values
        raise UnreadablePickleError("its instructions do not fit together")

    def several(self, count: int) -> None:
        values = [self.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(values)))

    def name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise UnreadablePickleError("it names something that is no name")
        if not self.rules.allows(module, name):
            named = f"{module}.{name}"[:80]
            raise UnreadablePickleError(f"it names {named!r}, which {self.rules.refusal}")
        self.stack.append(Name(module, name))

    def make(self, maker: Any, arguments: Any) -> None:
        if not isinstance(maker, Name) or not isinstance(arguments, tuple):
            raise UnreadablePickleError("it builds an object from something that is no class")
        if maker.name == "_reconstructor" and arguments and isinstance(arguments[0], Name):
            maker, arguments = arguments[0], ()
        self.stack.append(Thing(maker, arguments))

    def build(self, state: Any) -> None:
        thing = self.top()
        if not isinstance(thing, Thing):
            raise UnreadablePickleError("it gives a state to something that is no object")
        thing.state = state

    def set_items(self, values: list[Any]) -> None:
        target = self.top()
        if isinstance(target, Thing):
            target = target.items
        if not isinstance(target, dict) or len(values) % 2:
            raise UnreadablePickleError("it sets items of something that has none")
        for key, value in zip(values[::2], values[1::2], strict=True):
            # nothing whose hash could be made slow or deep
            if not (isinstance(key, str | bytes | bool | Name | Thing) or (type(key) is int and abs(key) < 2**32)):
                raise UnreadablePickleError(f"it has a {type(key).__name__} as the key of an item")
            target[key] = value

    def append(self, values: list[Any]) -> None:
        target = self.top()
        if isinstance(target, Thing):
            target = target.appended
        if not isinstance(target, list):
            raise UnreadablePickleError("it appends to something that is no list")
        target.extend(values)

    def remember(self, index: int) -> None:
        self.memo[index] = self.top()

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise UnreadablePickleError("it refers to a value that it does not hold")
        self.stack.append(self.memo[index])


def _push(value: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    return lambda m: m.stack.append(value(m))


def _new_ex(m: _Machine) -> None:
    m.pop()
    arguments = m.pop()
    m.make(m.pop(), arguments)


def _pair(act: Callable[[_Machine, Any, Any], None]) -> Callable[[_Machine], None]:
    def run(m: _Machine) -> None:
        second = m.pop()
        act(m, m.pop(), second)

    return run


def _set_item(m: _Machine) -> None:
    value, key = m.pop(), m.pop()
    m.set_items([key, value])


_OPCODES: dict[int, Callable[[_Machine], None]] = {
    0x80: lambda m: _protocol(m, m.number("<B")),
    0x95: lambda m: _frame(m),
    ord("("): lambda m: m.stack.append(_MARK),
    ord("0"): lambda m: _drop(m),
    ord("1"): lambda m: _drop_to_mark(m),
    ord("N"): _push(lambda m: None),
    0x88: _push(lambda m: True),
    0x89: _push(lambda m: False),
    ord("K"): _push(lambda m: m.number("<B")),
    ord("M"): _push(lambda m: m.number("<H")),
    ord("J"): _push(lambda m: m.number("<i")),
    0x8A: _push(lambda m: int.from_bytes(m.take(m.number("<B")), "little", signed=True)),
    ord("G"): _push(lambda m: struct.unpack(">d", m.take(8))[0]),
    ord("C"): _push(lambda m: m.bytes("<B")),
    ord("U"): _push(lambda m: m.bytes("<B")),
    ord("T"): _push(lambda m: m.bytes("<i")),
    ord("B"): _push(lambda m: m.bytes("<I")),
    0x8E: _push(lambda m: m.bytes("<Q")),
    0x96: _push(lambda m: m.bytes("<Q")),
    0x8C: _push(lambda m: m.text("<B")),
    ord("X"): _push(lambda m: m.text("<I")),
    0x8D: _push(lambda m: m.text("<Q")),
    ord(")"): _push(lambda m: ()),
    ord("]"): _push(lambda m: []),
    ord("}"): _push(lambda m: {}),
    ord("t"): _push(lambda m: tuple(m.since_mark())),
    0x85: lambda m: m.several(1),
    0x86: lambda m: m.several(2),
    0x87: lambda m: m.several(3),
    ord("l"): _push(lambda m: m.since_mark()),
    ord("a"): lambda m: m.append([m.pop()]),
    ord("e"): lambda m: m.append(m.since_mark()),
    ord("s"): _set_item,
    ord("u"): lambda m: m.set_items(m.since_mark()),
    ord("c"): lambda m: m.name(m.line(), m.line()),
    0x93: _pair(_Machine.name),
    ord("R"): _pair(_Machine.make),
    0x81: _pair(_Machine.make),
    0x92: _new_ex,
    ord("b"): lambda m: m.build(m.pop()),
    ord("q"): lambda m: m.remember(m.number("<B")),
    ord("r"): lambda m: m.remember(m.number("<I")),
    0x94: lambda m: m.remember(len(m.memo)),
    ord("h"): lambda m: m.recall(m.number("<B")),
    ord("j"): lambda m: m.recall(m.number("<I")),
}
_STOP = ord(".")


def _protocol(m: _Machine, version: int) -> None:
    known = m.rules.protocols
    if version not in known:
        raise UnreadablePickleError(f"it has pickle protocol {version}; {known[0]} to {known[-1]} are known")


def _frame(m: _Machine) -> None:
    if m.number("<Q") > len(m.content) - m.position:
        raise UnreadablePickleError("it is shorter than it claims")


def _drop(m: _Machine) -> None:
    m.pop()


def _drop_to_mark(m: _Machine) -> None:
    m.since_mark()


def read(content: bytes, rules: Rules) -> Any:
    """Return the value of a pickle, made of plain values, lists, dictionaries, tuples, `Name` and `Thing`.

    Raises `UnreadablePickleError` for anything else: damage, names that the rules do not allow, instructions that
    plain data does not need, more instructions than the rules allow.
    """
    machine = _Machine(content, rules)
    for _ in range(rules.most_instructions):
        code = machine.take(1)[0]
        if code == _STOP:
            value = machine.pop()
            if machine.stack:
                raise UnreadablePickleError("its instructions do not fit together")
            return value
        act = _OPCODES.get(code)
        if act is None:
            raise UnreadablePickleError(f"it has an instruction (0x{code:02x}) that plain data does not need")
        try:
            act(machine)
        except UnicodeDecodeError:
            raise UnreadablePickleError("a text in it is no text") from None
    raise UnreadablePickleError(f"it has more than {rules.most_instructions} instructions")

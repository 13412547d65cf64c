"""Follows a marked value through a run: which functions are handed it, in which files, in which order.

A profiler looks at the arguments of every call into the package. `self` does not count: a value is handed on when
it is given to somebody, not while its holder works. A call counts if `holds(argument)` says that an argument
carries the value.
"""

import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import hxtorch

ROOT = Path(hxtorch.__file__).parent


@dataclass
class Journey:
    """Files and rooms in the order in which the value came to them.

    `entries`: for every time that the value was handed into a room from outside, the room; several in a row count
    once. A room is a folder, named by its path in the package.
    """

    calls: list[tuple[str, str, str]] = field(default_factory=list)  # file, function, argument's type
    entries: list[str] = field(default_factory=list)

    @property
    def files(self):
        return list(dict.fromkeys(file for file, _, _ in self.calls))

    @property
    def rooms(self):
        return list(dict.fromkeys(str(Path(file).parent) for file in self.files))

    @property
    def carriers(self):
        return list(dict.fromkeys(kind for _, _, kind in self.calls))


def _arguments(frame):
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount
    names = code.co_varnames[: count + bool(code.co_flags & 4) + bool(code.co_flags & 8)]
    return [
        (name, frame.f_locals[name]) for name in names if name not in ("self", "cls") and name in frame.f_locals
    ]


@contextmanager
def following(holds):
    """Record a `Journey` while the block runs; `holds` tells whether an argument carries the value."""
    journey = Journey()
    running: dict[str, int] = {}

    def watch(frame, event, _):
        if event not in ("call", "return"):
            return
        name = frame.f_code.co_filename
        if not name.startswith(str(ROOT)):
            return
        file = str(Path(name).relative_to(ROOT))
        room = str(Path(file).parent)
        if event == "return":
            running[room] = running.get(room, 1) - 1
            return
        outside = not running.get(room)
        running[room] = running.get(room, 0) + 1
        sys.setprofile(None)
        try:
            found = next((value for _, value in _arguments(frame) if holds(value)), None)
        finally:
            sys.setprofile(watch)
        if found is None:
            return
        journey.calls.append((file, frame.f_code.co_qualname, type(found).__name__))
        if (outside or not journey.entries) and journey.entries[-1:] != [room]:
            journey.entries.append(room)

    sys.setprofile(watch)
    try:
        yield journey
    finally:
        sys.setprofile(None)

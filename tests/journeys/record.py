"""Follows a marked value through a run: who is handed it, in which files and rooms, in which order.

A profiler looks at the arguments of every call into the package. `self` does not count: a value is handed on when
it is given to somebody, not while its holder works. `carrier(argument)` says what carries the value: a name, or
None.
"""

import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import hxtorch

ROOT = Path(hxtorch.__file__).parent


@dataclass
class Journey:
    """Calls with the value in their order, and the rooms that it came into.

    `passed`: files whose functions also gave the value back, on its way to the next, not only looked at it.

    A room is a folder. Its functions call each other, and those of rooms below: it is entered when one of them is
    the first of the room to be handed the value while the room works. Entering one room several times in a row, as
    when a loop does it, counts once.
    """

    calls: list[tuple[str, str, str]] = field(default_factory=list)  # file, function, carrier
    entries: list[tuple[str, str]] = field(default_factory=list)  # room, carrier
    passed: list[str] = field(default_factory=list)

    @property
    def files(self):
        return list(dict.fromkeys(file for file, _, _ in self.calls))

    @property
    def rooms(self):
        return [room for room, _ in self.entries]

    @property
    def carriers(self):
        """What carried the value from one room to the next."""
        return list(dict.fromkeys(kind for _, kind in self.entries))

    def drawing(self):
        """One line for each room: its files in the order of the value, and what came in."""
        lines = []
        for room, kind in self.entries:
            files = [Path(file).name for file in self.files if str(Path(file).parent) == room]
            lines.append(f"{len(lines) + 1}. {room:<28}{kind:<22}{', '.join(files)}")
        return "\n".join(lines)


def _arguments(frame):
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4) + bool(code.co_flags & 8)
    values = frame.f_locals
    return [values[name] for name in code.co_varnames[:count] if name not in ("self", "cls") and name in values]


def _files_above(frame, handed):
    """Files of the callers of a frame that were handed the value, from the outermost one, and its own."""
    found = [frame]
    while frame.f_back is not None:
        frame = frame.f_back
        if id(frame) in handed:
            found.insert(0, frame)
    return [str(Path(frame.f_code.co_filename).relative_to(ROOT)) for frame in found]


@contextmanager
def following(carrier, until=None):
    """Record a `Journey` while the block runs, up to the first call of the function named `until`."""
    journey = Journey()
    working: dict[str, int] = {}  # functions of a room that are running
    counted: set[str] = set()  # rooms that were entered since they began to work
    handed: set[int] = set()  # frames of calls with the value

    def watch(frame, event, result):
        name = frame.f_code.co_filename
        if event not in ("call", "return") or not name.startswith(str(ROOT)):
            return
        file = str(Path(name).relative_to(ROOT))
        room = str(Path(file).parent)
        if event == "return":
            if id(frame) in handed:
                handed.discard(id(frame))
                if file not in journey.passed and carrier(result) is not None:
                    journey.passed.append(file)
            working[room] = working.get(room, 1) - 1
            if not working[room]:
                counted.discard(room)
            return
        working[room] = working.get(room, 0) + 1
        kind = next((kind for value in _arguments(frame) if (kind := carrier(value)) is not None), None)
        ended = frame.f_code.co_name == until
        if kind is None and not ended:
            return
        if ended:  # what is still at work has brought it here
            sys.setprofile(None)
            journey.passed += [file for file in _files_above(frame, handed) if file not in journey.passed]
        handed.add(id(frame))
        journey.calls.append((file, frame.f_code.co_qualname, kind or "the end"))
        if room not in counted:
            counted.add(room)
            if not journey.entries or journey.entries[-1][0] != room:
                journey.entries.append((room, journey.calls[-1][2]))

    sys.setprofile(watch)
    try:
        yield journey
    finally:
        sys.setprofile(None)

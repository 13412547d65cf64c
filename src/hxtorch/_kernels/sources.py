"""Which sources the machine code of a kernel comes from, and one name for their contents.

A kernel is compiled together with the kernels that it calls and the constants that it reads, which its module has
imported from others, or they from others again. The name therefore covers the module and all that it imports of
hxtorch and of its own package, imports for types included: the fields of a named tuple count as well. Nothing is
executed and no time stamp counts: the same contents have the same name in every checkout.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

_STARTED = time.time()
_REST = r"(?:[^\n\\]|\\\n)*"  # of a line, and of those that continue it
_IMPORT = re.compile(
    rf"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]*(\((?:[^)#]|#.*)*\)|{_REST})|import[ \t]+({_REST}))", re.M
)
_NAME = re.compile(r"([\w.]+)(?:\s+as\s+\w+)?")
_COMMENT = re.compile(r"#.*")


class Source(NamedTuple):
    """A file: where its package lies, its dotted name, its content, and whether it changed since the start."""

    root: Path
    name: str
    text: str
    changed: bool


def name_of_state(files: tuple[Path, ...]) -> str | None:
    """Name of the first module and of the contents that kernels in all of these files depend on, `module-hash`.

    None where a source was written after this process had started: it may have loaded what stood there before, so
    nobody knows which contents its machine code has.
    """
    found = _reachable(files)
    if any(source.changed for source in found.values()):
        return None
    state = blake2b(digest_size=8)
    for source in sorted(found.values(), key=lambda source: source.name):
        content = source.text.encode()
        state.update(f"{source.name} {len(content)}\n".encode() + content)
    return f"{found[files[0]].name}-{state.hexdigest()}"


def _reachable(files: tuple[Path, ...]) -> dict[Path, Source]:
    """The files and all that they import."""
    found: dict[Path, Source] = {}
    left = list(files)
    while left:
        place = left.pop()
        if place not in found:
            found[place] = _source(place)
            left += _imports(place)
    return found


@cache
def _source(file: Path) -> Source:
    root = file.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    name = ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    return Source(root, name, file.read_text(encoding="utf-8"), file.stat().st_ctime > _STARTED)


@cache
def _imports(file: Path) -> tuple[Path, ...]:
    """Files of hxtorch, and of the package of the file, whose names the file imports."""
    root, name, text, _ = _source(file)
    roots = {"hxtorch": Path(__file__).parents[2], name.partition(".")[0]: root}
    found = []
    for package, names in imported_names(text):
        where = roots.get(package.partition(".")[0])
        place = where and _find(where, package)
        if not where or not place:
            continue
        inside = [_find(where, f"{package}.{name}") for name in names] if place.stem == "__init__" else [None]
        found += [module or place for module in inside or [place]]
    return tuple(found)


def imported_names(text: str) -> Iterator[tuple[str, list[str]]]:
    """All imports in a source: the module, and the names from it (none for ``import module``)."""
    for package, names, modules in _IMPORT.findall(text):
        if package:
            yield package, _NAME.findall(_COMMENT.sub("", names))
        else:
            for module in _NAME.findall(_COMMENT.sub("", modules)):
                yield module, []


@cache
def _find(root: Path, name: str) -> Path | None:
    """The file of a module, by its dotted name; None for other names."""
    place = root.joinpath(*name.split("."))
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)

"""Fixed patterns as files: a zip with a JSON header and one ``.npy`` per effect. Data only, so that any is safe."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from hxtorch.twin.pattern.fixed_pattern import EFFECTS, FixedPattern, nominal_pattern

FORMAT, VERSION = "hxtorch die", 1

_HEADER = "header.json"
_LARGEST = 4 * 2**20  # bytes of a member; the synapses have 1 MB
_NAME_LIMIT = 500


_DAMAGED = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip


class DieFileError(ValueError):
    """A file is no usable die; the message names the file and the reason."""


def save_pattern(pattern: FixedPattern, path: str | Path) -> Path:
    """Write a pattern to `path`; a file that is there is replaced at once or not at all."""
    path = Path(path)
    numbers = {name: getattr(pattern, name) for name in _numbers()}
    header = {
        "format": FORMAT, "version": VERSION, "identifier": pattern.identifier, "nominal": pattern.nominal,
        "capmem_seed": pattern.capmem_seed, **numbers,
    }  # fmt: skip
    part = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(_HEADER, json.dumps(header, indent=1))
            for name in _arrays():
                buffer = io.BytesIO()
                np.save(buffer, getattr(pattern, name), allow_pickle=False)
                archive.writestr(f"{name}.npy", buffer.getvalue())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def load_pattern(path: str | Path) -> FixedPattern:
    """Read a pattern that `save_pattern` wrote. `DieFileError` for anything else; nothing is executed."""
    path = Path(path)
    if not path.is_file():
        raise DieFileError(f"{path} is no file.")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {item.filename: item.file_size for item in archive.infolist()}
            large = [name for name, size in members.items() if size > _LARGEST]
            if large:
                raise _UnfitError(f"its member {large[0]!r} is larger than {_LARGEST} bytes")
            header = _header(archive, members)
            arrays = {name: _array(archive, members, name) for name in _arrays()}
            if len(members) != 1 + len(arrays):
                raise _UnfitError("it holds members that no die has")
    except _UnfitError as error:
        raise DieFileError(f"{path} is no usable die: {error}.") from error
    except _DAMAGED as error:
        raise DieFileError(f"{path} is no usable die: it cannot be read ({error}).") from error
    return FixedPattern(**header, **arrays)


class _UnfitError(Exception):
    pass


def _numbers() -> list[str]:
    """Effects that are single numbers."""
    ideal = nominal_pattern("")
    return [name for name in EFFECTS if not np.ndim(getattr(ideal, name))]


def _arrays() -> list[str]:
    return [name for name in EFFECTS if name not in _numbers()]


def _header(archive: zipfile.ZipFile, members: dict[str, int]) -> dict[str, Any]:
    if _HEADER not in members:
        raise _UnfitError(f"it has no {_HEADER}")
    header = json.loads(archive.read(_HEADER))
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise _UnfitError("its header names another format")
    if header.get("version") != VERSION:
        raise _UnfitError(f"it has version {header.get('version')!r}, this release reads {VERSION}")
    found: dict[str, Any] = {}
    for name in _numbers():
        value = header.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not np.isfinite(value):
            raise _UnfitError(f"{name!r} in its header is no finite number")
        found[name] = float(value)
    kinds: dict[str, type] = {"identifier": str, "nominal": bool, "capmem_seed": int}
    for name, kind in kinds.items():
        value = header.get(name)
        if type(value) is not kind or (isinstance(value, str) and not 0 < len(value) <= _NAME_LIMIT):
            raise _UnfitError(f"{name!r} in its header is no {kind.__name__}")
        found[name] = value
    return found


def _array(archive: zipfile.ZipFile, members: dict[str, int], name: str) -> Any:
    if f"{name}.npy" not in members:
        raise _UnfitError(f"its array {name!r} is missing")
    wanted = getattr(nominal_pattern(""), name)
    array = np.load(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False)
    if not isinstance(array, np.ndarray) or array.dtype != wanted.dtype or array.shape != wanted.shape:
        raise _UnfitError(f"its array {name!r} is no {wanted.dtype} of shape {wanted.shape}")
    if not np.all(np.isfinite(array)):
        raise _UnfitError(f"its array {name!r} holds values that are not finite")
    return array

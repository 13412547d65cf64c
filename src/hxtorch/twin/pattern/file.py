"""Fixed patterns as files: a zip with a JSON header and one ``.npy`` per effect. Data only, so that any is safe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxtorch._files.formats import Format, UnfitFileError
from hxtorch._files.whole import write_whole
from hxtorch.twin.pattern.fixed_pattern import EFFECTS, FixedPattern, nominal_pattern

FORMAT, VERSION = "hxtorch die", 1

_LARGEST = 4 * 2**20  # bytes of a member; the synapses have 1 MB
_FORMAT = Format(FORMAT, "die", VERSION, largest_header=_LARGEST, largest_array=_LARGEST)
_NAME_LIMIT = 500


class DieFileError(ValueError):
    """A file is no usable die; the message names the file and the reason."""


def save_pattern(pattern: FixedPattern, path: str | Path) -> Path:
    """Write a pattern to `path`; a file that is there is replaced at once or not at all."""
    return write_whole(path, dumps(pattern))


def load_pattern(path: str | Path) -> FixedPattern:
    """Read a pattern that `save_pattern` wrote. `DieFileError` for anything else; nothing is executed."""
    path = Path(path)
    if not path.is_file():
        raise DieFileError(f"{path} is no file.")
    try:
        return loads(path.read_bytes())
    except (UnfitFileError, OSError) as error:
        raise DieFileError(_FORMAT.unusable(path, error)) from error


def dumps(pattern: FixedPattern) -> bytes:
    """The content of the file of a pattern; equal patterns give equal contents."""
    header: dict[str, Any] = {name: getattr(pattern, name) for name in ("identifier", "nominal", "capmem_seed")}
    header |= {name: getattr(pattern, name) for name in _numbers()}
    return _FORMAT.dumps(header, {name: getattr(pattern, name) for name in _arrays()})


def loads(content: bytes) -> FixedPattern:
    """The pattern of a content that `dumps` made. Raises `UnfitFileError`."""
    header, arrays = _FORMAT.loads(content)
    values: dict[str, Any] = _header(header) | arrays
    for name in _arrays():
        _check(name, arrays)
    if len(arrays) != len(_arrays()):
        raise UnfitFileError("it holds members that no die has")
    return FixedPattern(**values)


def _numbers() -> list[str]:
    """Effects that are single numbers."""
    ideal = nominal_pattern("")
    return [name for name in EFFECTS if not np.ndim(getattr(ideal, name))]


def _arrays() -> list[str]:
    return [name for name in EFFECTS if name not in _numbers()]


def _header(header: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in _numbers():
        value = header.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not np.isfinite(value):
            raise UnfitFileError(f"{name!r} in its header is no finite number")
        found[name] = float(value)
    kinds: dict[str, type] = {"identifier": str, "nominal": bool, "capmem_seed": int}
    for name, kind in kinds.items():
        value = header.get(name)
        if type(value) is not kind or (isinstance(value, str) and not 0 < len(value) <= _NAME_LIMIT):
            raise UnfitFileError(f"{name!r} in its header is no {kind.__name__}")
        found[name] = value
    return found


def _check(name: str, arrays: dict[str, NDArray[Any]]) -> None:
    if name not in arrays:
        raise UnfitFileError(f"its array {name!r} is missing")
    wanted, array = getattr(nominal_pattern(""), name), arrays[name]
    if array.dtype != wanted.dtype or array.shape != wanted.shape:
        raise UnfitFileError(f"its array {name!r} is no {wanted.dtype} of shape {wanted.shape}")
    if not np.all(np.isfinite(array)):
        raise UnfitFileError(f"its array {name!r} holds values that are not finite")

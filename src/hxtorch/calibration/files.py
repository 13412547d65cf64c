"""Calibration files: data, never code.

A file is a zip archive, whatever its extension: ``header.json`` with plain values, and one ``.npy`` member
per array. Everything is checked against what a calibration can be before it becomes a `CalibrationResult`.
Results of the vendor's tool are read, too (`hxtorch.calibration.vendor`).
"""

from __future__ import annotations

import stat
import warnings
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxtorch._files.formats import Format, UnfitFileError, names_in
from hxtorch._files.whole import write_whole
from hxtorch.calibration.errors import CalibrationError
from hxtorch.calibration.kinds import kind_of
from hxtorch.calibration.options import CalibrationOptions
from hxtorch.calibration.pickled import UnreadablePickleError
from hxtorch.calibration.result import CalibrationResult, Drivers
from hxtorch.calibration.targets import OPTIONAL, RANGES, CalibrationTarget
from hxtorch.calibration.vendor import VENDOR_MEMBERS, read_vendor_members, read_vendor_pickle
from hxtorch.twin import CommonConfig, ConfigError, NeuronConfig, PlasticityConfig
from hxtorch.twin.places.coordinates import CIRCUITS, DRIVERS, HEMISPHERES, QUADRANTS

FORMAT = "hxtorch calibration"
FORMAT_VERSION = 3
OLDEST_VERSION = 2  # that can be read; it knew fewer targets, and no drivers

_FORMAT = Format(
    FORMAT,
    "calibration",
    FORMAT_VERSION,
    OLDEST_VERSION,
    "format_version",
    of_array="register",
    largest_header=65_536,
    largest_array=128 + CIRCUITS * 8 + 128,  # 512 float64 with a generous header
    most_members=300,
)
_FILE_LIMIT = 4 * 1024 * 1024  # bytes
_VENDOR_ARCHIVE = replace(_FORMAT, largest_array=_FILE_LIMIT)
MAX_OFFSET = 15  # of a driver, 4 bit
_FLOAT, _BOOL = np.dtype(np.float64), np.dtype(np.bool_)
_KINDS = (_FLOAT, _BOOL, np.dtype(np.int64))
_COMMON_ARRAYS: dict[str, tuple[np.dtype[Any], int]] = {
    "synapse_dac_bias": (_FLOAT, QUADRANTS),
    "cadc_ramp_offset": (_FLOAT, QUADRANTS),
    "cadc_ramp_slope": (_FLOAT, QUADRANTS),
    "cadc_offset": (np.dtype(np.int64), CIRCUITS),
}
_ADVICE = "Calibrate again (hxtorch calibrate -o FILE), or load another file."
_UnfitError = UnfitFileError


# --- Writing ------------------------------------------------------------------------------------------------


def save(result: CalibrationResult, path: str | Path) -> None:
    """Write `result` to `path`, all of it or nothing: it is written next to `path` and renamed.

    Raises `CalibrationError` if the folder cannot be written.
    """
    path = Path(path)
    try:
        write_whole(path, dumps(result))
    except OSError as error:
        raise CalibrationError(
            f"The calibration cannot be saved as {path}: {error.strerror or error}. Choose another folder."
        ) from error


def dumps(result: CalibrationResult) -> bytes:
    """The content of a calibration file; equal results give equal contents."""
    arrays: dict[str, NDArray[Any]] = {}
    target: dict[str, float | None] = {}
    for item in fields(CalibrationTarget):
        value = getattr(result.target, item.name)
        if isinstance(value, np.ndarray):
            arrays[f"target/{item.name}"] = value
        if value is not None:
            target[item.name] = None if isinstance(value, np.ndarray) else value
    arrays |= {f"neurons/{item.name}": getattr(result.neurons, item.name) for item in fields(NeuronConfig)}
    arrays |= {f"common/{name}": getattr(result.common, name) for name in _COMMON_ARRAYS}
    arrays |= {f"success/{name}": value for name, value in result.success.items()}
    arrays |= {f"residuals/{name}": value for name, value in result.residuals.items()}
    arrays |= {f"before/{name}": value for name, value in result.before.items()}
    if result.drivers.after.size:
        arrays["drivers/offset"] = result.drivers.plasticity.offset.astype(np.int64).reshape(-1)
        arrays |= {f"drivers/{name}": getattr(result.drivers, name) for name in ("before", "after")}
    header = {
        "calibration_version": result.version,
        "chip_identifier": result.chip_identifier,
        "date": result.date,
        "target": target,
        "options": asdict(result.options),
        "refractory_clock_scale": list(result.common.refractory_clock_scale),
    }
    return _FORMAT.dumps(header, arrays)


# --- Reading ------------------------------------------------------------------------------------------------


def load(path: str | Path) -> CalibrationResult:
    """Read a calibration file, whatever its extension.

    Raises `CalibrationError`, with the name of the file and the reason, if it is missing, damaged, of another
    format or version, or holds values that no chip can take. Nothing in a file is ever executed.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # opening a pipe would wait for a writer
            kind = "is a folder" if stat.S_ISDIR(mode) else "is no regular file"
            raise CalibrationError(f"The calibration file {path} cannot be read: it {kind}. Name a file.")
        with path.open("rb") as file:
            content = file.read(_FILE_LIMIT + 1)
    except FileNotFoundError:
        raise CalibrationError(
            f"There is no calibration file {path}. Make one with hxtorch calibrate -o FILE, or name another one."
        ) from None
    except CalibrationError:  # a ValueError itself
        raise
    except (OSError, ValueError) as error:
        raise CalibrationError(f"The calibration file {path} cannot be read: {error}.") from error
    return load_bytes(content, path.stem, str(path))


def load_bytes(content: bytes, name: str = "unknown", path: str = "The content") -> CalibrationResult:
    """Read the content of a calibration file; `name` becomes part of a chip's name where the file has none.

    Raises `CalibrationError` as `load` does; it calls the content `path`.
    """
    try:
        return _unpack(content, name)
    except (_UnfitError, UnreadablePickleError, ConfigError, CalibrationError) as error:
        raise CalibrationError(f"{_FORMAT.unusable(path, error)} {_ADVICE}") from error


loads = load_bytes


def _unpack(content: bytes, name: str = "unknown") -> CalibrationResult:
    if len(content) > _FILE_LIMIT:
        raise _UnfitError(f"it is larger than {_FILE_LIMIT // 2**20} MiB.")
    if content[:1] == b"\x80":
        try:
            return read_vendor_pickle(content).result(f"vendor:{name}")
        except UnreadablePickleError as error:
            raise _UnfitError(f"as a pickle, {error}. Nothing in it was run.") from error
    if not content.startswith(b"PK"):
        raise _UnfitError(f"it is {kind_of(content)}; calibrations are zip archives or pickles of calix.")
    if names_in(content) == VENDOR_MEMBERS:
        members = _VENDOR_ARCHIVE.members(content)
        vendor = read_vendor_members({n.removesuffix(".npy"): data for n, data in members.items()})
        return vendor.result(f"vendor:{name}")
    header, arrays = _FORMAT.loads(content)
    for array_name, array in arrays.items():
        if array.ndim != 1 or array.dtype not in _KINDS:
            raise _UnfitError(f"its array {array_name!r} is {array.dtype}{array.shape}, which no register is")
    return _result(header, arrays)


# --- From checked parts to a result -------------------------------------------------------------------------


def _take(
    arrays: dict[str, NDArray[Any]],
    name: str,
    kind: np.dtype[Any],
    size: int = CIRCUITS,
    *,
    finite: bool = True,
    gaps: bool = False,
) -> NDArray[Any]:
    """Remove an array from `arrays` after checking its shape, type and that it is finite, but for NaN as `gaps`."""
    if name not in arrays:
        raise _UnfitError(f"its array {name!r} is missing.")
    array = arrays.pop(name)
    if array.shape != (size,) or array.dtype != kind:
        raise _UnfitError(f"its array {name!r} is {array.dtype}{array.shape}, expected {kind}({size},).")
    if not gaps and (np.any(np.isnan(array)) or (finite and not np.all(np.isfinite(array)))):
        raise _UnfitError(f"its array {name!r} holds values that are not finite.")
    return array


def _group(arrays: dict[str, NDArray[Any]], group: str, kind: np.dtype[Any]) -> dict[str, NDArray[Any]]:
    """Remove all arrays of a group, by the name of their quantity."""
    names = [name.removeprefix(f"{group}/") for name in arrays if name.startswith(f"{group}/")]
    return {name: _take(arrays, f"{group}/{name}", kind, finite=False) for name in names}


def _options(header: dict[str, Any]) -> CalibrationOptions:
    given = header.get("options")
    known = {item.name for item in fields(CalibrationOptions)}
    if isinstance(given, dict) and header["format_version"] == OLDEST_VERSION:
        given = {"drivers": False, **given}
    if not isinstance(given, dict) or set(given) != known:
        raise _UnfitError("its header has no complete options.")
    return CalibrationOptions(**given)


def _text(header: dict[str, Any], name: str) -> str:
    value = header.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 1000:
        raise _UnfitError(f"its header has no {name}.")
    return value


def _result(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> CalibrationResult:
    version = header.get("calibration_version")
    if type(version) is not int or version < 1:
        raise _UnfitError("its header has no calibration_version.")
    scales = header.get("refractory_clock_scale")
    if not isinstance(scales, list) or [type(s) for s in scales] != [int, int] or not set(scales) <= set(range(16)):
        raise _UnfitError("its header has no refractory_clock_scale of two numbers 0..15.")
    target = _target(header, arrays)
    defaults = NeuronConfig()
    registers = {
        item.name: _take(arrays, f"neurons/{item.name}", getattr(defaults, item.name).dtype)
        for item in fields(NeuronConfig)
    }
    common: dict[str, Any] = {name: _take(arrays, f"common/{name}", *kind) for name, kind in _COMMON_ARRAYS.items()}
    success = _group(arrays, "success", _BOOL)
    residuals, before = _group(arrays, "residuals", _FLOAT), _group(arrays, "before", _FLOAT)
    drivers = _drivers(arrays)
    if arrays:
        raise _UnfitError(f"it holds unknown arrays, for example {next(iter(arrays))!r}.")
    return CalibrationResult(
        target=target,
        chip_identifier=_text(header, "chip_identifier"),
        neurons=NeuronConfig(**registers),
        common=CommonConfig(**common, refractory_clock_scale=(scales[0], scales[1])),
        success=success,
        residuals=residuals,
        date=_text(header, "date"),
        version=version,
        options=_options(header),
        before=before,
        drivers=drivers,
    )


def _drivers(arrays: dict[str, NDArray[Any]]) -> Drivers:
    if not any(name.startswith("drivers/") for name in arrays):
        return Drivers()
    number = HEMISPHERES * DRIVERS
    offset = _take(arrays, "drivers/offset", np.dtype(np.int64), number)
    if not np.all((offset >= 0) & (offset <= MAX_OFFSET)):
        raise _UnfitError(f"its array 'drivers/offset' holds values beyond 0..{MAX_OFFSET}.")
    before, after = (_take(arrays, f"drivers/{name}", _FLOAT, number, finite=False) for name in ("before", "after"))
    registers = PlasticityConfig(offset=offset.reshape(HEMISPHERES, DRIVERS).astype(np.uint8))
    return Drivers(registers, before, after)


def _target(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> CalibrationTarget:
    values = header.get("target")
    new = set() if header["format_version"] == FORMAT_VERSION else {"holdoff_time"}
    if not isinstance(values, dict) or not set(RANGES) - OPTIONAL - new <= set(values) <= set(RANGES):
        raise _UnfitError("its header has no complete target.")
    for name, value in values.items():
        if value is None:
            values[name] = _take(arrays, f"target/{name}", _FLOAT, gaps=name in OPTIONAL)
        elif type(value) not in (int, float):
            raise _UnfitError(f"the target {name} in its header is no number.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unusual targets were warned of when they were made
        return CalibrationTarget(**values)

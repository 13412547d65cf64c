"""Calibration files: data, never code.

A file is a zip archive, whatever its extension: ``header.json`` with plain values, and one ``.npy`` member
per array. Everything is checked against what a calibration can be before it becomes a `CalibrationResult`.
Results of the vendor's tool are read, too (`hxtorch.calibration.vendor`).
"""

from __future__ import annotations

import io
import json
import os
import stat
import struct
import tempfile
import tokenize
import warnings
import zipfile
import zlib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

_HEADER = "header.json"
_HEADER_LIMIT = 65_536  # bytes
_ARRAY_LIMIT = 128 + CIRCUITS * 8 + 128  # bytes: an array of 512 float64 with a generous .npy header
_MEMBER_LIMIT = 300
_FILE_LIMIT = 4 * 1024 * 1024  # bytes
_TIME = (1980, 1, 1, 0, 0, 0)  # of every member: equal results give equal files
MAX_OFFSET = 15  # of a driver, 4 bit
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_FLOAT, _BOOL = np.dtype(np.float64), np.dtype(np.bool_)
_KINDS = (_FLOAT, _BOOL, np.dtype(np.int64))
_COMMON_ARRAYS: dict[str, tuple[np.dtype[Any], int]] = {
    "synapse_dac_bias": (_FLOAT, QUADRANTS),
    "cadc_ramp_offset": (_FLOAT, QUADRANTS),
    "cadc_ramp_slope": (_FLOAT, QUADRANTS),
    "cadc_offset": (np.dtype(np.int64), CIRCUITS),
}

# what zipfile raises for archives that are not as they should be
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, NotImplementedError, RuntimeError,
    ValueError, OverflowError,
)  # fmt: skip
# what numpy raises for headers of arrays that are not as they should be
_MALFORMED = (
    ValueError, TypeError, KeyError, SyntaxError, MemoryError, OverflowError, RecursionError,
    tokenize.TokenError,
)  # fmt: skip


_ADVICE = "Calibrate again (hxtorch calibrate -o FILE), or load another file."


class _UnfitError(ValueError):
    """Why a file is no calibration; `load` adds the name of the file, and what to do."""


# --- Writing ------------------------------------------------------------------------------------------------


def save(result: CalibrationResult, path: str | Path) -> None:
    """Write `result` to `path`, all of it or nothing: it is written next to `path` and renamed.

    Raises `CalibrationError` if the folder cannot be written.
    """
    path = Path(path)
    content = _pack(result)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CalibrationError(
            f"The calibration cannot be saved as {path}: {error.strerror or error}. Choose another folder."
        ) from error


def _pack(result: CalibrationResult) -> bytes:
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
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "calibration_version": result.version,
        "chip_identifier": result.chip_identifier,
        "date": result.date,
        "target": target,
        "options": asdict(result.options),
        "refractory_clock_scale": list(result.common.refractory_clock_scale),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_member(_HEADER), json.dumps(header, indent=1))
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(_member(f"{name}.npy"), member.getvalue())
    return buffer.getvalue()


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _TIME)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


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
        told = str(error) if str(error).endswith(".") else f"{error}."
        raise CalibrationError(f"{path} is no usable calibration file: {told} {_ADVICE}") from error


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
    members = _unzip(content)
    if set(members) == VENDOR_MEMBERS:
        vendor = read_vendor_members({n.removesuffix(".npy"): data for n, data in members.items()})
        return vendor.result(f"vendor:{name}")
    return _result(_header(members), _arrays(members))


def _unzip(content: bytes) -> dict[str, bytes]:
    """Members of an archive by name, none larger than what has its name may be."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            if len(names) > _MEMBER_LIMIT or len(set(names)) != len(names):
                raise _UnfitError("it holds too many or repeated members.")
            if set(names) == VENDOR_MEMBERS:
                return {info.filename: _read(archive, info, _FILE_LIMIT) for info in archive.infolist()}
            if _HEADER not in names:
                raise _UnfitError(f"it is a zip archive without a calibration: {_HEADER} is missing.")
            limits = {_HEADER: _HEADER_LIMIT}
            return {
                info.filename: _read(archive, info, limits.get(info.filename, _ARRAY_LIMIT))
                for info in archive.infolist()
            }
    except _UnfitError:
        raise
    except _DAMAGE as error:
        # a missing directory at the end of the archive is what half a download looks like
        cut = " It may have been cut short." if "not a zip file" in str(error) else ""
        raise _UnfitError(f"the archive is damaged ({error}).{cut}") from error


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    """Decompress a member, but never more than `limit` bytes, whatever its size claims to be."""
    if info.compress_type not in _COMPRESSIONS:  # others bring decoders with errors and memory of their own
        raise _UnfitError(f"its member {info.filename!r} is compressed in a way that no calibration file uses.")
    if info.file_size > limit:
        raise _UnfitError(f"its member {info.filename!r} would take {info.file_size} bytes; {limit} is the limit.")
    with archive.open(info) as member:
        data = member.read(limit + 1)
    if len(data) != info.file_size:
        raise _UnfitError(f"its member {info.filename!r} has not the size that it claims.")
    return data


def _header(members: dict[str, bytes]) -> dict[str, Any]:
    try:
        header = json.loads(members[_HEADER])
    except (ValueError, RecursionError) as error:
        raise _UnfitError(f"its header cannot be read ({error}).") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise _UnfitError(f"its {_HEADER} does not say that it is of the format {FORMAT!r}.")
    version = header.get("format_version")
    if type(version) is not int or not OLDEST_VERSION <= version <= FORMAT_VERSION:
        raise _UnfitError(
            f"it has format version {version!r}, but this release reads versions "
            f"{OLDEST_VERSION} to {FORMAT_VERSION}. Another release of hxtorch wrote it."
        )
    return header


def _arrays(members: dict[str, bytes]) -> dict[str, NDArray[Any]]:
    arrays = {}
    for member, data in members.items():
        if member == _HEADER:
            continue
        name = member.removesuffix(".npy")
        if name == member:
            raise _UnfitError(f"it holds an unknown member {member!r}.")
        arrays[name] = _array(name, data)
    return arrays


def _array(name: str, data: bytes) -> NDArray[Any]:
    """Build an array from the bytes of an .npy member whose header has been checked."""
    stream = io.BytesIO(data)
    try:
        layout = np.lib.format.read_magic(stream)
        shape, _, kind = np.lib.format.read_array_header_1_0(stream, max_header_size=1000)
    except _MALFORMED as error:
        raise _UnfitError(f"its array {name!r} is damaged ({error}).") from error
    content = stream.read()
    if layout != (1, 0) or kind not in _KINDS or len(shape) != 1 or shape[0] * kind.itemsize != len(content):
        raise _UnfitError(f"its array {name!r} is {kind}{shape} in {len(content)} bytes, which no register is.")
    return np.frombuffer(content, dtype=kind).copy()


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

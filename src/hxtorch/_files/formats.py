"""Kinds of files: a header that says what a file is, and arrays, in a zip archive that any tool can read.

A file is taken for nothing that it does not say it is, everything in it is checked before it is used, and nothing
in it is ever executed.
"""

from __future__ import annotations

import io
import json
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

_TIME = (1980, 1, 1, 0, 0, 0)  # of every member: equal contents give equal files
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NUMBERS = "biuf"  # kinds of dtypes

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


class UnfitFileError(ValueError):
    """Why a content is not what it should be; who knows the name of the file adds it with `Format.unusable`."""


@dataclass(frozen=True)
class Format:
    """A kind of file.

    * `name`: what the header says under "format"; `noun`: what messages call it; `of_array`: and one of its arrays.
    * `version`: that is written; `oldest`: that is read. `version_key`: where the header has it; without, it stands
      behind the name.
    * `header`: the member of the archive with the header: JSON, or JSON as the text of an array in an ``.npy``.
    * `largest_header`, `largest_array`, `most_members`: bytes and number that are read at most.
    """

    name: str
    noun: str
    version: int
    oldest: int | None = None
    version_key: str | None = "version"
    header: str = "header.json"
    of_array: str = "array of numbers"
    largest_header: float = math.inf
    largest_array: float = math.inf
    most_members: float = math.inf

    def dumps(self, values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
        """The content of a file with `values` (for JSON) in its header, and `arrays`."""
        text = json.dumps(self.heading(values), indent=1)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            self._write(archive, self.header, _npy(np.array(text)) if self.header.endswith(".npy") else text)
            for name, array in arrays.items():
                self._write(archive, f"{name}.npy", _npy(array))
        return buffer.getvalue()

    def loads(self, content: bytes) -> tuple[dict[str, Any], Arrays]:
        """The header and the arrays of a content, by name. Raises `UnfitFileError`."""
        return self.parts(self.members(content))

    def parts(self, members: dict[str, bytes]) -> tuple[dict[str, Any], Arrays]:
        """The header and the arrays of the members of an archive. Raises `UnfitFileError`."""
        if self.header not in members:
            raise UnfitFileError(f"it is a zip archive without a {self.noun}: {self.header} is missing")
        others = [name for name in members if name != self.header]
        foreign = [name for name in others if not name.endswith(".npy")]
        header = self.checked(self._header(members[self.header]))
        if foreign:
            raise UnfitFileError(f"it holds an unknown member {foreign[0]!r}")
        return header, {name.removesuffix(".npy"): self._array(name, members[name]) for name in others}

    def heading(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A header with what the format says of itself in front of `values`."""
        if self.version_key is None:
            return {"format": f"{self.name} {self.version}", **values}
        return {"format": self.name, self.version_key: self.version, **values}

    def checked(self, header: object) -> dict[str, Any]:
        """The header, if it is one of this format in a version that can be read; else `UnfitFileError`."""
        wanted = self.heading({})["format"]
        if not isinstance(header, dict) or header.get("format") != wanted:
            raise UnfitFileError(
                f"its header names another format: it does not say that it is of the format {wanted!r}"
            )
        if self.version_key is not None:
            version, oldest = header.get(self.version_key), self.oldest or self.version
            if type(version) is not int or not oldest <= version <= self.version:
                known = f"version {oldest}" if oldest == self.version else f"versions {oldest} to {self.version}"
                raise UnfitFileError(
                    f"it has format version {version!r}, but this release reads {known}. Another one wrote it"
                )
        return header

    def members(self, content: bytes) -> dict[str, bytes]:
        """The members of an archive by name, none larger than what has its name may be. Raises `UnfitFileError`."""
        with _opened(content) as archive:
            names = archive.namelist()
            if len(names) > self.most_members or len(set(names)) != len(names):
                raise UnfitFileError("it holds too many or repeated members")
            return {info.filename: self._read(archive, info) for info in archive.infolist()}

    def unusable(self, path: object, error: Exception) -> str:
        """The sentence that a file is none of this format, and why."""
        return f"{path} is no usable {self.noun} file: {str(error).removesuffix('.')}."

    def _write(self, archive: zipfile.ZipFile, name: str, data: bytes | str) -> None:
        info = zipfile.ZipInfo(name, _TIME)
        info.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(info, data)

    def _read(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
        """Decompress a member, but never more than its limit, whatever its size claims to be."""
        limit = self.largest_header if info.filename == self.header else self.largest_array
        if info.compress_type not in _COMPRESSIONS:  # others bring decoders with errors and memory of their own
            raise UnfitFileError(
                f"its member {info.filename!r} is compressed in a way that no {self.noun} file uses"
            )
        if info.file_size > limit:
            size = info.file_size
            raise UnfitFileError(
                f"its member {info.filename!r} would take {size} bytes, which is larger than the limit of {limit}"
            )
        with archive.open(info) as member:
            data = member.read(info.file_size + 1)
        if len(data) != info.file_size:
            raise UnfitFileError(f"its member {info.filename!r} has not the size that it claims")
        return data

    def _header(self, data: bytes) -> object:
        try:
            if self.header.endswith(".npy"):
                return json.loads(str(_numpy(data, "U")[()]))
            return json.loads(data)
        except _MALFORMED as error:
            raise UnfitFileError(f"its header cannot be read ({error})") from error

    def _array(self, member: str, data: bytes) -> NDArray[Any]:
        name = member.removesuffix(".npy")
        try:
            return _numpy(data, _NUMBERS)
        except _UnlikeError as error:
            raise UnfitFileError(
                f"its array {name!r} cannot be read: {error}, which no {self.of_array} is"
            ) from error
        except _MALFORMED as error:
            raise UnfitFileError(f"its array {name!r} is damaged and cannot be read ({error})") from error


def names_in(content: bytes) -> set[str]:
    """The names of the members of an archive. Raises `UnfitFileError`."""
    with _opened(content) as archive:
        return set(archive.namelist())


@contextmanager
def _opened(content: bytes) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield archive
    except UnfitFileError:
        raise
    except _DAMAGE as error:
        # a missing directory at the end of the archive is what half a download looks like
        cut = ". It may have been cut short" if "not a zip file" in str(error) else ""
        raise UnfitFileError(f"the archive is damaged and cannot be read ({error}){cut}") from error


class _UnlikeError(Exception):
    pass


def _npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=False)
    return stream.getvalue()


def _numpy(data: bytes, kinds: str) -> NDArray[Any]:
    """Build an array from the bytes of an .npy; numpy itself would load objects, or wait for missing bytes."""
    stream = io.BytesIO(data)
    layout = np.lib.format.read_magic(stream)
    shape, column_major, kind = np.lib.format.read_array_header_1_0(stream, max_header_size=1000)
    content = stream.read()
    fits = layout == (1, 0) and kind.kind in kinds and kind.isnative
    if not fits or any(n < 0 for n in shape) or math.prod(shape) * kind.itemsize != len(content):
        raise _UnlikeError(f"it is {kind}{shape} in {len(content)} bytes")
    return np.frombuffer(content, dtype=kind).reshape(shape, order="F" if column_major else "C").copy(order="K")

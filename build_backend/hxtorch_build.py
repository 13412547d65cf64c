"""Builds wheels with setuptools, and adds to them the file that puts the stand-ins for vendor names on the path.

setuptools has no setting for files beside the packages. A `.pth` file that holds a path runs no code when Python
starts.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

from setuptools import build_meta
from setuptools.build_meta import (
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

NAME = "hxtorch_vendor.pth"
FOLDER = "hxtorch/_vendor"  # within the folder of installed packages
SOURCES = Path(__file__).resolve().parent.parent / "src"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Build a wheel; returns its name."""
    name = build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
    _add_path(Path(wheel_directory, name), FOLDER)
    return name


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """Build a wheel that points at the sources here; returns its name."""
    name = build_meta.build_editable(wheel_directory, config_settings, metadata_directory)
    _add_path(Path(wheel_directory, name), str(SOURCES / FOLDER))
    return name


def _add_path(wheel: Path, folder: str) -> None:
    """Add the file with `folder` in it to a wheel, and to its list of files."""
    content = f"{folder}\n".encode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    part = wheel.with_suffix(".part")
    with zipfile.ZipFile(wheel) as before, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as after:
        *files, record = before.infolist()  # the list of files is the last of them
        if not record.filename.endswith(".dist-info/RECORD"):
            raise RuntimeError(f"{wheel.name} ends with {record.filename} instead of its RECORD.")
        for file in files:
            after.writestr(file, before.read(file))
        added = zipfile.ZipInfo(NAME, record.date_time)
        added.external_attr, added.compress_type = record.external_attr, zipfile.ZIP_DEFLATED
        after.writestr(added, content)
        after.writestr(record, before.read(record) + f"{NAME},sha256={digest},{len(content)}\n".encode())
    part.replace(wheel)

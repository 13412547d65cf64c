"""Where files of data sets are looked for, and what is said if they are not there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import platformdirs


class MissingDataError(FileNotFoundError):
    """The files of a data set are not on this machine; the text says how to get them."""


def data_folder() -> Path:
    """Folder of data files: ``$HXTORCH_DATA_DIR``, else the user's data folder of the system."""
    chosen = os.environ.get("HXTORCH_DATA_DIR")
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("hxtorch"))


def find_file(patterns: Iterable[str], folders: Iterable[Path]) -> Path | None:
    """Return the first file that matches one of the patterns in one of the folders; None if there is none."""
    for folder in folders:
        for pattern in patterns:
            found = sorted(path for path in folder.glob(pattern) if path.is_file())
            if found:
                return found[-1]
    return None

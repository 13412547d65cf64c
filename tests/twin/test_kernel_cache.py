"""Where compiled kernels are kept."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

IMPORT = "import hxtorch; from hxtorch.twin import random;"


def start(cache: Path, use: str = "print(random.key(5, 0, 0).bit_length() > 50)") -> None:
    """Use a kernel in a process of its own, with a cache folder of its own."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", f"{IMPORT} {use}"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True"


def test_an_import_writes_nothing(tmp_path: Path) -> None:
    start(tmp_path / "cache", "print(True)")
    assert list(tmp_path.iterdir()) == []
    start(tmp_path / "cache")
    assert list((tmp_path / "cache").glob("twin-*/**/random.key-*.nbc"))


def test_machine_code_that_nobody_uses_is_removed(tmp_path: Path) -> None:
    old, young, foreign = tmp_path / "twin-00000000", tmp_path / "twin-11111111", tmp_path / "other-00000000"
    for folder in (old, young, foreign):
        folder.mkdir()
        (folder / "kernel.nbc").write_bytes(b"code")
    month = time.time() - 31 * 24 * 3600
    for folder in (old, foreign):
        os.utime(folder, (month, month))
    start(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert "twin-00000000" not in left
    assert {"twin-11111111", "other-00000000"} < left
    mine = next(path for path in tmp_path.iterdir() if path.name.startswith("twin-") and path != young)
    os.utime(mine, (month, month))
    start(tmp_path)
    assert mine.stat().st_mtime > time.time() - 3600  # used again, so it stays


def test_works_without_a_folder_to_write(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    start(blocked / "cache")

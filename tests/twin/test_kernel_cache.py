"""Where compiled kernels are kept, and that a change of what they are made from leads to new ones."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from hxtorch._kernels.sources import imported_names

ROOT = Path(__file__).parents[2]
IMPORT = "import hxtorch; from hxtorch.twin.engine import random;"


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
    assert list((tmp_path / "cache").glob("hxtorch.twin.engine.random-*/**/random.key-*.nbc"))


def test_machine_code_that_nobody_uses_is_removed(tmp_path: Path) -> None:
    names = (
        "hxtorch.twin.engine.random-0000000000000000",
        "hxtorch.twin.gone-ffffffffffffffff",
        "hxtorch.twin.engine.random-1111111111111111",
        "other.twin.random-0000000000000000",
        "hxtorch.notes",
    )
    old, older, young, foreign, notes = (tmp_path / name for name in names)
    for folder in (old, older, young, foreign, notes):
        folder.mkdir()
        (folder / "kernel.nbc").write_bytes(b"code")
    month = time.time() - 31 * 24 * 3600
    for folder in (old, older, foreign, notes):
        os.utime(folder, (month, month))
    start(tmp_path)
    left = set(tmp_path.iterdir())
    assert not {old, older} & left
    assert {young, foreign, notes} < left
    mine = next(path for path in left if path.name.startswith("hxtorch.twin.engine.random-") and path != young)
    os.utime(mine, (month, month))
    start(tmp_path)
    assert mine.stat().st_mtime > time.time() - 3600  # used again, so it stays


def test_works_without_a_folder_to_write(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    start(blocked / "cache")


# --- What the machine code depends on -----------------------------------------------------------------------

PACKAGE = {
    "top/rates.py": """
        from hxtorch._kernels.compilation import kernel
        from pack.low.kernels import twice
        from pack.low import (  # a comment (with brackets)
            numbers,
        )

        @kernel()
        def rate(x, terms):
            return twice(x) + numbers.OFFSET + terms.first
        """,
    "low/kernels.py": """
        from hxtorch._kernels.compilation import inner_kernel
        from pack.constants import FACTOR

        @inner_kernel()
        def twice(x):
            return FACTOR * x
        """,
    "low/numbers.py": "OFFSET = 100.0",
    "low/unused.py": "NOTHING = 1",
    "constants.py": "FACTOR = 2.0",
    "terms.py": """
        from typing import NamedTuple

        class Terms(NamedTuple):
            first: float
            second: float
        """,
    "__init__.py": "",
    "low/__init__.py": "",
    "top/__init__.py": "",
}
USE = "from pack.top.rates import rate; from pack.terms import Terms;"
CALL = "print(rate(3.0, Terms(0.25, 0.5)), rate.stats.cache_hits.total())"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package whose kernel calls one of another folder, which has read a constant of a third."""
    for name, text in PACKAGE.items():
        write(tmp_path / "pack" / name, text)
    return tmp_path


def write(file: Path, text: str) -> None:
    """Write a source that looks as old as those before it, of the same size where the text has the same length."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text), encoding="utf-8")
    os.utime(file, (1.6e9, 1.6e9))


def rate_of(package: Path, use: str = f"{USE} {CALL}") -> tuple[float, bool]:
    """What the kernel returns in a new process, and whether its machine code came from the cache."""
    paths = os.pathsep.join([str(package), *filter(None, sys.path)])
    # -B: Python itself would trust the time stamp
    done = subprocess.run(
        [sys.executable, "-B", "-c", use],
        env={**os.environ, "NUMBA_CACHE_DIR": str(package / "cache"), "PYTHONPATH": paths},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    value, hits = done.stdout.split()
    return float(value), hits != "0"


def replace(package: Path, name: str, old: str, new: str) -> None:
    assert len(old) == len(new)
    assert old in PACKAGE[name]
    write(package / "pack" / name, PACKAGE[name].replace(old, new))


def test_the_same_sources_have_the_same_machine_code(package: Path) -> None:
    assert rate_of(package) == (106.25, False)
    assert rate_of(package) == (106.25, True)
    replace(package, "low/unused.py", "1", "2")
    for file in package.rglob("*.py"):
        os.utime(file)  # a new checkout
    assert rate_of(package) == (106.25, True)
    other = package / "another place"
    for part in ("pack", "cache"):
        shutil.copytree(package / part, other / part)
    assert rate_of(other) == (106.25, True)


@pytest.mark.parametrize(
    ("name", "old", "new", "value"),
    [
        ("top/rates.py", "twice(x) +", "twice(x) -", -93.75),
        ("low/kernels.py", "FACTOR * x", "FACTOR + x", 105.25),
        ("low/numbers.py", "100.0", "200.0", 206.25),
        ("constants.py", "2.0", "4.0", 112.25),
        ("terms.py", "first: float\n            second", "second: float\n            first", 106.5),
    ],
    ids=["itself", "kernel", "constant", "constant of a kernel", "fields that nobody imports"],
)
def test_a_change_anywhere_leads_to_new_machine_code(
    package: Path, name: str, old: str, new: str, value: float
) -> None:
    assert rate_of(package) == (106.25, False)
    replace(package, name, old, new)
    assert rate_of(package) == (value, False)
    write(package / "pack" / name, PACKAGE[name])
    assert rate_of(package) == (106.25, True)  # as before


def test_a_source_that_changes_after_it_was_loaded_leaves_no_machine_code(package: Path) -> None:
    file, text = package / "pack" / "constants.py", "FACTOR = 4.0"
    change = f"import os; open({str(file)!r}, 'w').write({text!r}); os.utime({str(file)!r}, (1.6e9, 1.6e9));"
    assert rate_of(package, f"{USE} {change} {CALL}") == (106.25, False)
    assert rate_of(package) == (112.25, False)
    assert rate_of(package) == (112.25, True)


def test_all_imports_are_seen() -> None:
    """The quick search finds what Python's parser finds, in every source."""
    text = "from a.b import (  # (c)\n  d, e as f\n)\n  import g, h as i\nfrom j import k, \\\n l\n"
    assert list(imported_names(text)) == [("a.b", ["d", "e"]), ("g", []), ("h", []), ("j", ["k", "l"])]
    for file in sorted((ROOT / "src").rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        found = {(module, name) for module, names in imported_names(text) for name in names or [""]}
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                assert {(alias.name, "") for alias in node.names} <= found, file
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}: relative imports are not followed"
                assert {(node.module, alias.name) for alias in node.names} <= found, file

"""What is built and installed: the wheel's content, its extras, and that it works without the sources."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    # a copy, because setuptools builds inside of the source folder
    sources = folder / "sources"
    sources.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, sources)
    shutil.copytree(ROOT / "src", sources / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    return sources


def build_wheel(source, folder):
    """Build the wheel of a folder or an archive."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        folder,
        source,
    ]
    subprocess.run(command, check=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def wheel(sources, tmp_path_factory):
    return build_wheel(sources, tmp_path_factory.mktemp("wheel"))


def test_the_archive_of_the_sources_makes_the_same_wheel(sources, wheel, tmp_path):
    code = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, cwd=sources, capture_output=True)
    (archive,) = tmp_path.glob("hxtorch-*.tar.gz")
    with tarfile.open(archive) as file:
        assert {name.split("/")[1] for name in file.getnames() if "/" in name} == {
            "src", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "PKG-INFO", "setup.cfg",
        }  # fmt: skip
    again = build_wheel(archive, tmp_path / "again")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())
        assert all(one.read(name) == other.read(name) for name in one.namelist() if name.endswith(".py"))


def test_the_wheel_holds_the_package_and_the_coordinates_stand_in(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        metadata = Parser().parsestr(file.read(next(n for n in names if n.endswith("METADATA"))).decode())
    tops = {name.split("/")[0] for name in names}
    assert tops == {"hxtorch", "dlens_vx_v3", next(top for top in tops if top.endswith(".dist-info"))}
    assert "hxtorch/py.typed" in names
    sources = {p.relative_to(ROOT / "src").as_posix() for p in (ROOT / "src/hxtorch").rglob("*.py")}
    assert sources <= set(names)
    assert {"notebook", "docs", "nir", "dev"} <= set(metadata.get_all("Provides-Extra"))
    assert metadata["Requires-Python"] == ">=3.11"


def test_the_wheel_works_without_the_sources(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "installed")
    code = "import hxtorch, hxtorch.snn; from hxtorch.cli import main; print(hxtorch.__file__); main(['info'])"
    env = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env, cwd=tmp_path
    )
    assert done.stdout.startswith(str(tmp_path))
    assert "standard chip" in done.stdout

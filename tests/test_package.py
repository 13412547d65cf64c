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
    shutil.copytree(ROOT / "build_backend", sources / "build_backend", ignore=shutil.ignore_patterns("__pycache__"))
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
            "src", "build_backend", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "PKG-INFO",
            "setup.cfg",
        }  # fmt: skip
    again = build_wheel(archive, tmp_path / "again")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())
        assert all(one.read(name) == other.read(name) for name in one.namelist() if name.endswith(".py"))


def test_the_wheel_holds_the_package_and_the_path_of_the_stand_ins(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        metadata = Parser().parsestr(file.read(next(n for n in names if n.endswith("METADATA"))).decode())
    tops = {name.split("/")[0] for name in names}
    assert tops == {"hxtorch", "hxtorch_vendor.pth", next(top for top in tops if top.endswith(".dist-info"))}
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


# --- Names of the vendor's packages --------------------------------------------------------------------------


class Environment:
    """An environment of its own with what the tests have installed, but hxtorch."""

    def __init__(self, folder):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.python = folder / "bin" / "python"
        (self.packages,) = folder.glob("lib/python*/site-packages")
        dependencies = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
        (self.packages / "zz_dependencies.pth").write_text("\n".join(dependencies))  # the last files of paths

    def pip(self, *arguments):
        command = [sys.executable, "-m", "pip", "--python", self.python, "-q", "--disable-pip-version-check"]
        subprocess.run([*command, *arguments], check=True)

    def install(self, *arguments):
        self.pip("install", "--no-deps", "--no-build-isolation", "--no-index", *arguments)

    def run(self, code, **variables):
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
        command = [self.python, "-c", code]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd="/")
        return done.stdout.strip()

    def files(self):
        found = (path for path in self.packages.rglob("*") if path.is_file() and path.suffix != ".pyc")
        return {path.relative_to(self.packages).as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def environment(tmp_path):
    return Environment(tmp_path / "environment")


@pytest.fixture(params=["wheel", "editable"])
def ours(request, sources, wheel):
    return [wheel] if request.param == "wheel" else ["-e", sources]


@pytest.fixture(scope="module")
def vendor(tmp_path_factory):
    """A wheel with a package of the vendor's name."""
    folder = tmp_path_factory.mktemp("vendor")
    path, info = folder / "dlens_vx_v3-1.0-py3-none-any.whl", "dlens_vx_v3-1.0.dist-info"
    files = {
        "dlens_vx_v3/__init__.py": "",
        "dlens_vx_v3/halco.py": "AtomicNeuronOnDLS = 'the vendor'",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: dlens_vx_v3\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as file:
        for name, text in files.items():
            file.writestr(name, text)
    return path


WHOSE = """
import sys
assert not [name for name in sys.modules if "hxtorch" in name or name in ("numpy", "torch")]  # nothing at the start
from dlens_vx_v3 import halco
print(getattr(halco, "__name__", ""), halco.AtomicNeuronOnDLS == "the vendor", "hxtorch" in sys.modules)
"""
AFTER = "import hxtorch, dlens_vx_v3.halco as halco; print(halco.__name__)"
OURS, VENDORS = "hxtorch.twin.places.coordinates False True", "dlens_vx_v3.halco True False"


def test_vendor_names_are_there_before_hxtorch(environment, ours):
    before = environment.files()
    environment.install(*ours)
    assert environment.run(WHOSE) == OURS
    assert environment.run(AFTER) == OURS.split()[0]
    environment.pip("uninstall", "-y", "hxtorch")
    assert environment.files() == before


@pytest.mark.parametrize("first", ["ours", "the vendor's"])
def test_the_vendors_package_is_left_alone(environment, ours, vendor, first):
    """Installed before or after: its files are its own, and are still there when hxtorch is gone."""
    environment.install(vendor)
    files = environment.files()
    if first == "ours":
        environment.pip("uninstall", "-y", "dlens_vx_v3")
        environment.install(*ours)
        assert environment.run(WHOSE) == OURS
        environment.install(vendor)
    else:
        environment.install(*ours)
    assert environment.run(WHOSE) == VENDORS
    assert (
        environment.run("import hxtorch, dlens_vx_v3.halco as halco; print(halco.__name__)") == VENDORS.split()[0]
    )
    assert files.items() <= environment.files().items()
    environment.pip("uninstall", "-y", "hxtorch")
    assert environment.files() == files
    assert environment.run(WHOSE) == VENDORS


def test_the_vendors_package_in_another_folder(environment, ours, vendor, tmp_path):
    """In a folder of the path before all that is installed, or in one that comes last."""
    environment.install(*ours)
    with zipfile.ZipFile(vendor) as file:
        file.extractall(tmp_path / "elsewhere")
    assert environment.run(WHOSE, PYTHONPATH=str(tmp_path / "elsewhere")) == VENDORS
    (environment.packages / "zzz_vendor.pth").write_text(str(tmp_path / "elsewhere"))
    assert environment.run("import sys; print(sys.path[-1])") == str(tmp_path / "elsewhere")
    assert environment.run(WHOSE) == VENDORS

"""Helpers are found under the paths that scripts know, and are the same objects there."""

import importlib
import subprocess
import sys

import pytest

from hxtorch._moved import MOVED

OLD = sorted(path for path in MOVED if path.startswith("hxtorch.snn.utils."))


def test_there_are_doors():
    assert len(OLD) > 10


@pytest.mark.parametrize("path", OLD)
def test_an_old_path_is_the_same_module(path):
    assert importlib.import_module(path) is importlib.import_module(MOVED[path])
    spiking = path.replace("hxtorch.snn", "hxtorch.spiking")
    assert importlib.import_module(spiking) is importlib.import_module(MOVED[path])


@pytest.mark.parametrize("name", ["align", "code_version"])
def test_functions_keep_their_place_beside_the_module_of_their_name(name):
    code = f"""
import hxtorch.snn as snn
import hxtorch.snn.utils.{name}
from hxtorch.snn.utils.{name} import {name} as same
from hxtorch.snn.utils import {name}
assert {name} is same is getattr(snn.utils, {name!r}) and callable({name})
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_doors_are_attributes_of_their_packages():
    names = tuple(path.removeprefix("hxtorch.snn.utils.") for path in OLD if path.count(".") == 3)
    code = f"""
import hxtorch.snn, hxtorch.spiking
for name in {names}:
    assert getattr(hxtorch.snn.utils, name) is getattr(hxtorch.spiking.utils, name)
"""
    subprocess.run([sys.executable, "-c", code], check=True)

"""Arrays and tensors have the shapes that their names in `hxtorch.shapes` and `hxtorch.snn.shapes` say.

With jaxtyping in front of this package the names are its types, and beartype looks at every call. That takes a
process of its own, `shapes/checked.py`: everywhere else the names are plain, and cost nothing.
"""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "shapes"


@pytest.mark.parametrize("script", ["network", "tensors", "arrays"])
def test_shapes_are_those_of_their_names(script: str) -> None:
    command = [sys.executable, "-W", "ignore", str(SCRIPTS / f"{script}.py")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_names_cost_nothing_without_the_checker() -> None:
    code = """
import sys, typing
import hxtorch.snn.shapes as shapes
from torch import Tensor
assert not {"jaxtyping", "beartype"} & set(sys.modules)
assert typing.get_args(shapes.TimeBatchNeuron) == (Tensor, "time batch neuron")
"""
    subprocess.run([sys.executable, "-c", code], check=True)

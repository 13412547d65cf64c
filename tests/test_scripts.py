"""Whole scripts, as users of both generations have them, run in their own process without an edit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXPECTED = {
    "introduction_of_2025": """\
identifier True
hxtorch.init_hardware() connects to the virtual chip 'twin:13'.
mock [22, 35]
madc 2 (50, 1, 1)
scale True
training True True (50,)
training False True (50,)
""",
    "spiking_of_today": """\
True ScaledLIF (8, 3) True True
learns True
True EventPropLIF (8, 3) True True
False ScaledLIF (8, 3) True False
learns True
False EventPropLIF (8, 3) True False
trained ['tau_mem._model'] 30
""",
    "partitioned_images": "True True True True\nFalse True True True\n",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_script(name, tmp_path):
    paths = os.pathsep.join([str(ROOT / "docs" / "tutorials"), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "scripts" / f"{name}.py")],
        capture_output=True, text=True, cwd=tmp_path, timeout=300, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout == EXPECTED[name]

"""An ideal chip is connected; the helpers of these tests are importable here."""

import sys
from pathlib import Path

import pytest

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch.twin import Die, Noise

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def ideal_chip():
    hxtorch.init_hardware(Die.ideal(), noise=Noise.off())
    yield
    hxtorch.release_hardware()


@pytest.fixture(params=[True, False], ids=["mock", "chip"])
def exp(request):
    return hxsnn.Experiment(mock=request.param)

"""The names of the package itself: connecting, lists of connections and spikes, and what an import costs."""

import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest
import torch

import hxtorch
from hxtorch.connection import connected_chip
from hxtorch.twin import DEFAULT_CHIP_SEED, Recording, Spikes


@pytest.fixture(autouse=True)
def _released():
    yield
    hxtorch.release_hardware()


def test_every_way_to_connect(tmp_path):
    file = tmp_path / "spiking_cocolist.pbin"
    file.touch()
    for connect in (
        hxtorch.init_hardware,
        hxtorch.init_hardware_minimal,
        lambda: hxtorch.init_hardware(None, ann=True),
        lambda: hxtorch.init_hardware(hwdb_path=hxtorch.HWDBPath(version="stable/2.0")),
        lambda: hxtorch.init_hardware(hxtorch.HWDBPath(tmp_path)),
        lambda: hxtorch.init_hardware(hxtorch.CalibrationPath(file)),
        lambda: hxtorch.init_hardware(calibration_path=hxtorch.CalibrationPath(str(file))),
    ):
        hxtorch.release_hardware()
        assert connected_chip() is None
        connect()
        assert (
            hxtorch.get_unique_identifier()
            == hxtorch.get_unique_identifier(hxtorch.HWDBPath())
            == [f"twin:{DEFAULT_CHIP_SEED}"]
        )


def test_connections_that_are_refused(tmp_path):
    for path in (hxtorch.HWDBPath(tmp_path / "none"), hxtorch.CalibrationPath(tmp_path / "none")):
        with pytest.raises(FileNotFoundError, match="none"):
            hxtorch.init_hardware(path)
    with pytest.raises(TypeError, match="Give one"):
        hxtorch.init_hardware(3, hwdb_path=hxtorch.HWDBPath())
    with pytest.raises(RuntimeError, match="No connection present"):
        hxtorch.get_unique_identifier()


def test_weights_become_connections():
    for weight in (
        np.array([[1.9, -2.9], [0.0, 63.0]]),
        torch.tensor([[1.9, -2.9], [0.0, 63.0]], requires_grad=True),
    ):
        found = hxtorch.weight_to_connection(weight)
        assert [(c.index_post[0], c.index_pre[0], int(c.weight)) for c in found] == [
            (0, 0, 1),
            (0, 1, 2),
            (1, 0, 0),
            (1, 1, 63),
        ]
    some = hxtorch.weight_to_connection([5, -6], [[3, 1], [0, 2]])
    assert [(c.index_post[0], c.index_pre[0], c.weight) for c in some] == [(3, 0, 5), (1, 2, 6)]


@pytest.mark.parametrize(
    "arguments", [([1, 2],), ([[1]], [[0], [0]]), ([1, 2], [[0], [0]]), ([1], [[0], [0], [0]]), ([[[1]]],)]
)
def test_connections_that_cannot_be(arguments):
    with pytest.raises(RuntimeError):
        hxtorch.weight_to_connection(*arguments)


def test_spikes_become_lists():
    index = torch.tensor([[0, 2, 0], [1, 1, 2]])
    time = torch.tensor([[0.5, 0.1, 0.2], [3.0, 1.0, 2.0]])
    assert hxtorch.dense_spikes_to_list((index, time.double()), 3) == [
        [[0.5, pytest.approx(0.2)], [], [pytest.approx(0.1)]],
        [[], [3.0, 1.0], [2.0]],
    ]
    for bad in ((index, time[:1]), (index[0], time[0]), (index - 1, time), (index + 1, time)):
        with pytest.raises(RuntimeError):
            hxtorch.dense_spikes_to_list(bad, 3)


class Placed:
    circuits: ClassVar = {7: np.array([[10, 11], [20, 21]]), 8: np.array([30])}


def test_first_spikes_of_a_recording():
    spikes = Spikes(
        entry=np.array([0, 0, 0, 1, 0]), time=np.array([90, 5, 40, 7, 60]), circuit=np.array([10, 20, 10, 30, 11])
    )
    found = hxtorch.extract_n_spikes(Recording(spikes=spikes), Placed(), 80, {7: 4, 8: 1})
    assert found[7][0].tolist() == [[1, 0, 0, -1], [-1] * 4]
    assert found[7][1].tolist() == [[5, 40, 60, 80], [80] * 4]
    assert found[8][0].tolist() == [[-1], [0]]
    assert found[8][1].tolist() == [[80], [7]]
    both = hxtorch.extract_n_spikes(Recording(spikes=spikes), Placed(), 80, 1, batch_size=3)
    assert both[7][1].tolist() == [[5], [80], [80]]
    with pytest.raises(RuntimeError, match="no spikes"):
        hxtorch.extract_n_spikes(Recording(), Placed(), 80, 1)


def test_names_are_there_and_listed():
    for name in (*hxtorch.__all__, "snn", "spiking", "perceptron", "ann"):
        assert hasattr(hxtorch, name)
        assert name in dir(hxtorch)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = hxtorch.nonsense


def run(code, *options):
    return subprocess.run([sys.executable, *options, "-c", code], check=False, capture_output=True, text=True)


def test_an_import_does_no_work():
    """No torch, matplotlib or compilation for the door alone; no matplotlib, kernels or chip for networks."""
    done = run("import sys, hxtorch; print(*sorted({'torch', 'matplotlib', 'numba'} & set(sys.modules)))")
    assert "torch" not in done.stdout and "matplotlib" not in done.stdout, done
    done = run("import sys, hxtorch.snn; print(*sorted({'matplotlib', 'IPython', 'networkx'} & set(sys.modules)))")
    assert "matplotlib" not in done.stdout and "IPython" not in done.stdout, done


def test_imports_are_clean_under_strict_warnings():
    done = run("import hxtorch.snn, hxtorch.perceptron, hxtorch.plots, hxtorch.calibration", "-W", "error")
    assert done.returncode == 0, done.stderr

"""Spikes in NIR's data format."""

import numpy as np
import pytest
import torch

from hxtorch.snn import from_nir_data, to_nir_data
from hxtorch.snn.utils.to_nir import SNN

nir = pytest.importorskip("nir", reason="needs the package nir (extra [nir])")
if not hasattr(nir, "CubaLI"):
    pytest.skip("needs nir 1.0.8 or newer", allow_module_level=True)

from .graphs import BATCH, STEPS, spikes  # noqa: E402


def test_data_there_and_back():
    model = SNN(dt=1e-6)
    data = to_nir_data({"in": spikes(), "n": spikes(2)}, model)
    gridded = data.nodes["in"].observables["spikes"]
    assert gridded.data.shape == (BATCH, STEPS, 4) and gridded.data.dtype == bool and gridded.dt == 1e-6
    back = from_nir_data(data, model)
    assert torch.equal(back["in"], spikes()) and back["n"].dtype == torch.float32


def test_events_are_gridded():
    model = SNN(dt=1e-6)
    events = to_nir_data({"in": spikes()}, model).nodes["in"].observables["spikes"].to_event(n_events=200)
    data = nir.NIRGraphData({"in": nir.NIRNodeData({"spikes": events})})
    assert torch.equal(from_nir_data(data, model)["in"], spikes())


def test_data_that_cannot_be_read():
    model = SNN(dt=1e-6)
    grid = nir.TimeGriddedData(np.zeros((1, 3, 2), dtype=bool), 1e-6)
    for data, error in (
        (nir.NIRGraphData({"a": nir.NIRGraphData({})}), NotImplementedError),
        (nir.NIRGraphData({"a": nir.NIRNodeData({"voltage": grid})}), NotImplementedError),
        (nir.NIRGraphData({"a": nir.NIRNodeData({"spikes": nir.TimeGriddedData(grid.data, 2e-6)})}), ValueError),
    ):
        with pytest.raises(error):
            from_nir_data(data, model)
    late = nir.EventData(np.array([[0]]), np.array([[5e-6]]), 1, 3e-6)
    with pytest.raises(ValueError, match="outside of its time"):
        from_nir_data(nir.NIRGraphData({"a": nir.NIRNodeData({"spikes": late})}), model)

"""Spikes in NIR's data format."""

import numpy as np
import pytest
import torch

from hxtorch.snn import from_nir_data, to_nir_data
from hxtorch.snn.nir.write import SNN

nir = pytest.importorskip("nir", reason="needs the package nir (extra [nir])")
if not hasattr(nir, "CubaLI"):
    pytest.skip("needs nir 1.0.8 or newer", allow_module_level=True)

from .graphs import BATCH, STEPS, spikes


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


def recording(idx, time, neurons=3, t_max=5e-6):
    """Data of one node, `a`, with events."""
    events = nir.EventData(np.asarray(idx), np.asarray(time), neurons, t_max)
    return nir.NIRGraphData({"a": nir.NIRNodeData({"spikes": events})})


def read(data, dt=1e-6):
    return from_nir_data(data, SNN(dt=dt))["a"]


@pytest.mark.parametrize(("count", "dt"), [(2000, 1e-6), (5000, 1e-7), (3000, 0.5e-6), (3000, 1.7e-6)])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_events_stay_in_their_step(count, dt, kind):
    """One neuron for every step, so that a spike that moves is seen, and one that fires in all of them."""
    number = np.arange(count)
    times = (number * dt).astype(kind)
    one = read(recording([[0] * count], [times], 1, count * dt), dt)
    assert one.shape == (count, 1, 1) and torch.equal(one, torch.ones_like(one))
    late = [0, 1, count // 3, count - 1]
    few = read(recording([list(range(4))], [times[late]], 4, kind(count * dt)), dt)
    assert few.nonzero().tolist() == [[k, 0, n] for n, k in enumerate(late)]


@pytest.mark.parametrize("dt", [1e-6, 1e-7])
def test_events_between_two_steps_are_in_the_earlier_one(dt):
    times = (np.arange(1000) + np.tile([0.1, 0.5, 0.9, 0.99], 250)) * dt
    for kind in (np.float32, np.float64):
        assert read(recording([[0] * 1000], [times.astype(kind)], 1, 1000 * dt), dt).sum() == 1000


def test_several_events_in_a_step_are_one_spike():
    assert read(recording([[1, 1, 1]], [[2.1e-6, 2.6e-6, 4e-6]])).nonzero().tolist() == [[2, 0, 1], [4, 0, 1]]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("time", [5e-6, 5.2e-6, 1.0, np.inf, np.nan, -0.3e-6, -1.5e-6])
def test_events_at_the_end_or_at_no_time_are_refused(time, kind):
    """NIR's own gridded data has no step for an event at t_max either."""
    with pytest.raises(ValueError, match=r"'a' has an event outside of its time, 0 <= t < 5e-06 s: neuron 2 at"):
        read(recording([[0, 2]], np.array([[1e-6, time]], dtype=kind)))
    with pytest.raises(IndexError):
        nir.EventData(np.array([[2]]), np.array([[5e-6]]), 3, 5e-6).to_time_gridded(1e-6)


@pytest.mark.parametrize("index", [3, 4, 100, -2, -100])
def test_neurons_that_do_not_exist_are_refused(index):
    with pytest.raises(ValueError, match=rf"'a' has an event of neuron {index}, but its 3 neurons are 0\.\.2"):
        read(recording([[0, index]], [[0.0, 1e-6]]))


@pytest.mark.parametrize("time", [np.inf, np.nan, -1.0, 2e-6, 7.0])
def test_the_index_of_no_event_has_no_time(time):
    assert read(recording([[1, -1]], [[3e-6, time]])).nonzero().tolist() == [[3, 0, 1]]


def test_no_events():
    for shape in ((2, 0), (2, 3)):
        spikes = read(recording(np.full(shape, -1), np.full(shape, np.inf)))
        assert spikes.shape == (5, 2, 3) and not spikes.any()
    assert read(recording(np.empty((1, 0)), np.empty((1, 0)))).shape == (5, 1, 3)


@pytest.mark.parametrize("t_max", [4.2e-6, 4.5e-6, 4.9e-6, np.float32(5e-6)])
def test_a_step_that_the_recording_begins_is_one(t_max):
    spikes = read(recording([[1]], [[4.1e-6]], t_max=t_max))
    assert spikes.shape == (5, 1, 3) and spikes.nonzero().tolist() == [[4, 0, 1]]
    with pytest.raises(ValueError, match="outside of its time"):
        read(recording([[1]], [[4.95e-6 if t_max < 4.95e-6 else 5e-6]], t_max=t_max))


@pytest.mark.parametrize("t_max", [np.nan, np.inf, -1e-6])
def test_recordings_without_a_length_are_refused(t_max):
    with pytest.raises(ValueError, match=r"'a' has t_max = .*length of the recording"):
        read(recording([[-1]], [[0.0]], t_max=t_max))


def test_events_that_are_no_lists_of_indices_are_refused():
    with pytest.raises(ValueError, match=r"shape \(2,\), expected \(samples, events\)"):
        read(recording([0, 1], [0.0, 1e-6]))
    with pytest.raises(ValueError, match="indices of type float64, expected integers"):
        read(recording([[0.5]], [[0.0]]))


def test_times_in_too_short_a_type_are_refused():
    with pytest.raises(ValueError, match=r"The times of 'a' are torch.float16"):
        read(recording([[0]], np.array([[2e-3]], dtype=np.float16), t_max=3e-3))


def valued(time, value):
    events = nir.ValuedEventData(np.array([[0, 1, 0, -1]]), np.array([time]), 2, 5e-6, np.array([value]))
    return nir.NIRGraphData({"a": nir.NIRNodeData({"spikes": events})})


def test_values_of_events_are_kept():
    data = valued([1e-6, 1e-6, 3e-6, np.inf], [0.5, 2.0, -1.0, 9.0])
    expected = data.nodes["a"].observables["spikes"].to_time_gridded(1e-6).data.transpose(1, 0, 2)
    assert read(data).tolist() == expected.tolist()
    assert read(data)[:, 0].tolist() == [[0, 0], [0.5, 2], [0, 0], [-1, 0], [0, 0]]
    with pytest.raises(ValueError, match=r"'a' has 2 events with values of neuron 0 in step 1 of sample 0"):
        read(valued([1e-6, 1e-6, 1.5e-6, np.inf], [0.5, 2.0, -1.0, 9.0]))
    with pytest.raises(ValueError, match="'a' holds NaN"):
        read(valued([1e-6, 1e-6, 3e-6, np.inf], [0.5, np.nan, -1.0, 9.0]))


@pytest.mark.parametrize("dt", [1e-6, 1e-7, 1e-8])
def test_time_steps_agree_to_the_last_digits(dt):
    grid = np.ones((1, 3, 2), dtype=bool)
    for given, taken in ((np.float32(dt), True), (dt * (1 + 1e-12), True), (1.005 * dt, False), (1.05 * dt, False)):
        data = nir.NIRGraphData({"a": nir.NIRNodeData({"spikes": nir.TimeGriddedData(grid, given)})})
        if taken:
            assert read(data, dt).shape == (3, 1, 2)
        else:
            with pytest.raises(ValueError, match=r"'a' has a time step of .* s, the experiment"):
                read(data, dt)


def test_events_there_and_back_at_any_time_within_the_step():
    model = SNN(dt=1e-7)
    data = to_nir_data({"a": spikes()}, model)
    gridded = data.nodes["a"].observables["spikes"]
    for shift in (0.0, 0.3e-7, 0.9e-7):
        events = gridded.to_event(n_events=200, time_shift=shift)
        events.time = events.time.astype(np.float32)
        back = from_nir_data(nir.NIRGraphData({"a": nir.NIRNodeData({"spikes": events})}), model)
        assert torch.equal(back["a"], spikes())
        again = to_nir_data(back, model).nodes["a"].observables["spikes"]
        assert np.array_equal(again.data, gridded.data) and again.dt == gridded.dt


def test_spikes_to_nir_are_tensors_arrays_or_lists():
    model, given = SNN(dt=1e-6), spikes()
    expected = to_nir_data({"a": given}, model).nodes["a"].observables["spikes"].data
    kinds = (
        given.numpy(),
        given.tolist(),
        given.to_sparse(),
        given.bool(),
        given.bfloat16(),
        given.requires_grad_(),
    )
    for values in kinds:
        assert np.array_equal(to_nir_data({"a": values}, model).nodes["a"].observables["spikes"].data, expected)
    with pytest.raises(TypeError, match="The spikes 'a' are of type dict"):
        to_nir_data({"a": {}}, model)
    with pytest.raises(ValueError, match=r"The spikes 'a' have shape \(3, 4\)"):
        to_nir_data({"a": torch.zeros(3, 4)}, model)
    with pytest.raises(ValueError, match="The spikes 'a' hold NaN"):
        to_nir_data({"a": torch.full((1, 1, 1), torch.nan)}, model)

"""A value goes through the house in one direction, and through few files."""

import pytest
from page import block, drawn

from journeys import drawings, recorded, records


@pytest.fixture(scope="module")
def journeys(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("calibrations"))


def test_leak_reaches_its_capmem_code(journeys):
    """From `Neuron(leak=81.5)` to where the calibration looks for the code: no room twice."""
    journey = journeys["leak"]
    assert journey.calls[0][:2] == ("snn/modules/neuron.py", "Neuron.__init__")
    assert journey.calls[-1][:2] == ("calibration/membrane_steps.py", "calibrate_leak")
    assert journey.rooms[:5] == ["snn/modules", "snn/parameters", "snn/chip", "snn/targets", "calibration"]
    assert len(set(journey.rooms)) == len(journey.rooms) <= 8
    assert len(journey.files) <= 14


def test_a_sample_changes_its_carrier_twice(journeys):
    """Recording of the chip, raw data of a population, processed data of a module; then it is `membrane_cadc`."""
    assert records(journeys["sample"]) == ["Recording", "HardwareObservables", "NeuronData"]


def test_an_input_spike_reaches_the_engine(journeys):
    journey = journeys["event"]
    assert journey.passed[0] == "snn/graph/inputs.py" and journey.calls[-1][1] == "input_stimulus"
    assert len(journey.passed) <= 8


@pytest.mark.parametrize("name", ["leak", "event", "sample"])
def test_the_page_shows_this_journey(journeys, name):
    """`python tests/architecture/draw.py` writes it anew."""
    assert drawn(name) == block(drawings(journeys)[name])


def test_what_goes_back_is_seen():
    """Guards the recorder: a room that is entered again after another shows twice."""
    from record import Journey

    journey = Journey([("a/x.py", "f", "float")], [("a", "float"), ("b", "float"), ("a", "float")])
    assert journey.rooms == ["a", "b", "a"]
    assert journey.drawing().splitlines()[0].startswith("1. a ")

"""Execution instances: names, defaults, and the calibration files that they load."""

import pytest

import hxtorch.snn as hxsnn


def test_execution_instances():
    exp = hxsnn.Experiment()
    instance = exp.default_execution_instance
    assert exp.default_execution_instance is instance
    assert str(instance) == f"ExecutionInstance(ID={instance.ID})"
    assert repr(instance) == str(instance.ID)
    assert hxsnn.ExecutionInstance().ID != instance.ID
    own = hxsnn.ExecutionInstance(input_loopback=True)
    exp.default_execution_instance = own
    assert hxsnn.Synapse(1, 1, exp).execution_instance is own
    assert hxsnn.Synapse(1, 1, exp, instance).execution_instance is instance
    assert hxsnn.Synapse(1, 1, hxsnn.Experiment(mock=True)).execution_instance is None
    exp.clear()
    assert exp.default_execution_instance is not own


def test_load_calib_refuses_nothing_and_missing_files(tmp_path):
    instance = hxsnn.ExecutionInstance()
    with pytest.raises(AssertionError, match="got None"):
        instance.load_calib(None)
    with pytest.raises(FileNotFoundError, match=r"no calibration file .*nothing\.pkl"):
        instance.load_calib(tmp_path / "nothing.pkl")


def test_calibrations_are_parsed_once_per_content(tmp_path, monkeypatch):
    import hxtorch.calibration

    parsed = []
    monkeypatch.setattr(hxtorch.calibration, "load", lambda path: parsed.append(path) or object(), raising=False)
    path = tmp_path / "spiking_calix-native.pkl"
    path.write_bytes(b"one")
    results = {id(hxsnn.ExecutionInstance(path).calibration) for _ in range(10)}
    assert len(parsed) == len(results) == 1
    path.write_bytes(b"three")
    instance = hxsnn.ExecutionInstance()
    assert instance.load_calib(str(path)) is instance.calibration
    assert len(parsed) == 2

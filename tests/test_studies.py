"""The functions of the studies return errors of networks that differ in what they say."""

from dataclasses import replace

import torch

import hxtorch
from hxtorch.reproduce import TASKS
from hxtorch.reproduce.data import load_data
from hxtorch.reproduce.moves import chip_weights, population_weights, software_weights
from hxtorch.reproduce.studies import QUESTIONS, InTheLoopAndTransferred, NeuronsDieLater, ToOtherChips
from hxtorch.study import Condition

SMALL = replace(TASKS["yinyang"].settings, train_size=300, epochs=1, hidden=20)


def test_errors_of_transferred_and_dying_networks(tmp_path):
    both = InTheLoopAndTransferred(SMALL, tmp_path)
    values = both(Condition(chip=3, decalibration=0.3))
    assert set(values) == set(QUESTIONS["decalibration"].shown)
    assert all(0 < value < 1 for value in values.values())
    assert both(Condition(chip=3, decalibration=0.3)) == values  # also with the kept network
    died = NeuronsDieLater(SMALL, tmp_path)(Condition(chip=3, dead_neurons=1.0))
    assert set(died) == set(QUESTIONS["dying-neurons"].shown)
    # without any hidden spike one class is answered for all
    assert died["dead"] > 0.6 and died["dead_dropout"] > 0.6
    assert hxtorch.connection.connected_chip() is None


def test_networks_are_trained_once_and_kept(tmp_path):
    data = load_data(SMALL)
    for make in (
        lambda: software_weights(SMALL, 0, data, tmp_path),
        lambda: chip_weights(SMALL, 0, data, 3, tmp_path),
        lambda: population_weights(SMALL, 0, data, (3, 4), tmp_path),
    ):
        before = set(tmp_path.iterdir())
        first = make()
        assert len(set(tmp_path.iterdir()) - before) == 1
        again = make()
        assert first["network.linear_h.weight"].shape == (20, 25)
        for name, value in first.items():
            assert torch.equal(value, again[name])


def test_errors_of_networks_on_another_chip(tmp_path, monkeypatch):
    monkeypatch.setattr("hxtorch.reproduce.studies._POPULATION", (3,))
    monkeypatch.setattr("hxtorch.reproduce.studies._STEPS", (2, 4))
    monkeypatch.setattr("hxtorch.reproduce.studies.DEFAULT_CHIP_SEED", 3)
    values = ToOtherChips(SMALL, tmp_path)(Condition(chip=3))
    steps = {"steps_2", "steps_4"}
    assert set(values) == {name for name in QUESTIONS["transfer"].shown if "steps" not in name} | steps
    # to the chip it comes from, with the noise of other runs
    for name in ("as_it_is", "recalibrated"):
        assert abs(values[name] - values["home"]) < 0.05
    assert hxtorch.connection.connected_chip() is None

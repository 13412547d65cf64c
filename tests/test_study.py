"""Chips with faults, decalibrated circuits, and studies over them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import hxtorch
from hxtorch import study
from hxtorch.calibration import cached
from hxtorch.examples.spiking.yinyang_model import SNN
from hxtorch.study import Condition, conditions, connected, damaged, decalibrated, prepare
from hxtorch.twin import Die, Noise, VirtualChip

DIE = Die.from_seed(3)


def half(condition):
    return {"half": condition.decalibration / 2 + condition.seed}


def fails_in_the_end(condition):
    if condition.seed == 2:
        raise RuntimeError("the end")
    return {"x": 1.0}


def test_conditions_are_all_combinations():
    found = conditions(chip=[1, 2], noise=[0.0, 1.0], seed=5)
    assert found == [Condition(chip=c, noise=n, seed=5) for c in (1, 2) for n in (0.0, 1.0)]
    with pytest.raises(TypeError, match="no dead_chips"):
        conditions(dead_chips=[1])
    with pytest.raises(ValueError, match=r"dead_neurons is 1\.5"):
        Condition(dead_neurons=1.5)
    with pytest.raises(ValueError, match="noise is -1"):
        Condition(noise=-1)


def test_dead_synapses_and_columns_grow_with_their_rate():
    some, more = (damaged(DIE, Condition(chip=3, dead_synapses=rate)) for rate in (0.1, 0.3))
    for die, rate in ((some, 0.1), (more, 0.3)):
        assert (die.synapse == 0).mean() == pytest.approx(rate, abs=0.01)  # of 131072: 5 sigma are 0.006
        assert die.identifier == DIE.identifier
    assert ((some.synapse == 0) <= (more.synapse == 0)).all()
    columns = (damaged(DIE, Condition(chip=3, dead_columns=0.2)).synapse == 0).all((0, 1))
    assert 0.08 < columns.mean() < 0.32
    assert damaged(DIE, Condition(chip=3, noise=2)) is DIE


def test_decalibration_detunes_by_its_strength():
    result = cached(VirtualChip(DIE))
    assert decalibrated(result, Condition(chip=3)) is result
    spoiled = decalibrated(result, Condition(chip=3, decalibration=0.2))
    ratio = result.neurons.i_bias_leak / spoiled.neurons.i_bias_leak  # of the time constants
    assert ratio.mean() == pytest.approx(1, abs=0.05)
    assert ratio.std() == pytest.approx(0.2, abs=0.03)
    assert spoiled.target == result.target
    dead = decalibrated(result, Condition(chip=3, dead_neurons=0.15)).neurons.v_threshold
    raised = dead != result.neurons.v_threshold
    assert 0.07 < raised.mean() < 0.23  # 512 circuits: 5 sigma are 0.08
    assert (dead[raised] == 1022).all()


def spikes_of(condition):
    torch.manual_seed(0)
    with connected(condition):
        net = SNN(5, 40, 3, False, weight_init_hidden=(1.0, 0.0), weight_scale=60.0)
        inputs = torch.zeros(30, 4, 5)
        inputs[5:25:2] = 1
        prepare(net, inputs, condition)
        with torch.no_grad():
            net(inputs)
        assert net.s_h is not None
        return net.s_h.spikes.sum((0, 1))


def test_a_network_feels_its_faults():
    healthy = spikes_of(Condition(chip=3))
    assert (healthy > 0).all()
    dead = spikes_of(Condition(chip=3, dead_neurons=1.0))
    assert dead.sum() == 0
    silent = spikes_of(Condition(chip=3, dead_synapses=1.0))
    assert silent.sum() == 0
    detuned = spikes_of(Condition(chip=3, decalibration=0.3))
    assert detuned.std() > 1.5 * healthy.std()
    assert hxtorch.connection.connected_chip() is None


def test_study_resumes_and_makes_tables(tmp_path):
    wanted = conditions(decalibration=[0.0, 0.2], seed=[0, 1, 2])
    with pytest.raises(RuntimeError, match="the end"):
        study.study(fails_in_the_end, wanted, jobs=1, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2  # what was finished before it

    found = study.study(half, wanted, jobs=2, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2 + 6
    assert study.study(half, wanted, jobs=1, folder=tmp_path) == found
    assert found.mean("half", ["decalibration"]) == {(0.0,): (1.0, 1.0, 3), (0.2,): (pytest.approx(1.1), 1.0, 3)}
    assert "| 0.2 | 1.100 ± 1.000 | 3 |" in found.table(["half"], ["decalibration"])
    assert len(found.figure(["half"], "decalibration").axes) == 1
    with pytest.raises(ValueError, match="has no what"):
        found.mean("what", ["seed"])
    with pytest.raises(ValueError, match="names of the condition's fields"):
        study.study(lambda condition: {"chip": 1.0}, wanted[:1], jobs=1)


def test_noise_is_scaled():
    with connected(replace(Condition(chip=3), noise=2.0)):
        noise = hxtorch.connection.require_chip().noise
    assert noise.membrane == pytest.approx(2 * Noise().membrane)
    assert noise.membrane_time == Noise().membrane_time
    assert np.isclose(noise.cadc_phase, 1.0)

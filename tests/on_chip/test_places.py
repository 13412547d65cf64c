"""Where neurons lie: coordinates, placement constraints, placement by number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_networks import STEPS, synapse

import hxtorch.snn as hxsnn
from hxtorch.snn.morphology import Morphology, SingleCompartmentNeuron
from hxtorch.snn.morphology.placement import NeuronPlacement
from hxtorch.snn.recording.readout_source import ReadoutSource
from hxtorch.twin import NeuronConfig
from hxtorch.twin.places import coordinates as halco


def test_coordinates_stand_in_for_the_vendors():
    from dlens_vx_v3 import halco as vendor

    assert vendor is halco
    place = vendor.AtomicNeuronOnDLS(vendor.NeuronRowOnDLS(1), vendor.NeuronColumnOnDLS(7))
    assert place == vendor.AtomicNeuronOnDLS(vendor.NeuronColumnOnDLS(7), vendor.NeuronRowOnDLS(1))
    assert int(place) == 263 == int(place.toEnum()) and place == vendor.AtomicNeuronOnDLS(vendor.Enum(263))
    assert place.toNeuronColumnOnDLS() == vendor.NeuronColumnOnDLS(7) != vendor.NeuronRowOnDLS(0)
    assert len(list(vendor.iter_all(vendor.NeuronColumnOnDLS))) == 256
    assert sorted([place, vendor.AtomicNeuronOnDLS(3)])[0] == vendor.AtomicNeuronOnDLS(3)
    for wrong in (512, -1):
        with pytest.raises(ValueError, match="0 to 511"):
            vendor.AtomicNeuronOnDLS(wrong)
    with pytest.raises(TypeError, match="whole number"):
        vendor.NeuronRowOnDLS("top")


def test_neurons_where_the_user_puts_them():
    exp = hxsnn.Experiment()
    shape = SingleCompartmentNeuron(1)
    places = [
        halco.LogicalNeuronOnDLS(
            shape.compartments, halco.AtomicNeuronOnDLS(halco.NeuronRowOnDLS(1), halco.NeuronColumnOnDLS(n))
        )
        for n in (5, 3)
    ]
    offsets = {place: -48.0 + n for n, place in enumerate(places)}
    li = hxsnn.ReadoutNeuron(
        2, exp, placement_constraint=places, trace_offset={**offsets, "elsewhere": 1.0}, neuron_structure=shape
    )
    y = li(synapse(1, 2, exp)(hxsnn.NeuronHandle(torch.zeros(STEPS, 1, 1))))
    hxsnn.run(exp, STEPS)
    assert exp.plans.last.circuits(0).tolist() == [[261], [259]]
    torch.testing.assert_close(y.membrane_cadc[-1, 0], torch.tensor([0.0, -1.0]), atol=1.01, rtol=0)


def test_placement_by_number():
    placement = NeuronPlacement()
    placement.register_id([0, 1], SingleCompartmentNeuron(2))
    placement.register_id(7, SingleCompartmentNeuron(4))
    placement.register_id(8, SingleCompartmentNeuron(4, expand_horizontally=True))
    placement.register_id(9)
    assert [p.circuits for p in placement.id2logicalneuron([0, 1, 7, 8, 9])] == [
        (0, 256), (1, 257), (2, 258, 3, 259), (4, 5, 6, 7), (8,)
    ]  # fmt: skip
    with pytest.raises(ValueError, match="Cannot register LogicalNeuron"):
        placement.register_id(10, None, placement.id2logicalneuron(7))
    with pytest.raises(KeyError):
        placement.id2logicalneuron(99)
    with pytest.raises(ValueError, match="Cannot register ID 258"):
        placement.register_id(range(11, 270), SingleCompartmentNeuron(2))


def place_of(shape, circuit):
    return shape.at(halco.AtomicNeuronOnDLS(circuit))


def test_registers_of_neurons():
    """Each helper changes what it says on the circuits of its neurons, and nothing else."""
    shape = SingleCompartmentNeuron(3)
    places = [place_of(shape, 10), place_of(shape, 20)]
    before = NeuronConfig()
    after = Morphology.implement_morphology(places, before)
    assert np.flatnonzero(np.bincount(after.membrane) > 1).tolist() == [10, 20]
    assert np.flatnonzero(after.membrane == 10).tolist() == [10, 11, 266]
    on = Morphology.set_spike_recording(True, places, after)
    assert np.flatnonzero(on.enable_threshold).tolist() == [10, 20]
    assert not Morphology.disable_spiking(places, on).enable_threshold.any()
    off = Morphology.disable_leak(places[0], before)
    assert np.flatnonzero(~off.enable_leak).tolist() == [10, 11, 266]
    read = Morphology.enable_madc_recording(places[1], before, ReadoutSource.ADAPTATION)
    assert np.flatnonzero(read.readout_source).tolist() == [20] and read.readout_source[20] == 3
    with pytest.warns(UserWarning, match="v_exp is 2000, but CapMem codes are 0 to 1022: set to 1022"):
        exponential = Morphology.set_exponential_params(places, before, v_exp=2000, i_bias_exp=300)
    assert exponential.v_exp[[10, 20]].tolist() == [1022, 1022] and exponential.i_bias_exp[20] == 300
    adapting = Morphology.set_adaptation_base_params(
        places, before, v_adapt_ref=400, v_adapt_leak=300, i_bias_adapt_tau=50
    )
    assert np.flatnonzero(adapting.enable_adaptation).tolist() == [10, 20]
    assert (adapting.v_adapt_ref[10], adapting.v_adapt_leak[10], adapting.i_bias_adapt_tau[10]) == (400, 300, 50)
    assert not before.enable_threshold.any() and before.enable_leak.all()  # the given registers stay


def test_an_instance_that_sets_registers_itself():
    """Without leak a membrane stays where its input has brought it."""

    class Leakless(hxsnn.ExecutionInstance):
        def neuron_config(self, mapping, calibrated):
            neurons = super().neuron_config(mapping, calibrated)
            places = [place_of(SingleCompartmentNeuron(1), int(c)) for c in mapping.main_circuits(0)]
            return Morphology.disable_leak(places, neurons)

    last = []
    for kind in (hxsnn.ExecutionInstance, Leakless):
        exp = hxsnn.Experiment()
        exp.default_execution_instance = kind()
        x = torch.zeros(120, 1, 1)
        x[5] = 1
        options = {"enable_cadc_recording_placement_in_dram": True}
        y = hxsnn.ReadoutNeuron(2, exp, **options)(synapse(1, 2, exp, 40.0)(hxsnn.NeuronHandle(x)))
        hxsnn.run(exp, 120)
        trace = y.membrane_cadc.detach() - y.membrane_cadc.detach()[0]
        last.append((trace[-1] / trace.amax(0)).min())
    assert last[0] < 0.15 and last[1] > 0.9

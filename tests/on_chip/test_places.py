"""Where neurons lie: coordinates, placement constraints, placement by number."""

from __future__ import annotations

import pytest
import torch
from small_networks import STEPS, synapse

import hxtorch.snn as hxsnn
from hxtorch.snn.morphology import SingleCompartmentNeuron
from hxtorch.snn.neuron_placement import NeuronPlacement
from hxtorch.twin import coordinates as halco


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

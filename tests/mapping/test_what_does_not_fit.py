"""What a user reads of networks that do not fit: value, limit, what to do; and that what is promised fits."""

from __future__ import annotations

import re
import warnings
from itertools import pairwise

import pytest
import torch

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch.mapping import MappingError
from hxtorch.snn.morphology import SingleCompartmentNeuron
from hxtorch.twin import Die, Noise


def given(size):
    return hxsnn.NeuronHandle(torch.zeros(5, 1, size))


def layers(*sizes, recurrent=False, structures=None, partition=False, constraints=None, instances=None):
    """Layers one behind the other; the first size is that of the input."""
    exp = hxsnn.Experiment(mock=True, partition=partition)
    handle = given(sizes[0])
    for number, (pre, size) in enumerate(pairwise(sizes)):
        lif = hxsnn.Neuron(
            size,
            exp,
            neuron_structure=None if structures is None else structures[number],
            placement_constraint=None if constraints is None else constraints[number],
            execution_instance=None if instances is None else instances[number],
        )
        fed = [hxsnn.Synapse(pre, size, exp)(handle)]
        if recurrent:
            fed.append(hxsnn.Synapse(size, size, exp)(lif.output_handle))
        handle = lif(*fed)
    return exp


def sparse(exists, recurrent=None, **options):
    exp = hxsnn.Experiment(mock=True)
    lif = hxsnn.Neuron(exists.shape[1], exp, **options)
    fed = [hxsnn.SparseSynapse(exists, exp)(given(exists.shape[0]))]
    if recurrent is not None:
        fed.append(hxsnn.SparseSynapse(recurrent, exp)(lif.output_handle))
    lif(*fed)
    return exp


def blocks(sources, neurons, each):
    """Every neuron hears `each` sources of its own."""
    exists = torch.zeros(sources, neurons)
    for n in range(neurons):
        exists[n * each : (n + 1) * each, n] = 1
    return exists


def parallel():
    exp = hxsnn.Experiment(mock=True)
    lif = hxsnn.Neuron(10, exp, neuron_structure=SingleCompartmentNeuron(1))
    lif(hxsnn.Synapse(100, 10, exp, parallel_rows=3)(given(100)))
    return exp


def two_instances(sizes):
    return layers(*sizes, instances=[hxsnn.ExecutionInstance() for _ in sizes[1:]])


def in_a_circle_over_instances():
    exp = hxsnn.Experiment(mock=True)
    a, b = (hxsnn.Neuron(n, exp, execution_instance=hxsnn.ExecutionInstance()) for n in (3, 4))
    z = a(hxsnn.Synapse(3, 3, exp)(given(3)), hxsnn.Synapse(4, 3, exp)(b.output_handle))
    b(hxsnn.Synapse(3, 4, exp)(z))
    return exp


One, Two, Four = (SingleCompartmentNeuron(n) for n in (1, 2, 4))
CASES = {
    "too many neurons": (
        lambda: layers(20, 600),
        "needs 600 neuron circuits, but the chip has 512 (Neuron(600): 600). Smallest change that fits: 88 "
        "neurons fewer, or 2 execution instances of at most 512 neurons each, as "
        "Experiment(partition=True) makes them.",
    ),
    "too many neurons of several circuits": (
        lambda: layers(100, 400, 200),
        "needs 1200 neuron circuits, but the chip has 512 (Neuron(400): 400, Neuron(200): 200 x 4 = 800). "
        "Smallest change that fits: 172 neurons fewer in Neuron(200), or 3 execution instances of at most "
        "128 neurons of Neuron(200) each",
    ),
    "too many neurons that feed themselves": (
        lambda: layers(3, 600, recurrent=True),
        "needs 3000 neuron circuits, but the chip has 512 (Neuron(600): 600 x 5 = 3000). Smallest change "
        "that fits: 347 neurons fewer.",  # a circle cannot be spread over instances
    ),
    "the same, to be spread": (
        lambda: layers(3, 600, recurrent=True, partition=True),
        "Neuron(600) feeds back and must run at once, which needs 3000 circuits, but the chip has 512. "
        "Smallest change that fits: 347 neurons fewer.",
    ),
    "too many on one of several instances": (
        lambda: two_instances((200, 300, 4)),
        "The part of the network on one execution instance needs 600 neuron circuits, but the chip has 512 "
        "(Neuron(300): 300 x 2 = 600). Smallest change that fits: 44 neurons fewer, or 2 execution "
        "instances in its place, of at most 256 neurons each.",
    ),
    "no neighbours": (
        lambda: layers(5, 3, 3, structures=[SingleCompartmentNeuron(100, True), SingleCompartmentNeuron(60)]),
        "needs 480 of 512 neuron circuits (1st Neuron(3): 3 x 100 = 300, 2nd Neuron(3): 3 x 60 = 180), but "
        "for 2 of the 3 neurons of 2nd Neuron(3) there are no 60 free circuits side by side. Changes that "
        "may fit: fewer circuits per neuron (neuron_structure), or an execution instance of its own.",
    ),
    "fan-in": (
        lambda: layers(400, 10, structures=[Two]),
        "A neuron of Neuron(10) needs 400 signed inputs, but its 2 circuits have 256 "
        "(Synapse(in_features=400, out_features=10): 400). Smallest change that fits: 144 inputs fewer, or "
        "4 circuits per neuron, as neuron_structure=SingleCompartmentNeuron(4)",
    ),
    "fan-in by parallel rows": (
        parallel,
        "needs 300 signed inputs, but a neuron circuit has 128 (Synapse(in_features=100, out_features=10): "
        "100 x 3). Smallest change that fits: 172 inputs fewer, or 3 circuits per neuron",
    ),
    "fan-in beyond the chip": (
        lambda: layers(70_000, 1),
        "A neuron of Neuron(1) needs 70000 signed inputs and with them 547 circuits, but the chip has 512. "
        "Use at most 65536 inputs.",
    ),
    "sources on one bus": (
        lambda: layers(5, 64, 3, constraints=[[*range(32), *range(128, 160)], None], structures=[One, One]),
        "The spikes of 69 sources (input of Synapse(in_features=5, out_features=64): 5, Neuron(64): 64) do "
        "not all find a way to Neuron(3): one of its neurons needs 64 signed inputs, and its 1 circuit has "
        "32 synapse drivers on each of the 4 buses. A bus tells 64 sources apart for each address class, "
        "and more classes leave fewer drivers to each. Neurons of 64 neighbouring columns (0 to 63, ...) "
        "send over two of the buses only. Smallest change that fits: no placement_constraint for "
        "Neuron(64).",
    ),
    "labels": (
        lambda: sparse(blocks(8300, 83, 100)),
        "8300 sources are heard (input of SparseSynapse(in_features=8300, out_features=83): 8300), but the "
        "chip tells 8192 apart. Smallest change that fits: 108 sources fewer.",
    ),
    "labels with neurons": (
        lambda: sparse(blocks(2000, 100, 20), blocks(100, 100, 1)),
        "2100 sources are heard (input of SparseSynapse(in_features=2000, out_features=100): 2000, "
        "Neuron(100): 100), but the chip tells 2048 apart where neurons of the chip are among them. "
        "Smallest change that fits: 52 sources fewer, or",
    ),
    "a circuit of another": (
        lambda: layers(5, 2, 2, constraints=[[3, 4], [4, 5]]),
        "2nd Neuron(2) asks for circuit 4, which 1st Neuron(2) occupies already. Choose disjoint placement",
    ),
    "a circuit twice": (
        lambda: layers(5, 2, constraints=[[3, 3]]),
        "Neuron(2) asks for circuit 3 twice. Give each neuron circuits of its own in placement_constraint.",
    ),
    "a circuit that is not there": (
        lambda: layers(5, 2, constraints=[[3, 512]]),
        "Neuron(2) asks for circuit 512, but the chip has circuits 0 to 511. Correct its placement_constraint.",
    ),
    "over the edge": (
        lambda: layers(5, 1, constraints=[[510]], structures=[SingleCompartmentNeuron(4, True)]),
        "Neuron(1) asks for a neuron of 4 circuits at circuit 510, which is too close to the end of its "
        "row: the last place in this row is 508.",
    ),
    "no neighbours by hand": (
        lambda: layers(5, 1, constraints=[[(0, 2)]]),
        "Neuron(1) asks for a neuron on the circuits [0, 2], but only neighbours in a row and the two "
        "circuits of a column (n and n + 256) can be joined.",
    ),
    "place and structure": (
        lambda: layers(5, 2, constraints=[[(0, 256), (1, 257)]], structures=[Four]),
        "The placement_constraint of Neuron(2) names 2 circuits per neuron, but its neuron_structure has 4.",
    ),
    "a circle over instances": (
        in_a_circle_over_instances,
        "The execution instances of Neuron(3), Neuron(4) need each other's spikes. Instances run one after "
        "another: put populations that feed each other on the same instance.",
    ),
    "instances and partition": (
        lambda: layers(5, 3, 4, instances=[hxsnn.ExecutionInstance() for _ in range(2)], partition=True),
        "Give none of them an execution_instance, or switch partition off.",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_message(name):
    build, text = CASES[name]
    with pytest.raises(MappingError) as error:
        build().mapping_report()
    assert text in str(error.value)


@pytest.mark.parametrize(
    ("structure", "text"),
    [
        ((600,), "A neuron of 600 circuits does not fit: the chip has 512. Use fewer."),
        ((300, True), "A neuron of 300 circuits does not fit: the chip has 256 side by side in a row. Use fewer."),
    ],
)
def test_neurons_larger_than_a_chip(structure, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        SingleCompartmentNeuron(*structure)


@pytest.mark.parametrize("place", ["a", 1.5, None, True, (0, "b")])
def test_what_is_no_place_is_refused_at_construction(place):
    with pytest.raises(TypeError, match=r"is no place for a neuron\. Give the number of a circuit, 0 to 511"):
        hxsnn.Neuron(2, hxsnn.Experiment(mock=True), placement_constraint=[3, place])


def test_places_of_all_kinds():
    for places in ([3, 4], torch.tensor([3, 4]), torch.tensor([3, 4]).numpy(), (3, 4)):
        layers(5, 2, constraints=[places]).mapping_report()


# --- What the messages promise ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "recurrent"),
    [((20, 600), False), ((100, 400, 200), False), ((784, 256, 10), False), ((3, 600), True)],
)
def test_so_many_neurons_fewer_fit_and_no_more(sizes, recurrent):
    with pytest.raises(MappingError) as error:
        layers(*sizes, recurrent=recurrent).mapping_report()
    fewer = int(re.search(r"(\d+) neurons? fewer", str(error.value)).group(1))
    named = re.search(r"fewer in Neuron\((\d+)\)", str(error.value))
    largest = int(named.group(1)) if named else sizes[1]
    changed = [size - fewer if size == largest else size for size in sizes]
    layers(*changed, recurrent=recurrent).mapping_report()
    with pytest.raises(MappingError):
        layers(*[size + (size == largest - fewer) for size in changed], recurrent=recurrent).mapping_report()


@pytest.mark.parametrize("sizes", [(20, 600), (100, 400, 200), (784, 256, 10), (300, 300, 300)])
def test_so_many_instances_are_made(sizes):
    with pytest.raises(MappingError) as error:
        layers(*sizes).mapping_report()
    promised = re.search(
        r"(\d+) execution instances of at most (\d+) neurons(?: of (.*?\)))? each", str(error.value)
    )
    instances, most, name = promised.groups()
    runs = layers(*sizes, partition=True).mapping_report().runs
    assert len(runs) == int(instances)
    named = [layer.neurons for run in runs for layer in run.layers if name in (None, layer.name)]
    assert max(named) == int(most)


def test_more_circuits_route():
    """Neurons of one circuit with 128 of 2,000 inputs do not all find their sources; those of two do."""
    torch.manual_seed(0)
    exists = torch.stack([torch.randperm(2000) < 128 for _ in range(250)], dim=1)
    with pytest.raises(MappingError, match=r"find a way to Neuron.* fits: 2 circuits per neuron in Neuron\(250\)"):
        sparse(exists, neuron_structure=One).mapping_report()
    sparse(exists, neuron_structure=Two).mapping_report()


# --- Weights, and equal names -------------------------------------------------------------------------------


def test_clipped_weights_are_told_once():
    hxtorch.init_hardware(Die.ideal(), noise=Noise.off())
    try:
        exp = hxsnn.Experiment()
        syn, li = hxsnn.Synapse(2, 3, exp, transform=lambda w: 100 * w), hxsnn.ReadoutNeuron(3, exp)
        syn.weight.data = torch.tensor([[0.5, 0.63], [-1.2, 0.6349], [0.1, 1.0]])
        text = r"weights up to 120, but the chip has -63 to 63, which 2 of 6 weights get .*parallel_rows=2"
        with pytest.warns(UserWarning, match=text):
            li(syn(given(2)))
            hxsnn.run(exp, 5)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            li(syn(given(2)))
            hxsnn.run(exp, 5)
    finally:
        hxtorch.release_hardware()


def test_populations_of_the_same_size_are_told_apart():
    (run,) = layers(10, 20, 20, 30).mapping_report().runs
    assert [layer.name for layer in run.layers] == ["1st Neuron(20)", "2nd Neuron(20)", "Neuron(30)"]
    circuits = run.resources[0]
    assert circuits.used == 70 and circuits.by_layer == {
        "1st Neuron(20)": 20,
        "2nd Neuron(20)": 20,
        "Neuron(30)": 30,
    }

import pytest
import torch

from hxtorch.snn import Experiment, InputNeuron, Neuron, NeuronHandle, ReadoutNeuron, Synapse


@pytest.fixture
def net():
    exp = Experiment(mock=True)
    modules = Synapse(2, 3, exp), Neuron(3, exp), Synapse(3, 1, exp), ReadoutNeuron(1, exp)
    return exp, modules


def call(modules, handle):
    for module in modules:
        handle = module(handle)
    return handle


def test_order_and_predecessors(net):
    exp, modules = net
    given = NeuronHandle()
    output = call(modules, given)
    graph = exp.build_graph()
    nodes = graph.modules_in_order
    assert tuple(node.module for node in nodes) == modules
    assert nodes[0].inputs[0] is given
    assert nodes[0].predecessors == (None,)
    assert [node.predecessors for node in nodes[1:]] == [(node,) for node in nodes[:-1]]
    assert nodes[-1].output is output
    assert [(node, id(h)) for node, h in graph.open_inputs] == [(nodes[0], id(given))]


def test_order_does_not_depend_on_the_order_of_calls():
    exp = Experiment(mock=True)
    syn, lif, out = Synapse(1, 1, exp), Neuron(1, exp), Synapse(1, 1, exp)
    late = InputNeuron(1, exp)
    first = lif(syn(late.output_handle))
    out(first)
    late(NeuronHandle())  # a predecessor that is called last
    order = [node.module for node in exp.build_graph().modules_in_order]
    assert order.index(late) < order.index(syn) < order.index(lif) < order.index(out)


def test_structure_key(net):
    exp, modules = net
    keys = []
    for _ in range(2):
        call(modules, NeuronHandle(torch.ones(1, 1, 2)))
        keys.append(exp.build_graph().structure_key)
        exp.clear_calls()
    assert keys[0] == keys[1]
    assert hash(keys[0]) == hash(keys[1])
    call(modules[:2], NeuronHandle())
    assert exp.build_graph().structure_key != keys[0]


def test_structure_key_tells_shared_from_separate_inputs():
    exp = Experiment(mock=True)
    a, b = Synapse(1, 1, exp), Synapse(1, 1, exp)
    keys = []
    for handles in ([NeuronHandle()] * 2, [NeuronHandle(), NeuronHandle()]):
        a(handles[0])
        b(handles[1])
        keys.append(exp.build_graph().structure_key)
        exp.clear_calls()
    assert keys[0] != keys[1]


def test_one_handle_per_module_and_graph(net):
    exp, (syn, lif, *_) = net
    x = NeuronHandle(torch.ones(4, 1, 2))
    first = lif(syn(x))
    assert lif(syn(x)) is first
    exp.clear_calls()
    assert lif(syn(x)) is not first


def test_cycle():
    exp = Experiment(mock=True)
    syn, back = Synapse(1, 1, exp), Synapse(1, 1, exp)
    syn(NeuronHandle(torch.ones(4, 1, 1)), back(syn.output_handle))  # spikes that chase each other in no time
    with pytest.raises(ValueError, match=r"Encountered cyclic dependencies in the network.*Synapse -> Synapse"):
        exp.build_graph()


def test_calls_take_handles(net):
    _, (syn, *_) = net
    with pytest.raises(TypeError, match=r"takes handles, got Tensor. Wrap a tensor"):
        syn(torch.ones(1, 1, 2))
    with pytest.raises(TypeError, match="at least one input"):
        syn()
    with pytest.raises(RuntimeError, match="no experiment"):
        Synapse(1, 1, None)(NeuronHandle())

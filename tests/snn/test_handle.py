import pytest
import torch

from hxtorch.snn import NeuronHandle, ReadoutNeuronHandle, SynapseHandle, TensorHandle


def test_positional_order():
    tensors = [torch.tensor(float(i)) for i in range(4)]
    handle = NeuronHandle(*tensors)
    assert [handle.spikes, handle.membrane_cadc, handle.current, handle.membrane_madc] == tensors
    readout = ReadoutNeuronHandle(*tensors[:3])
    assert [readout.membrane_cadc, readout.current, readout.membrane_madc] == tensors[:3]
    assert SynapseHandle(tensors[0]).graded_spikes is tensors[0]
    assert TensorHandle(tensors[0]).tensor is tensors[0]


def test_holds_put_clear():
    handle = NeuronHandle()
    assert not handle.holds("spikes")
    assert not handle.holds("nonsense")
    handle.put(torch.ones(1), current=torch.zeros(1))
    assert handle.holds("spikes")
    assert handle.holds("current")
    assert not handle.holds("membrane_cadc")
    handle.clear()
    assert handle == NeuronHandle()


def test_put_refuses_what_it_does_not_carry():
    with pytest.raises(AssertionError, match="carries 1 tensors"):
        SynapseHandle().put(torch.ones(1), torch.ones(1))
    with pytest.raises(AssertionError, match="spikes"):
        SynapseHandle().put(spikes=torch.ones(1))


def test_clone_takes_over_tensors():
    source, target = NeuronHandle(torch.ones(2)), NeuronHandle(current=torch.zeros(1))
    target.clone(source)
    assert target.spikes is source.spikes
    assert target.holds("current")
    with pytest.raises(AssertionError, match="not \\['spikes'\\]"):
        ReadoutNeuronHandle().clone(source)


def test_equal_by_content():
    assert NeuronHandle(torch.ones(2)) == NeuronHandle(torch.ones(2))
    assert NeuronHandle(torch.ones(2)) != NeuronHandle(torch.zeros(2))
    assert NeuronHandle(torch.ones(2)) != NeuronHandle()
    assert NeuronHandle() != ReadoutNeuronHandle()
    with pytest.raises(TypeError):
        hash(NeuronHandle())

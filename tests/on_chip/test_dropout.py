"""Dropout and masks: whom a mask silences, for how long, and where; in mock mode and on the chip."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from small_networks import STEPS, spikes, synapse

import hxtorch.snn as hxsnn
from hxtorch.mapping import MappingError

SIZE = 6


class Net:
    """Three inputs, six neurons that all fire, and readouts that show by neuron whom they hear."""

    def __init__(self, exp, readouts=1, **options):
        self.exp = exp
        self.syn, self.lif = synapse(3, SIZE, exp, 60.0), hxsnn.Neuron(SIZE, exp, **options)
        self.outs = [hxsnn.Synapse(SIZE, SIZE, exp) for _ in range(readouts)]
        for out in self.outs:
            out.weight.data = 30 * torch.eye(SIZE)
        self.lis = [hxsnn.ReadoutNeuron(SIZE, exp) for _ in range(readouts)]

    def fire(self):
        return self.lif(self.syn(hxsnn.NeuronHandle(spikes(3))))

    def read(self, *handles):
        ys = [li(out(handle)) for li, out, handle in zip(self.lis, self.outs, handles, strict=True)]
        hxsnn.run(self.exp, STEPS, trial_seed=1)
        return ys


def heard(y):
    """Which neurons a readout hears."""
    trace = y.membrane_cadc.detach()
    return (trace.amax((0, 1)) - trace[0, 0]) > 5


def test_evaluation_has_no_dropout_whatever_was_before(exp):
    net, drop = Net(exp), hxsnn.BatchDropout(SIZE, 0.5, exp)

    def evaluate():
        z = net.fire()
        (y,) = net.read(z)  # `dropout(z) if self.training else z`
        return z.spikes, y.membrane_cadc

    before = evaluate()
    torch.manual_seed(2)
    z = net.fire()
    (y,) = net.read(drop(z))
    assert 0 < heard(y).sum() < SIZE and torch.equal(heard(y), drop.mask)
    y.membrane_cadc.sum().backward()
    after = evaluate()
    assert torch.equal(before[0], after[0]) and torch.equal(before[1], after[1]) and heard(y).sum() < SIZE


def test_branches_are_independent(exp):
    net = Net(exp, readouts=4)
    drops = [hxsnn.BatchDropout(SIZE, 0.5, exp) for _ in range(3)]
    drops[2].eval()
    torch.manual_seed(2)
    z = net.fire()
    dropped = [drop(z) for drop in drops]
    ys = net.read(*dropped, z)
    assert not torch.equal(drops[0].mask, drops[1].mask) and drops[2].mask.all()
    for drop, handle, y in zip(drops, dropped, ys):
        assert torch.equal(handle.spikes, z.spikes * drop.mask) and torch.equal(heard(y), drop.mask)
    assert heard(ys[3]).all() and (z.spikes.sum((0, 1)) > 0).all() and net.lif.mask.all()


def test_the_mask_of_the_user_survives_dropout(exp):
    net, drop = Net(exp, readouts=2), hxsnn.BatchDropout(SIZE, 0.4, exp)
    own = torch.tensor([True, True, True, False, True, False])
    net.lif.mask = own
    for seed in (2, 3):
        torch.manual_seed(seed)
        z = net.fire()
        y, whole = net.read(drop(z), z)
        assert torch.equal(net.lif.mask, own) and not torch.equal(drop.mask, own)
        assert torch.equal(z.spikes.sum((0, 1)) > 0, own)
        assert torch.equal(heard(y), own & drop.mask) and torch.equal(heard(whole), own)


@pytest.mark.parametrize("kind", ["sparse", "parallel", "instances", "unrecorded", "partition"])
def test_synapses_of_all_kinds_behind_a_dropout(kind):
    exp = hxsnn.Experiment(partition=kind == "partition")
    size = 600 if kind == "partition" else SIZE
    places = [hxsnn.ExecutionInstance() for _ in range(2)] if kind in ("instances", "unrecorded") else [None, None]
    syn = synapse(1, size, exp, 60.0, execution_instance=places[0])
    lif = hxsnn.Neuron(
        size, exp, execution_instance=places[0], enable_spike_recording=kind != "unrecorded",
    )  # fmt: skip
    drop = hxsnn.BatchDropout(size, 0.5, exp)
    several = {"execution_instance": places[1], "parallel_rows": 2 if kind == "parallel" else 1}
    reads = torch.arange(size) % SIZE == torch.arange(SIZE)[:, None]
    outs = [
        hxsnn.SparseSynapse(reads.T, exp, **several)
        if kind != "parallel"
        else hxsnn.Synapse(size, SIZE, exp, **several)
        for _ in range(2)
    ]
    for out in outs:
        out.weight.data = (100.0 if kind == "parallel" else 20.0) * reads.float()
    lis = [hxsnn.ReadoutNeuron(SIZE, exp, execution_instance=places[1]) for _ in range(2)]
    x = torch.zeros(STEPS, 2, 1)
    x[5:20:2] = 1
    torch.manual_seed(6)
    z = lif(syn(hxsnn.NeuronHandle(x)))
    ys = [li(out(handle)) for li, out, handle in zip(lis, outs, (drop(z), z))]
    hxsnn.run(exp, STEPS, trial_seed=1)
    assert heard(ys[1]).all()
    kept = torch.tensor([int((drop.mask & reads[n]).sum()) for n in range(SIZE)])
    assert torch.equal(heard(ys[0]), kept > 0) and 0 < kept.sum() < size
    configs = exp.last_run_chip_configs
    assert all(config.enable_events.all() for config in configs.values())
    written = sum(int(np.count_nonzero(config.weights)) for config in configs.values())
    if kind not in ("partition", "parallel"):  # those of two runs, and of two rows each
        assert written == size + int(drop.mask.sum()) + size


def test_a_loop_through_a_dropout(exp):
    syn, lif, back = synapse(3, SIZE, exp, 60.0), hxsnn.Neuron(SIZE, exp), hxsnn.Synapse(SIZE, SIZE, exp)
    back.weight.data = torch.diag(torch.full((SIZE,), -60.0))  # every neuron silences itself
    drop = hxsnn.BatchDropout(SIZE, 0.5, exp)

    def run():
        z = lif(syn(hxsnn.NeuronHandle(spikes(3))), back(drop(lif.output_handle)))
        hxsnn.run(exp, STEPS, trial_seed=1)
        return z.spikes.sum((0, 1))

    torch.manual_seed(2)
    counts = run()
    assert 0 < drop.mask.sum() < SIZE
    assert (counts[~drop.mask] > counts[drop.mask].max()).all() and (counts > 0).all()
    drop.eval()
    assert (run() == counts[torch.nonzero(drop.mask)[0]]).sum() >= 1 and run().max() < counts.max()


def test_drawn_anew_and_kept_by_earlier_results(exp):
    net, drop = Net(exp), hxsnn.BatchDropout(SIZE, 0.5, exp)
    torch.manual_seed(2)
    results = []
    for _ in range(3):
        z = net.fire()
        dropped = drop(z)
        (y,) = net.read(dropped)
        results.append((drop.mask, dropped, z, y))
    masks = [mask for mask, *_ in results]
    assert not all(torch.equal(mask, masks[0]) for mask in masks)
    for mask, dropped, z, y in results:
        assert torch.equal(dropped.spikes, z.spikes * mask) and torch.equal(heard(y), mask)
        net.outs[0].weight.grad = None
        y.membrane_cadc.sum().backward()
        assert torch.equal(net.outs[0].weight.grad.abs().sum(0) > 0, mask)


# --- Modules of users ---------------------------------------------------------------------------------------


class Alternating(hxsnn.BatchDropout):
    def set_mask(self):
        self.mask = [n % 2 for n in range(self.size)]
        return self.mask


class Half(hxsnn.modules.HXFunctionalModule):
    """Passes the first neurons on, in the model; on the chip if `honest`."""

    output_type, input_field = hxsnn.NeuronHandle, "spikes"
    honest = True

    def forward_func(self, input):
        return hxsnn.NeuronHandle(input.spikes * (torch.arange(input.spikes.shape[2]) < SIZE // 2))

    @property
    def chip_mask(self):
        return torch.arange(SIZE) < SIZE // 2 if self.honest else None


def test_own_dropout_modules(exp):
    net, drop = Net(exp), Alternating(SIZE, 0.5, exp)
    (y,) = net.read(drop(net.fire()))
    assert heard(y).tolist() == [False, True] * 3
    half = Half(exp)
    (y,) = net.read(half(net.fire()))
    assert heard(y).tolist() == [True] * 3 + [False] * 3
    half.honest = False
    (y,) = net.read(half(net.fire()))
    assert heard(y)[3:].all() == (not exp.mock)  # whatever else a function does, the chip does not do


def test_what_the_chip_cannot_do_is_refused():
    exp = hxsnn.Experiment()
    net, half = Net(exp, readouts=2), Half(exp)
    second, other = hxsnn.Synapse(3, SIZE, exp), hxsnn.Neuron(SIZE, exp)
    with pytest.raises(MappingError, match="reads 2 handles, which have no common spikes"):
        net.read(half(net.fire(), other(second(hxsnn.NeuronHandle(spikes(3))))), net.lif.output_handle)


# --- Masks as values ----------------------------------------------------------------------------------------

WANTED = [True, False, True, True, False, True]
READ_ONLY = np.array(WANTED)
READ_ONLY.flags.writeable = False


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "given",
    [
        WANTED,
        tuple(int(kept) for kept in WANTED),
        np.array(WANTED),
        np.array(WANTED, dtype=np.float64) * 3,
        READ_ONLY,
        torch.tensor(WANTED),
        torch.tensor(WANTED, dtype=torch.int32),
        torch.tensor(WANTED, dtype=torch.float16),
        torch.tensor(WANTED, dtype=torch.float64, requires_grad=True),
        torch.tensor(WANTED).to_sparse(),
    ],
)
def test_masks_of_any_kind(given):
    exp = hxsnn.Experiment(mock=True)
    for module in (hxsnn.Neuron(SIZE, exp), hxsnn.BatchDropout(SIZE, 0.5, exp)):
        module.mask = given
        assert module.mask.dtype == torch.bool and module.mask.tolist() == WANTED
        for bad in ([True] * 5, torch.ones(1, SIZE), True, torch.ones(SIZE, device="meta")):
            with pytest.raises(ValueError, match="mask"):
                module.mask = bad
        assert module.mask.tolist() == WANTED


@pytest.mark.parametrize("make", [torch.tensor, np.array])
def test_masks_are_copies(make):
    exp = hxsnn.Experiment(mock=True)
    for module in (hxsnn.Neuron(SIZE, exp), hxsnn.BatchDropout(SIZE, 0.5, exp)):
        given = make(WANTED)
        module.mask = given
        given[:] = False
        module.mask[:] = False
        assert module.mask.tolist() == WANTED
    drop = hxsnn.BatchDropout(SIZE, 0.5, exp)
    drawn = drop.set_mask()
    kept = drawn.clone()
    drawn[:] = ~drawn
    assert torch.equal(drop.mask, kept)
    connections = torch.eye(SIZE)
    sparse = hxsnn.SparseSynapse(connections, exp)
    sparse.mask[:] = True
    assert torch.equal(sparse.mask, torch.eye(SIZE) > 0)


def test_masks_in_copies_and_state_dicts():
    exp = hxsnn.Experiment(mock=True)
    lif, drop = hxsnn.Neuron(SIZE, exp), hxsnn.BatchDropout(SIZE, 0.5, exp)
    lif.mask = WANTED
    drop.mask = WANTED
    assert not lif.state_dict() and not drop.state_dict()
    for module in (lif, drop):
        other = copy.deepcopy(module)
        assert other.mask.tolist() == WANTED
        other.mask = [False] * SIZE
        assert module.mask.tolist() == WANTED
        module.load_state_dict({})
        assert module.to(torch.float64).mask.tolist() == WANTED
    lif.mask = None
    assert lif.mask.all() and not lif.masks_neurons


def test_a_sparse_synapse_knows_its_synapses_after_to_empty():
    exp = hxsnn.Experiment(mock=True)
    exists = torch.rand(SIZE, 40, generator=torch.Generator().manual_seed(0)) < 0.5
    with torch.device("meta"):
        one, other = (hxsnn.SparseSynapse(exists.tolist(), exp) for _ in range(2))
    one.to_empty(device="cpu")
    other.load_state_dict({"weight": torch.ones(40, SIZE)}, assign=True)
    for module in (one, other):
        module.weight.data.fill_(1.0)
        assert torch.equal(module.effective_weight, exists.T.float())
        assert module.weight.device == torch.device("cpu")


# --- Device, dtype and mode of the moment -------------------------------------------------------------------


@pytest.fixture
def odd_defaults():
    torch.set_default_device("meta")
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)


def test_masks_do_not_depend_on_the_defaults_of_torch(exp, odd_defaults):
    torch.set_default_device(None)
    torch.set_default_dtype(torch.float32)
    net, drop = Net(exp), hxsnn.BatchDropout(SIZE, 0.5, exp)
    torch.manual_seed(2)
    (y,) = net.read(drop(net.fire()))
    usual = drop.mask
    given = hxsnn.NeuronHandle(spikes(3))
    torch.manual_seed(2)
    with torch.inference_mode():
        torch.set_default_device("meta")
        torch.set_default_dtype(torch.float64)
        drop.set_mask()
        net.lif.mask = WANTED
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert torch.equal(drop.mask, usual) and drop.mask.device == torch.device("cpu")
    assert net.lif.mask.tolist() == WANTED and not net.lif.mask.is_inference()
    z = net.lif(net.syn(given))
    y = net.lis[0](net.outs[0](drop(z)))
    hxsnn.run(exp, STEPS)
    y.membrane_cadc.sum().backward()  # nothing of the mode is left
    assert net.syn.weight.grad is not None and torch.equal(z.spikes.sum((0, 1)) > 0, torch.tensor(WANTED))


def test_a_dropout_made_on_the_meta_device_runs_with_loaded_weights(exp):
    with torch.device("meta"):
        drop = hxsnn.BatchDropout(SIZE, 0.5, exp)
    net = Net(exp)
    torch.manual_seed(2)
    (y,) = net.read(drop(net.fire()))
    assert torch.equal(heard(y), drop.mask) and 0 < drop.mask.sum() < SIZE


def test_a_run_in_inference_mode_leaves_nothing_behind(exp):
    net, drop = Net(exp), hxsnn.BatchDropout(SIZE, 0.5, exp)
    with torch.inference_mode():
        net.read(drop(net.fire()))
    assert not drop.mask.is_inference()
    (y,) = net.read(drop(net.fire()))
    y.membrane_cadc.sum().backward()
    assert torch.equal(net.outs[0].weight.grad.abs().sum(0) > 0, drop.mask)


def test_the_chip_does_not_depend_on_the_defaults_of_torch():
    exp = hxsnn.Experiment()
    net, found = Net(exp, trace_scale=dict.fromkeys(range(SIZE), 2.0)), []
    for device, dtype in ((None, torch.float32), ("meta", torch.float64)):
        net.lis[0](net.outs[0](net.fire()))
        torch.manual_seed(1)
        torch.set_default_device(device)
        torch.set_default_dtype(dtype)
        try:
            found.append(exp.get_hw_results(STEPS)[0])
        finally:
            torch.set_default_device(None)
            torch.set_default_dtype(torch.float32)
            exp.clear_calls()
    for module in (net.lif, net.lis[0]):
        assert torch.equal(found[1][module].cadc, found[0][module].cadc) and found[1][module].cadc.std() > 0
    assert torch.equal(found[1][net.lif].spikes, found[0][net.lif].spikes)

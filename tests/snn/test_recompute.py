"""Networks computed in pieces of time: values and gradients as in one go, memory as for one piece."""

import gc
import subprocess
import sys
import textwrap

import pytest
import torch
from torch.testing import assert_close

from hxtorch import snn

UNIT = {
    "leak": snn.MixedHXModelParameter(0.0, 80),
    "reset": snn.MixedHXModelParameter(0.0, 80),
    "threshold": snn.MixedHXModelParameter(1.0, 125),
}


def network(checkpoint_steps, kind, recurrent, trained=False):
    torch.manual_seed(3)
    experiment = snn.Experiment(mock=True, checkpoint_steps=checkpoint_steps)
    first = snn.Synapse(12, 20, experiment)
    hidden = kind(20, experiment, **UNIT)
    loop = snn.Synapse(20, 20, experiment) if recurrent else None
    second = snn.Synapse(20, 4, experiment)
    out = snn.ReadoutNeuron(4, experiment, leak=UNIT["leak"])
    torch.nn.init.normal_(first.weight, 0.3, 0.5)
    if trained:
        hidden.threshold.make_trainable()
        hidden.tau_mem.make_trainable()

    def forward(x):
        drive = [first(snn.NeuronHandle(x))]
        if loop is not None:
            drive.append(loop(hidden.output_handle))
        z = hidden(*drive)
        y = out(second(z))
        snn.run(experiment, None)
        return y, z

    parameters = [p for m in (first, hidden, loop, second, out) if m is not None for p in m.parameters()]
    return forward, [p for p in parameters if p.requires_grad]


@pytest.mark.parametrize("piece", [1, 7, 16, 100])
@pytest.mark.parametrize(
    ("kind", "recurrent"),
    [(snn.Neuron, False), (snn.LIF, False), (snn.AELIF, False), (snn.Neuron, True), (snn.LIF, True)],
)
def test_pieces_give_what_the_whole_gives(piece, kind, recurrent):
    g = torch.Generator().manual_seed(0)
    x = (torch.rand(50, 6, 12, generator=g) < 0.2).float()
    target = torch.randn(50, 6, 4, generator=g)
    found = []
    for length in (None, piece):
        forward, parameters = network(length, kind, recurrent)
        inputs = x.clone().requires_grad_()
        y, z = forward(inputs)
        loss = (y.membrane_cadc - target).square().mean()
        grads = torch.autograd.grad(loss, [inputs, *parameters], allow_unused=True)
        found.append((y.membrane_cadc.detach(), z.spikes.detach(), z.membrane_cadc.detach(), *grads))
    assert found[0][1].sum() > 50
    for whole, pieces in zip(*found):
        assert_close(pieces, whole, rtol=1e-5, atol=1e-6)


def test_gradients_of_neuron_parameters_pass_through_the_pieces():
    x = (torch.rand(40, 5, 12, generator=torch.Generator().manual_seed(1)) < 0.2).float()
    found = []
    for length in (None, 9):
        forward, parameters = network(length, snn.LIF, False, trained=True)
        y, _ = forward(x)
        found.append(torch.autograd.grad(y.membrane_cadc.square().sum(), parameters, allow_unused=True))
    assert sum(g is not None for g in found[0]) == 4
    for whole, pieces in zip(*found):
        assert_close(pieces, whole, rtol=2e-5, atol=1e-5)


def test_hidden_populations_have_gradients_too():
    x = (torch.rand(30, 5, 12, generator=torch.Generator().manual_seed(1)) < 0.2).float()
    found = []
    for length in (None, 8):
        forward, parameters = network(length, snn.Neuron, False)
        _, z = forward(x)
        found.append(torch.autograd.grad(z.spikes.sum(), parameters[0])[0])
    assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)


def test_hidden_populations_show_the_run_after_weights_have_changed():
    x = (torch.rand(30, 4, 12, generator=torch.Generator().manual_seed(3)) < 0.3).float()
    found = []
    for change in (False, True):
        forward, parameters = network(8, snn.Neuron, False)
        _, z = forward(x.clone())
        if change:
            with torch.no_grad():
                parameters[0].mul_(0.5)
        gradient = torch.autograd.grad(z.membrane_cadc.square().sum(), parameters[0])[0]
        found.append((z.spikes, z.membrane_cadc, z.current, gradient))
    assert found[0][0].any()
    for got, expected in zip(found[1], found[0], strict=True):
        assert torch.equal(got, expected)


def changed(experiment, modules, x, what):
    """What scripts do between a run and its backward pass."""
    synapse, neuron, dropout, readout = modules
    if what == "another training run":
        torch.manual_seed(9)
        readout[1](readout[0](dropout(neuron(synapse(snn.NeuronHandle(1 - x))))))
        snn.run(experiment, None)
    elif what == "an evaluation":
        dropout.eval()
        readout[1](readout[0](dropout(neuron(synapse(snn.NeuronHandle(x))))))
        snn.run(experiment, None)
    elif what == "alpha":
        neuron.alpha = 3.0
    elif what == "threshold":
        neuron.threshold = snn.MixedHXModelParameter(0.3, 125)
    elif what == "a mask":
        neuron.mask = torch.arange(20) < 10
    elif what == "weights":
        synapse.weight.data.clamp_(-0.1, 0.1)
        readout[0].weight.data.mul_(2)
    elif what == "the input":
        x.numpy()[:] = 1
    elif what == "the dropout's mask":
        dropout.mask = torch.zeros(20, dtype=torch.bool)
    elif what == "the time constant":
        with torch.no_grad():
            neuron.tau_mem.model_value.mul_(3)


@pytest.mark.parametrize(
    "what",
    ["nothing", "another training run", "an evaluation", "alpha", "threshold", "a mask", "weights", "the input",
     "the dropout's mask", "the time constant"],
)  # fmt: skip
@pytest.mark.parametrize("length", [None, 7])
def test_backward_recomputes_the_run_that_was(what, length):
    found = []
    for change in ("nothing", what):
        experiment = snn.Experiment(mock=True, checkpoint_steps=length)
        torch.manual_seed(5)
        unit = {"leak": 0.0, "reset": 0.0, "threshold": 1.0}
        unit = {name: snn.MixedHXModelParameter(value, 100) for name, value in unit.items()}
        synapse, dropout = snn.Synapse(12, 20, experiment), snn.BatchDropout(20, 0.4, experiment)
        neuron = snn.LIF(20, experiment, **unit, tau_mem=snn.MixedHXModelParameter(1e-5, 1e-5).make_trainable())
        readout = snn.Synapse(20, 3, experiment), snn.LI(3, experiment, leak=unit["leak"])
        for item in (synapse, readout[0]):
            torch.nn.init.normal_(item.weight, 0.3, 0.5)
        x = (torch.rand(30, 6, 12, generator=torch.Generator().manual_seed(3)) < 0.3).float()
        torch.manual_seed(7)
        y = readout[1](readout[0](dropout(neuron(synapse(snn.NeuronHandle(x))))))
        snn.run(experiment, None)
        changed(experiment, (synapse, neuron, dropout, readout), x, change)
        trained = [synapse.weight, readout[0].weight, neuron.tau_mem.model_value]
        found.append(torch.autograd.grad(y.membrane_cadc.square().sum(), trained))
    assert all(gradient.abs().sum() > 0 for gradient in found[0])
    for got, expected in zip(found[1], found[0], strict=True):
        assert torch.equal(got, expected)


def test_modules_with_a_function_of_their_own_are_refused():
    experiment = snn.Experiment(mock=True, checkpoint_steps=10)
    synapse, neuron = snn.EventPropSynapse(4, 3, experiment), snn.EventPropLIF(3, experiment)
    neuron(synapse(snn.NeuronHandle(torch.ones(20, 2, 4))))
    with pytest.raises(ValueError, match="cannot be computed in pieces"):
        snn.run(experiment, None)
    forward, _ = network(10, snn.AELIF, True)
    with pytest.raises(ValueError, match="loop of populations cannot be computed in pieces"):
        forward(torch.ones(20, 2, 12))
    with pytest.raises(ValueError, match="checkpoint_steps"):
        snn.Experiment(mock=True, checkpoint_steps=0)


def test_input_neurons_and_dropout_pass_on():
    x = (torch.rand(30, 5, 12, generator=torch.Generator().manual_seed(1)) < 0.2).float()
    found = []
    for length in (None, 8):
        experiment = snn.Experiment(mock=True, checkpoint_steps=length)
        torch.manual_seed(5)
        modules = [
            snn.InputNeuron(12, experiment),
            snn.Synapse(12, 20, experiment),
            snn.Neuron(20, experiment, **UNIT),
            snn.BatchDropout(20, 0.5, experiment),
            snn.Synapse(20, 3, experiment),
            snn.ReadoutNeuron(3, experiment, leak=UNIT["leak"]),
        ]
        torch.nn.init.normal_(modules[1].weight, 0.3, 0.5)
        handle = snn.NeuronHandle(x)
        handles = [handle := module(handle) for module in modules]
        snn.run(experiment, None)
        grads = torch.autograd.grad(handle.membrane_cadc.square().sum(), [m.weight for m in modules[1::3]])
        found.append((handle.membrane_cadc, handles[3].spikes, *grads))
    assert found[0][1].sum() > 20
    for whole, pieces in zip(*found):
        assert_close(pieces, whole, rtol=1e-5, atol=1e-6)


def test_nothing_is_left_to_the_garbage_collector():
    forward, _ = network(8, snn.Neuron, True)
    x = (torch.rand(30, 5, 12) < 0.2).float()
    forward(x)
    gc.collect()
    gc.disable()
    try:
        before = len([o for o in gc.get_objects() if type(o) is torch.Tensor])
        for _ in range(3):
            y, _ = forward(x)
            y.membrane_cadc.sum().backward()
            del y
        after = len([o for o in gc.get_objects() if type(o) is torch.Tensor])
    finally:
        gc.enable()
    assert after - before < 10


def test_long_sequences_need_a_fifth_of_the_memory():
    code = """
        import contextlib, sys, torch
        from pathlib import Path
        from hxtorch import snn

        def kilobytes(name):
            lines = Path("/proc/self/status").read_text().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith(name))

        def network(piece):
            experiment = snn.Experiment(mock=True, checkpoint_steps=piece)
            leak = snn.MixedHXModelParameter(0.0, 80)
            unit = dict(leak=leak, reset=leak, threshold=snn.MixedHXModelParameter(1.0, 125))
            layers = [snn.Synapse(8, 256, experiment), snn.Neuron(256, experiment, **unit),
                      snn.Synapse(256, 256, experiment), snn.Neuron(256, experiment, **unit),
                      snn.Synapse(256, 4, experiment), snn.ReadoutNeuron(4, experiment, leak=leak)]
            def step(x):
                handle = snn.NeuronHandle(x)
                for layer in layers:
                    handle = layer(handle)
                snn.run(experiment, None)
                handle.membrane_cadc.square().mean().backward()
            return step

        # The smaller one first: memory that is given back may stay with the process.
        for piece in (200, None):
            step = network(piece)
            step((torch.rand(200, 32, 8) < 0.1).float())
            x = (torch.rand(6000, 32, 8) < 0.1).float()
            with contextlib.suppress(OSError):  # the peak begins anew: that of the compiler may be higher
                Path("/proc/self/clear_refs").write_text("5")
            before = kilobytes("VmRSS")
            step(x)
            print(kilobytes("VmHWM") - before)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    in_pieces, at_once = map(int, done.stdout.split())
    assert in_pieces > 0
    assert at_once > 5 * in_pieces

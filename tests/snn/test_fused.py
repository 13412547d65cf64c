"""The fused kernels against the reference: values, gradients, threads, processes, compilation."""

import multiprocessing
import threading
from dataclasses import fields

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from hxtorch.snn import functional as F
from hxtorch.snn.functional import workspace


def uniform(generator, low, high, *shape):
    return (torch.rand(*shape, generator=generator) * (high - low) + low).requires_grad_()


def parts_of(generator, n, firing, refractory, exponential, adaptation, method, per_neuron, at_spikes=False):
    def p(low, high):
        return uniform(generator, low, high, n) if per_neuron else (low + high) / 2

    membrane = F.Membrane(p(-0.1, 0.1), p(5e-6, 1e-5), p(8e-6, 1.2e-5), p(0.9, 1.1))
    fire = None
    if firing:
        fire = F.Firing(p(0.5, 0.6), p(-0.1, 0.0), method, 7.0, 2.0 if refractory else None, at_spikes)
    exp = F.Exponential(p(0.2, 0.3), p(0.3, 0.4)) if exponential else None
    adapt = F.Adaptation(p(2e-5, 3e-5), p(1.0, 2.0), p(0.1, 0.3)) if adaptation else None
    return membrane, fire, exp, adapt


def leaves_of(*parts):
    values = [getattr(part, item.name) for part in parts if part is not None for item in fields(part)]
    return [value for value in values if isinstance(value, torch.Tensor)]


def compare(x, parts, measured=None, recurrent=None, state=None, seed=0):
    """Both implementations, with a random gradient on every output."""
    generator = torch.Generator().manual_seed(seed)
    inputs = [x.requires_grad_(), *leaves_of(*parts)]
    inputs += [item.requires_grad_() for item in (recurrent, state) if item is not None]
    weights = [torch.randn(x.shape, generator=generator) for _ in range(4)]
    weights.append(torch.randn(4, *x.shape[1:], generator=generator))
    weights[4][3] = 0
    results = []
    for integrate in (F.integrate, F.integrate_reference):
        states = integrate(x, *parts, measured, recurrent=recurrent, state=state)
        outputs = [states.membrane, states.current, states.spikes, states.adaptation, states.last]
        loss = sum((o * w).sum() for o, w in zip(outputs, weights, strict=True) if o is not None)
        results.append((outputs, torch.autograd.grad(loss, inputs, allow_unused=True)))
    (ours, our_grads), (theirs, their_grads) = results
    for a, b in zip(ours, theirs, strict=True):
        if b is None:
            assert a is None
        else:
            assert_close(a, b, rtol=1e-5, atol=1e-6)
    for a, b, leaf in zip(our_grads, their_grads, inputs, strict=True):
        a = torch.zeros_like(leaf) if a is None else a
        b = torch.zeros_like(leaf) if b is None else b
        # As the effect of a relative change, which is of order one: sums over time cancel, and what is left
        # of them is as exact as their terms.
        scale = leaf.detach().abs().max()
        a, b = a * scale, b * scale
        assert_close(a, b, rtol=1e-5, atol=1e-5 * (b.abs().max().item() + 1.0))


@settings(max_examples=60, deadline=None)
@given(
    steps=st.integers(1, 12),
    batch=st.integers(1, 3),
    size=st.sampled_from([1, 2, 7, 16, 33]),
    firing=st.booleans(),
    refractory=st.booleans(),
    exponential=st.booleans(),
    adaptation=st.booleans(),
    per_neuron=st.booleans(),
    recurrent=st.booleans(),
    chip=st.sampled_from(["", "v", "z", "vz", "vzw"]),
    at_spikes=st.booleans(),
    method=st.sampled_from(sorted(F.SURROGATES)),
    seed=st.integers(0, 10_000),
)
def test_equals_the_reference(
    steps, batch, size, firing, refractory, exponential, adaptation, per_neuron, recurrent, chip, at_spikes, method,
    seed,
):  # fmt: skip
    g = torch.Generator().manual_seed(seed)
    exponential = exponential and firing and "z" not in chip  # else the membrane runs away, as it should
    parts = parts_of(g, size, firing, refractory, exponential, adaptation, method, per_neuron, at_spikes)
    measured = F.Measured(
        torch.randn(steps, batch, size, generator=g) if "v" in chip else None,
        (torch.rand(steps, batch, size, generator=g) < 0.2).float() if "z" in chip and firing else None,
        torch.randn(steps, batch, size, generator=g) if "w" in chip and adaptation else None,
    )
    weights = torch.randn(size, size, generator=g) * 0.3 / size**0.5 if recurrent and firing else None
    state = None
    if seed % 3 == 0:
        state = torch.randn(4, batch, size, generator=g) * 0.2
        state[3] = (state[3] > 0.1).float() if refractory and firing else 0.0
    compare(torch.randn(steps, batch, size, generator=g), parts, measured, weights, state, seed)


@pytest.mark.parametrize("shape", [(5, 2, 600), (3, 40, 70), (1, 1, 1), (2, 513, 1)])
def test_equals_the_reference_over_several_blocks(shape):
    g = torch.Generator().manual_seed(4)
    parts = parts_of(g, shape[2], True, True, True, True, "superspike", True)
    compare(torch.randn(shape, generator=g), parts)


def test_parameters_per_batch_entry():
    g = torch.Generator().manual_seed(5)
    leak, threshold = uniform(g, -0.1, 0.1, 3, 1), uniform(g, 0.4, 0.6, 3, 5)
    compare(torch.randn(9, 3, 5, generator=g), (F.Membrane(leak, 5e-6, 1e-5), F.Firing(threshold, 0.0), None, None))
    with pytest.raises(ValueError, match=r"shape \(4,\) do not fit"):
        F.integrate(torch.zeros(2, 3, 5), F.Membrane(torch.zeros(4), 5e-6, 1e-5))


def test_continues_from_a_state():
    g = torch.Generator().manual_seed(6)
    parts = parts_of(g, 4, True, True, False, True, "superspike", False)
    x = torch.randn(20, 2, 4, generator=g)
    whole = F.integrate(x, *parts)
    first = F.integrate(x[:7], *parts)
    rest = F.integrate(x[7:], *parts, state=first.last)
    assert torch.equal(torch.cat([first.spikes, rest.spikes]), whole.spikes)
    assert torch.equal(torch.cat([first.membrane, rest.membrane]), whole.membrane)
    assert torch.equal(rest.last, whole.last)


def test_gradients_of_the_reference_match_finite_differences():
    g = torch.Generator().manual_seed(7)
    x = torch.randn(6, 2, 3, generator=g, dtype=torch.float64, requires_grad=True)
    values = [torch.rand(3, generator=g, dtype=torch.float64) + 1 for _ in range(8)]

    def membrane(x, leak, tau, c, conductance, slope, start, strength, tau_w):
        states = F.integrate(
            x,
            F.Membrane(leak, tau * 5e-6, c * 1e-5, conductance),
            None,
            F.Exponential(slope, start * 5),
            F.Adaptation(tau_w * 2e-5, strength),
        )
        return states.membrane, states.adaptation

    assert torch.autograd.gradcheck(membrane, (x, *(v.requires_grad_() for v in values)))


def run_once(shape=(60, 40, 64)):
    g = torch.Generator().manual_seed(8)
    x = (torch.randn(shape, generator=g) + 0.3).requires_grad_()
    weight = (torch.randn(50, shape[2], generator=g) * 0.4).requires_grad_()
    recurrent = (torch.randn(50, 50, generator=g) * 0.1).requires_grad_()
    hidden = F.integrate(x, F.Membrane(0.0, 1e-5, 1e-5), F.Firing(0.6, 0.0)).spikes
    states = F.integrate(
        F.linear(hidden, weight), F.Membrane(0.0, 1e-5, 1e-5), F.Firing(1.0, 0.0), recurrent=recurrent
    )
    grads = torch.autograd.grad(states.membrane.square().sum() + states.spikes.sum(), (x, weight, recurrent))
    return states.membrane.detach(), *grads[:2]


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_result_does_not_depend_on_the_number_of_threads(three_threads):
    many = run_once()
    torch.set_num_threads(1)
    for a, b in zip(many, run_once(), strict=True):
        assert torch.equal(a, b)


def test_several_threads_of_python():
    expected = run_once()[0]
    results = []
    threads = [threading.Thread(target=lambda: results.append(run_once()[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(torch.equal(result, expected) for result in results)


def _in_child(queue):
    torch.set_num_threads(1)  # as workers of a DataLoader do: torch's own pool does not survive a fork
    g = torch.Generator().manual_seed(8)
    states = F.integrate(torch.randn(60, 40, 64, generator=g), F.Membrane(0.0, 1e-5, 1e-5))
    queue.put(float(states.membrane.sum()))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
def test_after_fork():
    g = torch.Generator().manual_seed(8)
    states = F.integrate(torch.randn(60, 40, 64, generator=g), F.Membrane(0.0, 1e-5, 1e-5))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,), daemon=True)
    child.start()
    try:
        assert queue.get(timeout=60) == pytest.approx(float(states.membrane.sum()), rel=1e-5)
        child.join(60)
        assert child.exitcode == 0
    finally:
        child.kill()  # a child that hangs must not keep the tests from ending


def test_an_error_in_a_thread_is_raised():
    from hxtorch.snn.functional.kernels.threads import share

    def fail(begin, end):
        raise ValueError("here")

    with pytest.raises(ValueError, match="here"):
        share(fail, 100)


def test_compiles_as_one_graph():
    def loss(x, threshold):
        states = F.integrate(x, F.Membrane(0.0, 1e-5, 1e-5), F.Firing(threshold, 0.0, refractory_steps=1.0))
        return states.spikes.sum() + states.membrane.square().sum()

    g = torch.Generator().manual_seed(9)
    x, threshold = uniform(g, 0, 1, 30, 4, 5), uniform(g, 0.4, 0.6, 5)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    ours = torch.autograd.grad(compiled(x, threshold), (x, threshold))
    for a, b in zip(ours, torch.autograd.grad(loss(x, threshold), (x, threshold)), strict=True):
        assert_close(a, b)


def test_operator_keeps_the_rules_of_torch():
    parameters = torch.rand(13, 5, generator=torch.Generator().manual_seed(1)).requires_grad_()
    x = torch.rand(6, 2, 5, requires_grad=True)
    arguments = (x, parameters, None, None, None, None, None, [1, 1, 0, 0, 1, 0, 1], 50.0)
    torch.library.opcheck(torch.ops.hxtorch.integrate.default, arguments)


def test_second_derivatives_are_refused_with_a_way_out():
    x = torch.ones(5, 1, 1, requires_grad=True)
    spikes = F.integrate(x, F.Membrane(0.0, 1e-5, 1e-5), F.Firing(1.0, 0.0)).spikes
    with pytest.raises(RuntimeError, match="reference_numerics"):
        torch.autograd.grad(spikes.sum(), x, create_graph=True)


def test_function_transforms_take_the_reference():
    x = torch.ones(5, 2, 1)

    def loss(x):
        return F.integrate(x, F.Membrane(0.0, 1e-5, 1e-5), F.Firing(0.1, 0.0)).membrane.sum()

    expected = torch.autograd.grad(loss(x.requires_grad_()), x)[0]
    assert_close(torch.func.grad(loss)(x.detach()), expected)


def test_memory_is_used_again():
    workspace.set_workspace_limit(0)
    workspace.set_workspace_limit(workspace.DEFAULT_LIMIT)
    first = workspace.empty((100, 1000))
    address = first.data_ptr()
    view = first[3:]
    del first
    assert workspace.workspace_bytes() == 0  # still seen through the view
    view.fill_(1.0)
    del view
    assert workspace.workspace_bytes() == 400_000
    again = workspace.empty((1000, 100))
    assert again.data_ptr() == address
    del again
    workspace.set_workspace_limit(1000)
    assert workspace.workspace_bytes() == 0
    workspace.set_workspace_limit(workspace.DEFAULT_LIMIT)
    with pytest.raises(ValueError, match="must not be negative"):
        workspace.set_workspace_limit(-1)


def test_bytes_kept_for_backward():
    """4 bytes per element for spiking neurons, nothing for leaky integrators without trained parameters."""
    x = torch.randn(50, 2, 30, requires_grad=True)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.nbytes) or t, lambda t: t):
        F.integrate(x, F.Membrane(0.0, 1e-5, 1e-5), F.Firing(1.0, 0.0))
        spiking = sum(saved)
        saved.clear()
        F.integrate(x, F.Membrane(0.0, 1e-5, 1e-5))
    assert spiking == 4 * x.numel() + 13 * 4
    assert sum(saved) == 13 * 4


def test_a_forked_process_has_memory_of_its_own():
    """What a child writes into a tensor of the workspace stays in the child."""
    tensor = workspace.empty((workspace.SMALLEST,))
    tensor.fill_(1)
    array = tensor.numpy()  # torch's own threads must not be used after a fork
    child = multiprocessing.get_context("fork").Process(target=array.fill, args=(2,), daemon=True)
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert tensor.eq(1).all()


def test_memory_in_use_is_never_handed_out_again(three_threads):
    """Views, arrays and saved tensors keep their memory while others come and go in several threads."""
    size = workspace.SMALLEST // 4 + 64
    wrong = []

    def work(number):
        generator = torch.Generator().manual_seed(number)
        kept = []
        for step in range(150):
            tensor = workspace.empty((size,))
            value = number * 1000 + step
            tensor.fill_(value)
            view = (tensor[5:], tensor.numpy()[3:], tensor.detach().view(2, -1), tensor)[step % 4]
            kept.append((value, view))
            del tensor, view
            if len(kept) > 6:
                value, view = kept.pop(int(torch.randint(len(kept), (), generator=generator)))
                if not (view == value).all():
                    wrong.append(value)
        wrong.extend(value for value, view in kept if not (view == value).all())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong

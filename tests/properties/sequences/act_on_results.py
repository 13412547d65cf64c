"""Actions of kinds 1 to 3: buffers, modes of torch, and results that are read late."""

from __future__ import annotations

from threading import Thread

import torch
from torch import Tensor

from .description import GRAIN, Action, Cell, Net
from .network import content
from .record import Record, Wrong, compare, compare_gradients, loss_of, same_gradient, shuffled, some
from .state import Live, State, call, check, check_record, execute, go, keep, made, trained_on, within
from .table import action


def _record(state: State, item: Action) -> Record | None:
    return state.records[item.run % len(state.records)] if state.records else None


# --- What belongs to all kinds --------------------------------------------------------------------------------


@action
def check_(state: State, live: Live, item: Action) -> None:
    """Call, run, read everything, differentiate."""
    check(state, live, item.seed)


@action
def run_(state: State, live: Live, item: Action) -> None:
    """Call and run; read later."""
    with within(item.how):
        keep(state, execute(live, call(live)))


@action
def backward(state: State, live: Live, item: Action) -> None:
    """Differentiate a loss over some results of a run."""
    record = _record(state, item)
    if record is not None and record.has_gradient:
        names = some(trained_on(record), item.seed)
        done = compare_gradients(record, names, item.seed, accumulate=item.seed % 2 == 0)
        state.counts["gradients" if done else "refused"] += 1


@action
def mode(state: State, live: Live, item: Action) -> None:
    """Switch between training and evaluation."""
    live.network.train(item.how == "train")


# --- 1: inputs are what they are at the moment of the run -----------------------------------------------------


def fill(x: Tensor, new: Tensor, how: str) -> None:
    """Write to a buffer as scripts do."""
    if how == "numpy":
        x.detach().numpy()[:] = new.numpy()
    elif how == "data":
        x.data.copy_(new)
    else:
        with torch.no_grad():
            x.copy_(new)


def _note_written(state: State, live: Live, item: Action) -> None:
    for record in state.records:
        record.written |= record.x is live.x and item.how == "copy"


@action
def refill(state: State, live: Live, item: Action) -> None:
    """Fill the input buffer again."""
    fill(live.x, content(live.spec, item.seed), item.how)
    _note_written(state, live, item)


@action
def refill_called(state: State, live: Live, item: Action) -> None:
    """Fill the input buffer again between calls and run: the new content counts."""
    handles = call(live)
    fill(live.x, content(live.spec, item.seed), item.how)
    _note_written(state, live, item)
    record = execute(live, handles)
    check_record(state, record, item.seed)
    keep(state, record)


@action
def nan(state: State, live: Live, item: Action) -> None:
    """A buffer that was fine before has a NaN: the door refuses it."""
    before = live.x.detach().clone()
    bad = before.clone()
    bad.view(-1)[item.seed % bad.numel()] = float("nan")
    fill(live.x, bad, item.how)
    try:
        call(live)
        go(live)
    except ValueError:
        pass
    else:
        raise Wrong("NaN in the input is taken")
    finally:
        fill(live.x, before, item.how)
        _note_written(state, live, item)
    check(state, live, item.seed)


@action
def feed_on(state: State, live: Live, item: Action) -> None:
    """Change the spikes of a hidden population by `.data` and give them to another network."""
    record = _record(state, item)
    if record is None:
        return
    state.records.remove(record)  # the script has changed what its handles show
    spec = record.snapshot.spec
    number = item.seed % len(spec.cells)
    z = record.read(f"cell{number}.spikes")
    if z.is_inference():
        return
    steps, batch, size = z.shape
    net = Net(
        size, (Cell(size=min(size, 32)),), batch=batch, steps=steps, density=0.1, seed=3 * item.seed, chip=spec.chip
    )
    other = made(net)
    fill(z, content(net, item.seed), "data")
    other.x = z.detach()
    check(state, other, item.seed)


# --- 2: nothing is kept from one context for another ----------------------------------------------------------


def _first_run(new: Live, how: str) -> Record:
    found: list[Record | BaseException] = []

    def work() -> None:
        try:
            with within(how):
                found.append(execute(new, call(new)))
        except BaseException as error:
            found.append(error)

    if how == "thread":
        worker = Thread(target=work)
        worker.start()
        worker.join()
    else:
        work()
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


@action
def elsewhere(state: State, live: Live, item: Action) -> None:
    """A new network runs first in a mode of torch, then as always; so does another one with its values."""
    new = made(live.spec)
    new.network.train(live.network.training)
    if item.seed % 2:
        check(state, new, item.seed)
    record = _first_run(new, item.how)
    compare(record, shuffled(record.names, item.seed))
    keep(state, record)
    check(state, new, item.seed)
    other = made(live.spec, new.network.fresh)
    check(state, other, item.seed)
    state.lives.append(other)


# --- 3: reading changes nothing and does not depend on its time -----------------------------------------------


@action
def read(state: State, live: Live, item: Action) -> None:
    """Read results of an earlier run, within a mode of torch."""
    record = _record(state, item)
    if record is not None:
        names = shuffled(record.names, item.seed)
        names = names[: 1 + item.seed % len(names)]
        with within(item.how):
            for name in names:
                record.read(name)
        compare(record, names)
        state.counts["read"] += len(names)


@action
def display(state: State, live: Live, item: Action) -> None:
    """Look at the handles of a run in a notebook."""
    record = _record(state, item)
    if record is not None:
        with within(item.how):
            for handle in record.handles.values():
                handle._repr_html_()


@action
def step(state: State, live: Live, item: Action) -> None:
    """A step of an optimizer, which writes in place."""
    g = torch.Generator().manual_seed(item.seed)
    leaves = live.network.leaves()
    for name, leaf in leaves.items():
        size = GRAIN * 16 if "." not in name else 0.0  # parameters stay in their range
        leaf.grad = (torch.randn(leaf.shape, generator=g) / GRAIN * size).round() * GRAIN
    torch.optim.SGD(leaves.values(), lr=1.0).step()
    for leaf in leaves.values():
        leaf.grad = None
    for record in state.records:
        record.written |= record.network is live.network


@action
def clamp(state: State, live: Live, item: Action) -> None:
    """Bound the weights by `.data`, which torch does not see."""
    for synapse in live.network.all_synapses().values():
        bound = 2.0 ** -(2 + item.seed % 4)
        synapse.weight.data.clamp_(-bound, bound)


@action
def hook(state: State, live: Live, item: Action) -> None:
    """A hook on results of a run changes the gradients behind it."""
    record = _record(state, item)
    if record is None or not record.has_gradient:
        return
    for name in some(_inside(record), item.seed):
        tensor, right = record.read(name), record.expected.values[name]
        if not tensor.requires_grad:
            raise Wrong(f"{name} has no gradient")
        for one in (tensor, right):
            one.register_hook(lambda grad: None if grad is None else grad * 2.5)  # as torch has it
    done = compare_gradients(record, ["readout.membrane_cadc"], item.seed)
    state.counts["gradients" if done else "refused"] += 1


@action
def grad_of(state: State, live: Live, item: Action) -> None:
    """Gradients with respect to results within the network."""
    record = _record(state, item)
    if record is None or not record.has_gradient:
        return
    names = some(_inside(record), item.seed)
    losses = ["readout.membrane_cadc", names[0]]
    values, retain = record.expected.values, item.how == "retain"
    right_loss = loss_of({name: values[name] for name in losses}, item.seed)
    right = _grads_of(right_loss, [values[name] for name in names], record.expected.leaves, retain)
    loss = loss_of({name: record.read(name) for name in losses}, item.seed)
    tensors = [record.read(name) for name in names]
    if not all(tensor.requires_grad for tensor in (loss, *tensors)):
        raise Wrong(f"{', '.join(names)}: no gradient")
    try:
        found = _grads_of(loss, tensors, record.leaves, retain)
    except RuntimeError:
        if not record.written:
            raise
        state.counts["refused"] += 1
        return
    for name, grad, wanted in zip(names, found, right, strict=True):
        if not same_gradient(grad, wanted):
            compare(record, [n for n in record.names if n.endswith("spikes")])
            raise Wrong(f"gradient with respect to {name} is {'missing' if grad is None else 'another'}")
    state.counts["gradients"] += 1


def _grads_of(loss: Tensor, tensors: list[Tensor], leaves: dict[str, Tensor], retain: bool) -> list[Tensor | None]:
    """Gradients of the loss with respect to tensors, which keep them (`retain`), or by `autograd.grad`."""
    if not retain:
        return list(torch.autograd.grad(loss, tensors, retain_graph=True, allow_unused=True))
    for tensor in tensors:
        tensor.retain_grad()
        tensor.grad = None
    loss.backward(retain_graph=True)
    for leaf in leaves.values():
        leaf.grad = None
    return [tensor.grad for tensor in tensors]


def _inside(record: Record) -> list[str]:
    """Results on which hooks act: in pieces of time, only what the last modules show is part of the loss."""
    if record.snapshot.spec.pieces is not None:
        return [name for name in record.names if name.startswith("readout")]
    return trained_on(record)

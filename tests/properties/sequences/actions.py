"""What users do, one function for each `Action.name`."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from threading import Thread

import torch
from torch import Tensor

from hxtorch import snn

from .description import GRAIN, Action, Cell, Net
from .network import FragileSynapse, Interrupted, content
from .record import Record, Wrong, compare, compare_gradients, loss_of, same_gradient, shuffled, some
from .state import Live, State, call, check, check_record, execute, keep, made, trained_on, within

Function = Callable[[State, Live, Action], None]
ACTIONS: dict[str, Function] = {}


def action(function: Function) -> Function:
    """Let `Action(name=...)` mean this function."""
    ACTIONS[function.__name__.rstrip("_")] = function
    return function


def perform(state: State, item: Action) -> None:
    """Do one action; networks and runs are counted around, so that every number names one."""
    ACTIONS[item.name](state, state.lives[item.net % len(state.lives)], item)


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
        snn.run(live.network.experiment, None)
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
    net = Net(size, (Cell(size=min(size, 32)),), batch=batch, steps=steps, density=0.1, seed=3 * item.seed)
    other = made(net)
    fill(z, content(net, item.seed), "data")
    other.x = z.detach()
    check(state, other, item.seed)


# --- 2: nothing is kept from one context for another ----------------------------------------------------------


@action
def elsewhere(state: State, live: Live, item: Action) -> None:
    """A new network runs first in a mode of torch, then as always; so does another one with its values."""
    new = made(live.spec)
    new.network.train(live.network.training)
    if item.seed % 2:
        check(state, new, item.seed)
    with within(item.how):
        handles = call(new)
        record = execute(new, handles)
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
    right_loss = loss_of({name: record.expected.values[name] for name in losses}, item.seed)
    right = torch.autograd.grad(
        right_loss, [record.expected.values[n] for n in names], retain_graph=True, allow_unused=True
    )
    loss = loss_of({name: record.read(name) for name in losses}, item.seed)
    tensors = [record.read(n) for n in names]
    if not all(tensor.requires_grad for tensor in (loss, *tensors)):
        raise Wrong(f"{', '.join(names)}: no gradient")
    _compare_grads_of(state, record, names, loss, tensors, right, retain=item.how == "retain")


def _compare_grads_of(
    state: State,
    record: Record,
    names: list[str],
    loss: Tensor,
    tensors: list[Tensor],
    right: tuple[Tensor | None, ...],
    retain: bool,
) -> None:
    try:
        if retain:
            for tensor in tensors:
                tensor.retain_grad()
                tensor.grad = None
            loss.backward(retain_graph=True)
            found = [tensor.grad for tensor in tensors]
            for leaf in record.leaves.values():
                leaf.grad = None
        else:
            found = list(torch.autograd.grad(loss, tensors, retain_graph=True, allow_unused=True))
    except RuntimeError:
        if record.written:
            state.counts["refused"] += 1
            return
        raise
    for name, grad, wanted in zip(names, found, right, strict=True):
        if not same_gradient(grad, wanted):
            compare(record, [n for n in record.names if n.endswith("spikes")])
            raise Wrong(f"gradient with respect to {name} is {'missing' if grad is None else 'another'}")
    state.counts["gradients"] += 1


def _inside(record: Record) -> list[str]:
    """Results on which hooks act: in pieces of time, only what the last modules show is part of the loss."""
    if record.snapshot.spec.pieces is not None:
        return [name for name in record.names if name.startswith("readout")]
    return trained_on(record)


# --- 4 and 5: settings that change between runs ---------------------------------------------------------------


@action
def alpha(state: State, live: Live, item: Action) -> None:
    """Another steepness, or another method, of the surrogate gradient."""
    for cell in live.network.cells.values():
        cell.alpha = 1.0 + item.seed % 7
        if item.how:
            cell.method = item.how


@action
def threshold(state: State, live: Live, item: Action) -> None:
    """Another threshold."""
    for cell in live.network.cells.values():
        cell.threshold.model_value = 0.5 + item.seed % 64 / 64


@action
def mask(state: State, live: Live, item: Action) -> None:
    """Another mask of the user, or none."""
    g = torch.Generator().manual_seed(item.seed)
    for cell in live.network.cells.values():
        cell.mask = None if item.how == "none" else torch.rand(cell.size, generator=g) < 0.6


@action
def evaluate(state: State, live: Live, item: Action) -> None:
    """An evaluation between trainings."""
    before = live.network.training
    live.network.eval()
    with torch.no_grad():
        check(state, live, item.seed)
    live.network.train(before)


# --- 6: calling again -----------------------------------------------------------------------------------------


@action
def interrupt(state: State, live: Live, item: Action) -> None:
    """A forward pass ends between two calls; the next one works, with the same handle or another."""
    given = snn.NeuronHandle(live.x)
    calls = len(list(_names_of_calls(live)))
    live.network.experiment.clear_calls()
    try:
        live.network(given, 1 + item.seed % calls)
    except Interrupted:
        pass
    check(state, live, item.seed, given if item.how == "same" else None)


def _names_of_calls(live: Live) -> list[str]:
    return [name for name, _ in live.network.calls(snn.NeuronHandle(live.x))]


@action
def twice(state: State, live: Live, item: Action) -> None:
    """The cell of a notebook that calls the modules is run twice before the run."""
    call(live)
    check(state, live, item.seed)


@action
def again(state: State, live: Live, item: Action) -> None:
    """The same calls again, with the same handle, count once."""
    given = snn.NeuronHandle(live.x)
    call(live, given)
    check(state, live, item.seed, given)


@action
def fail_in_run(state: State, live: Live, item: Action) -> None:
    """A run fails on the way; the next one works."""
    synapse = live.network.synapses["0"]
    error = KeyboardInterrupt if item.how == "keyboard" else Interrupted
    if isinstance(synapse, FragileSynapse):
        synapse.error = error
    else:
        error, kept = ValueError, synapse.weight.detach().clone()
        synapse.weight.data[0, 0] = float("nan")
    call(live)
    try:
        snn.run(live.network.experiment, None)
    except error:
        pass
    else:
        raise Wrong("the error of a run is lost")
    if isinstance(synapse, FragileSynapse):
        synapse.error = None
    else:
        synapse.weight.data.copy_(kept)
    check(state, live, item.seed)


@action
def two_handles(state: State, live: Live, item: Action) -> None:
    """One synapse cannot read two handles in one pass; the experiment is usable afterwards."""
    network = live.network
    synapse, cell = network.synapses["0"], network.cells["0"]
    a, b = snn.NeuronHandle(live.x), snn.NeuronHandle(live.x.detach().clone())
    try:
        if item.how == "apart":
            first = synapse(a)
            second = synapse(b)
            cell(first)
            cell(second)
        else:
            cell(synapse(a), synapse(b))
        snn.run(network.experiment, None)
    except ValueError:
        pass
    else:
        raise Wrong("a synapse reads two handles in one pass")
    check(state, live, item.seed)


# --- 9: copies ------------------------------------------------------------------------------------------------


def _copied(live: Live) -> Live:
    return Live(copy.deepcopy(live.network), live.x, live.dt)


@action
def copy_(state: State, live: Live, item: Action) -> None:
    """A copy goes its own way from here."""
    state.lives.append(_copied(live))
    check(state, state.lives[-1], item.seed)


@action
def copy_pending(state: State, live: Live, item: Action) -> None:
    """A network is copied and run between calls and run of the original."""
    if item.how == "before":
        other = _copied(live)
        handles = call(live)
    else:
        handles = call(live)
        other = _copied(live)
    check(state, other, item.seed)
    record = execute(live, handles)
    check_record(state, record, item.seed)


@action
def change_dt(state: State, live: Live, item: Action) -> None:
    """Another time step of one network; its copies keep theirs."""
    live.dt = live.network.experiment.dt = live.dt * (2.0 if live.dt < 2.0**-19 else 0.25)


@action
def threads(state: State, live: Live, item: Action) -> None:
    """A network and its copy run at the same time."""
    pair = [live, _copied(live)]
    found: list[list[Record | BaseException]] = [[], []]

    def work(number: int) -> None:
        try:
            for _ in range(3):
                found[number].append(execute(pair[number], call(pair[number])))
        except BaseException as error:
            found[number].append(error)

    workers = [Thread(target=work, args=(number,)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for record in (*found[0], *found[1]):
        if isinstance(record, BaseException):
            raise record
        check_record(state, record, item.seed + random.Random(item.seed).randint(0, 9))


@action
def spoil(state: State, live: Live, item: Action) -> None:
    """Compare a run with the model of another network: not drawn, but to show that this is noticed."""
    record = execute(live, call(live))
    if item.how == "weight":
        with torch.no_grad():
            record.snapshot.leaves["synapse0"][0, 0] += 0.5
    else:
        record.snapshot.parameters["0"]["threshold"] = 0.25
    compare(record, record.names)

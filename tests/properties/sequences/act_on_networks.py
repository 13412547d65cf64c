"""Actions of kinds 4 to 6 and 9: settings, calls that go wrong or come twice, copies."""

from __future__ import annotations

import contextlib
import copy
from threading import Thread

import torch

from hxtorch import snn

from .description import Action
from .network import FragileSynapse, Interrupted
from .record import Record, Wrong, compare
from .state import Live, State, call, check, check_record, execute, go
from .table import action

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


# --- 6: calling again -----------------------------------------------------------------------------------------


@action
def interrupt(state: State, live: Live, item: Action) -> None:
    """A forward pass ends between two calls; the next one works, with the same handle or another."""
    given = snn.NeuronHandle(live.x)
    with contextlib.suppress(Interrupted):
        live.network(given, 1 + item.seed % 9)  # or all calls, without a run
    check(state, live, item.seed, given if item.how == "same" else None)


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
        go(live)
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
        go(live)
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
    training = live.network.training
    if live.spec.chip:
        live.network.eval()  # two threads draw masks in any order, which the new network could not follow
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
    live.network.train(training)
    for record in (*found[0], *found[1]):
        if isinstance(record, BaseException):
            raise record
        check_record(state, record, item.seed)

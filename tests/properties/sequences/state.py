"""The live objects of a sequence, and the pieces of which its actions consist: call, run, read, compare."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

import torch
from torch import Tensor

from hxtorch import snn

from .description import Net, Sequence
from .model import take, take_drops
from .network import Handles, Network, content
from .record import Record, compare, compare_gradients, shuffled
from .twin import calibration_of, connect, run_network

_trials = count(1)
KEPT = 4  # runs whose handles the script still holds


@dataclass
class Live:
    """A network with the buffer of its input and the time step that its user has set."""

    network: Network
    x: Tensor
    dt: float

    @property
    def spec(self) -> Net:
        """The description of the network."""
        return self.network.spec


@dataclass
class State:
    """Networks and runs of a sequence; `counts` says how often what could be compared."""

    lives: list[Live] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def start(sequence: Sequence) -> State:
    """Connect the chip if the sequence needs one, and build its networks."""
    if sequence.chip:
        connect(sequence.chip)
    return State([made(net) for net in sequence.nets])


def made(spec: Net, fresh: int | None = None) -> Live:
    """A network with its input buffer, made as scripts make one: by torch, from numpy, in shared memory."""
    network = Network(spec, fresh, calibration_of(spec.chip))
    x = content(spec, spec.seed + 1)
    if spec.seed % 3 == 1:
        x = torch.from_numpy(x.numpy().copy())
    elif spec.seed % 3 == 2:
        x = x.share_memory_()
    return Live(network, x.requires_grad_(spec.input_gradient), network.experiment.dt)


def call(live: Live, given: snn.Handle | None = None) -> Handles:
    """Call all modules once, with a new handle unless one is given."""
    handles: Handles = live.network(snn.NeuronHandle(live.x) if given is None else given)
    return handles


def execute(live: Live, handles: Handles) -> Record:
    """Run what was called; the snapshot is of this moment."""
    network = live.network
    snapshot = take(network, live.x, live.dt)
    leaves = network.leaves()
    if live.x.requires_grad:
        leaves["x"] = live.x
    has_gradient = torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    trial = go(live)
    take_drops(network, snapshot)
    return Record(network, handles, snapshot, leaves, has_gradient, live.x, trial)


def go(live: Live) -> int:
    """Run what was called; returns what fixes the noise of the chip and the masks of dropouts."""
    trial = 0
    if live.spec.chip:
        trial = next(_trials)
        torch.manual_seed(trial)
    run_network(live.network, trial)
    return trial


def keep(state: State, record: Record) -> None:
    """Hold the handles of a run, so that they can be read later."""
    state.records.append(record)
    del state.records[:-KEPT]


def check(state: State, live: Live, seed: int, given: snn.Handle | None = None) -> Record:
    """One pass as in a training script: call, run, read everything, differentiate; all of it must be right."""
    record = execute(live, call(live, given))
    check_record(state, record, seed)
    keep(state, record)
    return record


def check_record(state: State, record: Record, seed: int) -> None:
    """Read everything of a run, in an order that follows from the seed, and differentiate."""
    compare(record, shuffled(record.names, seed))
    state.counts["read"] += len(record.names)
    if record.has_gradient:
        names = [name for name in trained_on(record) if random.Random(seed + len(name)).random() < 0.7]
        done = compare_gradients(record, names or ["readout.membrane_cadc"], seed, accumulate=seed % 2 == 0)
        state.counts["gradients" if done else "refused"] += 1


def trained_on(record: Record) -> list[str]:
    """What a loss may depend on: not what a module hands on as it got it."""
    handed_on = (
        "entry",
        *(f"drop{key}.{name}" for key in record.network.drops for name in ("membrane", "current")),
    )
    return [name for name in record.names if not name.startswith(handed_on)]


@contextmanager
def within(how: str) -> Iterator[None]:
    """A mode of torch in which a script runs or reads."""
    if how == "inference":
        with torch.inference_mode():
            yield
    elif how == "no_grad":
        with torch.no_grad():
            yield
    elif how == "meta":
        torch.set_default_device("meta")
        try:
            yield
        finally:
            torch.set_default_device(None)
    elif how == "float64":
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)
    else:
        yield

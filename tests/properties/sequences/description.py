"""Networks and sequences of actions as plain data: drawn by hypothesis, printed, replayed, made smaller.

Weights, decay factors and inputs are multiples of small powers of two, so that sums over synapses are exact in
float32 in every order, and a spike does not depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

DT = 2.0**-20  # seconds, about 1 us; time constants are powers of two of it
GRAIN = 2.0**-8  # of weights

KINDS = (1, 2, 3, 4, 5, 6, 9)


@dataclass(frozen=True)
class Cell:
    """A spiking population with the synapse in front of it.

    `tau_mem`, `tau_syn`, `tau_adap` and `refractory` count time steps; `terms` are those of "AELIF": "exponential",
    "subthreshold", "triggered". `per_neuron` and `trained` are names of parameters. `loop` is a synapse from the
    population to itself, `dropout` the probability of a dropout behind it (None: there is none), `masked` the
    seed of a mask that the user sets (0: none).
    """

    kind: str = "Neuron"
    size: int = 5
    tau_mem: int = 8
    tau_syn: int = 8
    conductance: float = 1.0
    refractory: int = 0
    tau_adap: int = 16
    terms: tuple[str, ...] = ()
    threshold: float = 1.0
    reset: float = 0.0
    per_neuron: tuple[str, ...] = ()
    trained: tuple[str, ...] = ()
    sparse: bool = False
    loop: bool = False
    dropout: float | None = None
    masked: int = 0
    method: str = "superspike"
    alpha: float = 4.0


@dataclass(frozen=True)
class Net:
    """Cells in a chain, and a readout behind the last one.

    The readout is reached through `branches` synapses, each behind a dropout of its own if the last cell has one,
    and with `direct` through one more that reads the cell itself. `side`: a second readout reads the first
    synapse, which is called again for it. `plain_evaluation`: in evaluation the network leaves out its dropouts.
    `pieces` is `checkpoint_steps`. It runs on the virtual chip called `chip` (see `twin`), else in mock mode.
    """

    inputs: int = 6
    cells: tuple[Cell, ...] = (Cell(),)
    outputs: int = 2
    readout: str = "ReadoutNeuron"
    branches: int = 1
    direct: bool = False
    side: bool = False
    input_neuron: bool = False
    fragile: bool = False
    plain_evaluation: bool = False
    separate: bool = False
    pieces: int | None = None
    batch: int = 2
    steps: int = 16
    content: str = "spikes"
    density: float = 0.3
    input_gradient: bool = False
    seed: int = 0
    chip: str = ""


@dataclass(frozen=True)
class Action:
    """Something that a user does: to network `net`, or with the results of `run`; `how` and `seed` say more."""

    name: str
    net: int = 0
    run: int = 0
    how: str = ""
    seed: int = 0


@dataclass(frozen=True)
class Sequence:
    """Networks and what is done with them; all run in mock mode, or all on one virtual chip."""

    nets: tuple[Net, ...]
    actions: tuple[Action, ...]

    @property
    def chip(self) -> str:
        """The virtual chip, empty in mock mode."""
        return self.nets[0].chip


# What is done in the name of which kind of fault; everything else belongs to all of them.
OWN: dict[int, tuple[str, ...]] = {
    1: ("refill", "refill_called", "nan", "feed_on"),
    2: ("elsewhere",),
    3: ("step", "clamp", "hook", "grad_of", "retain", "display", "read", "read_out"),
    4: ("step", "clamp", "alpha", "threshold", "mask", "mode", "evaluate"),
    5: ("mask", "mode", "evaluate"),
    6: ("interrupt", "twice", "fail_in_run", "two_handles", "again"),
    9: ("copy", "copy_pending", "threads", "change_dt"),
}


def contains(sequence: Sequence, kind: int) -> bool:
    """Whether a sequence has something of the kind."""
    return without(sequence, kind) != sequence


def without(sequence: Sequence, kind: int) -> Sequence:
    """The sequence without everything that belongs to the kind."""
    actions = sequence.actions
    if kind == 3:  # every run is read and differentiated at once
        actions = tuple(replace(a, name="check", how="") if a.name == "run" else a for a in actions)
        actions = tuple(a for a in actions if a.name not in ("backward", *OWN[3]))
    elif kind not in (4, 5):
        actions = tuple(a for a in actions if a.name not in OWN[kind])
    return Sequence(tuple(plain(net, kind) for net in sequence.nets), actions)


def plain(net: Net, kind: int) -> Net:
    """The network without what belongs to the kind."""
    if kind == 4:
        return replace(net, pieces=None)
    if kind == 5:
        cells = tuple(replace(cell, dropout=None) for cell in net.cells)
        return replace(net, cells=cells, plain_evaluation=False)
    return replace(net, side=False, fragile=False) if kind == 6 else net

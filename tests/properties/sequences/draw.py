"""Strategies of hypothesis for networks and sequences, of one kind of fault or of all."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from .description import KINDS, Action, Cell, Net, Sequence, plain
from .twin import CHIPS

METHODS = ("superspike", "sigmoid", "arctan", "triangular", "multi_gaussian", "straight_through")
TERMS = ((), ("exponential",), ("subthreshold", "triggered"), ("exponential", "subthreshold", "triggered"))
ALL = ("check", "run", "backward", "mode")
SEEDS = st.integers(0, 999)

# What is drawn for a kind, some more often.
POOLS: dict[int, tuple[str, ...]] = {
    1: ("check", "check", "run", "refill", "refill", "refill_called", "nan", "feed_on"),
    2: ("check", "elsewhere", "elsewhere", "mode"),
    3: ("check", "run", "backward", "step", "step", "clamp", "read", "display", "hook", "grad_of"),
    4: ("check", "run", "backward", "mode", "evaluate", "alpha", "alpha", "threshold", "mask", "clamp"),
    5: ("check", "check", "mode", "mask", "evaluate"),
    6: ("check", "interrupt", "interrupt", "twice", "again", "fail_in_run", "two_handles"),
    9: ("check", "copy", "copy", "copy_pending", "threads", "change_dt", "clamp", "alpha", "mode"),
}
HOW: dict[str, tuple[str, ...]] = {
    "run": ("", "", "", "no_grad"),
    "mode": ("train", "train", "eval"),
    "refill": ("numpy", "data", "copy"),
    "refill_called": ("numpy", "data", "copy"),
    "nan": ("numpy", "data", "copy"),
    "elsewhere": ("inference", "inference", "no_grad", "meta", "float64", "thread"),
    "read": ("", "no_grad", "inference"),
    "display": ("", "no_grad"),
    "grad_of": ("", "retain"),
    "alpha": ("", *METHODS),
    "mask": ("", "", "none"),
    "interrupt": ("", "same"),
    "fail_in_run": ("", "keyboard"),
    "two_handles": ("", "apart"),
    "copy_pending": ("", "before"),
}


@st.composite
def cells(draw: st.DrawFn, large: bool, kind: int) -> Cell:
    """A population; large ones are big enough for lists of spikes and fused products."""
    name = draw(st.sampled_from(("Neuron", "Neuron", "LIF", "LIF", "AELIF")))
    terms = draw(st.sampled_from(TERMS)) if name == "AELIF" else ()
    parameters = ["threshold", "leak", "reset", "tau_mem", "tau_syn"]
    if name != "Neuron":
        parameters.append("membrane_capacitance")
    some = st.lists(st.sampled_from(parameters), max_size=2, unique=True).map(tuple)
    plain = kind == 2 or draw(st.booleans())  # numbers alone
    method = draw(st.sampled_from(METHODS))
    return Cell(
        kind=name,
        size=draw(st.sampled_from((40, 64) if large else (3, 5, 8))),
        tau_mem=draw(st.sampled_from((4, 8, 16))),
        tau_syn=draw(st.sampled_from((4, 8, 16))),
        conductance=draw(st.sampled_from((1.0, 1.0, 0.5))),
        refractory=draw(st.sampled_from((0, 1, 2))),
        terms=terms,
        threshold=draw(st.sampled_from((0.75, 1.0, 1.25))),
        reset=draw(st.sampled_from((0.0, -0.25))),
        per_neuron=() if plain else draw(some),
        trained=() if plain else draw(some),
        sparse=draw(st.integers(0, 5)) == 0,
        loop=not large and draw(st.integers(0, 4)) == 0,
        dropout=0.4 if draw(st.integers(0, 3)) == 0 else None,
        masked=draw(st.integers(1, 99)) if draw(st.integers(0, 3)) == 0 else 0,
        method=method,
        alpha=draw(st.sampled_from((1.0, 4.0, 50.0))),
    )


@st.composite
def nets(draw: st.DrawFn, kind: int, can_be_large: bool = True) -> Net:
    """A network for sequences of a kind (0: all)."""
    large = can_be_large and draw(st.integers(0, 9)) < {1: 6, 3: 5, 0: 2}.get(kind, 1)
    pieces = kind == 4 or (kind == 0 and draw(st.integers(0, 4)) == 0)
    chain = tuple(draw(st.lists(cells(large, kind), min_size=1, max_size=2)))
    if kind == 5 and all(cell.dropout is None for cell in chain):
        chain = (*chain[:-1], replace(chain[-1], dropout=0.4))
    if pieces:
        # Loops of these cannot be computed in pieces.
        chain = tuple(replace(cell, loop=cell.loop and not cell.terms) for cell in chain)
    steps = draw(st.sampled_from((40, 50) if large else (8, 16, 24)))
    content = draw(st.sampled_from(("spikes", "spikes", "spikes", "graded")))
    net = Net(
        inputs=draw(st.sampled_from((100, 200) if large else (3, 6))),
        cells=chain,
        outputs=draw(st.sampled_from((1, 2, 5))),
        readout=draw(st.sampled_from(("ReadoutNeuron", "LI"))),
        branches=draw(st.sampled_from((1, 1, 2))),
        direct=draw(st.integers(0, 2)) == 0,
        side=kind in (0, 6) and draw(st.integers(0, 3)) == 0,
        input_neuron=draw(st.integers(0, 3)) == 0,
        fragile=kind in (0, 6) and not pieces and draw(st.integers(0, 2)) == 0,
        plain_evaluation=draw(st.booleans()),
        separate=draw(st.booleans()),
        pieces=draw(st.sampled_from((3, 7, 16))) if pieces else None,
        batch=draw(st.sampled_from((20, 40) if large else (1, 2, 5))),
        steps=steps,
        content=content,
        density=draw(st.sampled_from((0.02, 0.05, 0.5) if large else (0.2, 0.5))),
        input_gradient=draw(st.integers(0, 2)) == 0,
        seed=draw(SEEDS),
    )
    if net.fragile:
        first = replace(chain[0], sparse=False, loop=False)
        net = replace(net, cells=(first, *chain[1:]))
    return net


@st.composite
def sequences(draw: st.DrawFn, kind: int = 0, pure: bool = False) -> Sequence:
    """A sequence of one kind, or of all (0). If it is `pure`, its networks have nothing of other kinds."""
    pool = POOLS[kind] if kind else tuple(dict.fromkeys(name for k in KINDS for name in POOLS[k]))
    made = draw(st.lists(nets(kind), min_size=1, max_size=2 if kind in (0, 3) else 1))
    if pure:
        for other in set(KINDS) - {kind}:
            made = [plain(net, other) for net in made]
    actions = draw(_actions(pool, 4 if kind == 0 else 2, 8))
    if kind == 4:
        actions = (Action("mode", how="train"), *actions)
    if kind in (1, 3, 4):  # something happens between a run and what is read of it
        actions = (Action("run"), *actions, *draw(_actions(("backward", "backward", "read"), 1, 2)))
    return Sequence(tuple(made), actions)


# On the chip a network is small and its parameters are those of the calibration; no time step but 1 us.
CHIP_POOL = (
    *("check", "run", "backward", "read", "mode", "refill", "refill_called", "elsewhere", "step", "clamp", "hook"),
    *("grad_of", "alpha", "threshold", "mask", "evaluate", "interrupt", "twice", "again", "fail_in_run"),
    *("two_handles", "copy", "copy_pending", "threads", "feed_on", "display"),
)


@st.composite
def chip_sequences(draw: st.DrawFn, chips: tuple[str, ...] = tuple(CHIPS)) -> Sequence:
    """A sequence on one of these virtual chips."""
    chip = draw(st.sampled_from(chips))
    net = draw(nets(0, can_be_large=False))
    chain = tuple(replace(cell, kind="LIF" if cell.terms else cell.kind, terms=()) for cell in net.cells)
    net = replace(net, cells=chain, content="spikes", chip=chip)
    return Sequence((net,), draw(_actions(CHIP_POOL, 2, 5)))


@st.composite
def _actions(draw: st.DrawFn, pool: tuple[str, ...], least: int, most: int) -> tuple[Action, ...]:
    actions = []
    for name in draw(st.lists(st.sampled_from(pool), min_size=least, max_size=most)):
        how = draw(st.sampled_from(HOW[name])) if name in HOW else ""
        actions.append(Action(name, draw(st.integers(0, 2)), draw(st.integers(0, 3)), how, draw(SEEDS)))
    return tuple(actions)

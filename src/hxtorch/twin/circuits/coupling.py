"""Inter-compartment conductances: membranes that exchange charge over the soma line (chip.md 2.8).

A soma line is a row of pieces, one per column, joined by `connect_soma_right`. A membrane is tied to its piece
(`connect_soma`) or coupled to it by a conductance (`enable_icc`). A line to which a membrane is tied is part of
that membrane; a line without one floats, and its conductances g_i act between the membranes as
g_i g_j / sum(g). With the matrix of conductances G and the capacitances C,

    dV/dt = -C^-1 L V,   L = diag(G 1) - G,

which is solved exactly over half a step before and half a step after everything else (Strang 1968).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxtorch.shapes import Array
from hxtorch.twin.engine.coupling import Coupling, no_coupling
from hxtorch.twin.engine.membranes import Membranes
from hxtorch.twin.pattern import process as p
from hxtorch.twin.pattern.capmem import cell_values
from hxtorch.twin.pattern.fixed_pattern import FixedPattern
from hxtorch.twin.places.joined_circuits import lowest_connected, soma_lines
from hxtorch.twin.program.config import NeuronConfig


@dataclass(frozen=True, eq=False)
class Links:
    """Conductances between membranes named by their lowest circuit: `first`, `second`, `conductance` (n,).

    A conductance is in relative capacitances per µs.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    conductance: Array


def no_links() -> Links:
    """No conductance at all."""
    nobody = np.zeros(0, dtype=np.int64)
    return Links(nobody, nobody, np.zeros(0))


def icc_conductance(neurons: NeuronConfig, die: FixedPattern) -> Array:
    """Conductance (512,) between membrane and soma line, in relative capacitances per µs."""
    bias = cell_values(neurons, die)["i_bias_icc"] * die.icc_conductance
    factor = p.ICC_FACTOR.value
    bias = bias * np.where(neurons.enable_icc_multiplication, factor, 1)
    bias = bias / np.where(neurons.enable_icc_division, factor, 1)
    return np.asarray(bias * neurons.enable_icc / p.ICC_TIME_CODE.value)


def links(neurons: NeuronConfig, die: FixedPattern) -> Links:
    """All conductances between membranes."""
    line, group = soma_lines(neurons.connect_soma_right), neurons.membrane
    conductance = icc_conductance(neurons, die)
    first, second, value = [], [], []
    for here in np.unique(line[conductance > 0]):
        ends = np.flatnonzero((line == here) & (conductance > 0))
        tied = np.flatnonzero((line == here) & neurons.connect_soma)
        if tied.size:  # the line is a membrane
            pairs = [(group[i], group[tied[0]], conductance[i]) for i in ends]
        else:  # star to mesh
            total = conductance[ends].sum()
            pairs = [
                (group[i], group[j], conductance[i] * conductance[j] / total)
                for n, i in enumerate(ends)
                for j in ends[n + 1 :]
            ]
        for one, other, g in pairs:
            if one != other:
                first.append(one)
                second.append(other)
                value.append(g)
    return Links(np.array(first, dtype=np.int64), np.array(second, dtype=np.int64), np.array(value))


def propagators(
    wires: Links, group: NDArray[np.int64], membranes: Membranes, capacitance: Array, h: float
) -> Coupling:
    """Propagators of half a step for all cells of coupled membranes; `group` is `NeuronConfig.membrane`."""
    if not wires.first.size:
        return no_coupling()
    cell_of = lowest_connected(wires.first, wires.second)
    lane_of = np.full(cell_of.size, -1, dtype=np.int64)
    lane_of[group[membranes.circuits]] = membranes.lane
    sizes, places, matrices = [], [], []
    for cell in np.unique(cell_of[wires.first]):
        members = np.unique(np.concatenate([wires.first, wires.second])[
            np.concatenate([cell_of[wires.first], cell_of[wires.second]]) == cell
        ])  # fmt: skip
        lanes = lane_of[members]
        index = {int(m): n for n, m in enumerate(members)}
        g = np.zeros((members.size, members.size))
        for one, other, value in zip(wires.first, wires.second, wires.conductance, strict=True):
            if cell_of[one] == cell:
                g[index[int(one)], index[int(other)]] += value
                g[index[int(other)], index[int(one)]] += value
        # symmetric form: exp(-h/2 C^-1 L) = C^-1/2 exp(-h/2 C^-1/2 L C^-1/2) C^1/2
        root = np.sqrt(capacitance[lanes])
        laplacian = (np.diag(g.sum(axis=1)) - g) / np.outer(root, root)
        rate, modes = np.linalg.eigh(laplacian)
        propagator = (modes * np.exp(-rate * h / 2)) @ modes.T
        sizes.append(members.size)
        places.append(membranes.place(lanes))
        matrices.append((propagator / root[:, None] * root[None, :]).ravel())
    return Coupling(
        np.array(sizes, dtype=np.int64),
        np.concatenate(places),
        np.concatenate(matrices).astype(np.float32),
    )

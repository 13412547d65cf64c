"""What a mapped network takes of the chip, as data, text and a page for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hxtorch._html import facts, note, table
from hxtorch.mapping.classes import classes
from hxtorch.mapping.drawing import chip_svg
from hxtorch.mapping.mapping import Mapping
from hxtorch.mapping.network import MAX_SIGNED_INPUTS, NeuronPopulation, Population
from hxtorch.mapping.partition import Part
from hxtorch.twin.places.coordinates import (
    CIRCUITS,
    COLUMNS,
    DRIVERS,
    EVENT_OUTPUTS,
    HEMISPHERES,
    LABELS,
    ROWS,
    event_output,
)
from hxtorch.twin.places.crossbar import CLOSED, NODES


@dataclass(frozen=True)
class Resource:
    """Use of one kind of thing on the chip; `by_layer` says who takes it, where that makes sense."""

    name: str
    used: int
    available: int
    by_layer: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Layer:
    """A population on the chip: its neurons, circuits of each, their columns, inputs of the fullest neuron."""

    name: str
    neurons: int
    circuits_per_neuron: int
    columns: str
    inputs: int
    available_inputs: int


@dataclass(frozen=True, eq=False)
class RunReport:
    """One run of the chip: its layers, what they take, and how events are addressed."""

    mapping: Mapping
    forwarded: dict[str, int] = field(default_factory=dict)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The populations of neurons."""
        network = self.mapping.network
        return tuple(
            Layer(
                p.name,
                p.size,
                self.mapping.circuits[p.key].shape[1],
                _ranges(np.unique(self.mapping.circuits[p.key] % COLUMNS)),
                network.fan_in(p.key),
                MAX_SIGNED_INPUTS * self.mapping.circuits[p.key].shape[1],
            )
            for p in network.neurons
        )

    @cached_property
    def resources(self) -> tuple[Resource, ...]:
        """Use of every resource."""
        network, routing = self.mapping.network, self.mapping.routing
        named = {p.key: p.name for p in network.populations}
        circuits = _by_name((named[key], rows.size) for key, rows in self.mapping.circuits.items())
        synapses = _by_name((named[p.post], 2 * routing.synapses[p.key].size) for p in network.projections)
        drivers = (routing.config.row_mode.reshape(HEMISPHERES, DRIVERS, 2) != 0).any(axis=2).sum(axis=1)
        heard = network.heard()
        labels = _by_name(
            (named[key], int(listened.sum()) if isinstance(network.population(key), NeuronPopulation) else
             int((routing.input_sources[key][listened] >= 0).sum()))
            for key, listened in heard.items()
        )  # fmt: skip
        firing = [self.mapping.main_circuits(p.key) for p in network.neurons if p.spiking]
        outputs = np.unique(np.asarray(event_output(np.concatenate([*firing, np.empty(0, dtype=np.int64)]))))
        open_nodes = NODES & ~((routing.config.crossbar_mask == 0) & (routing.config.crossbar_target == CLOSED))
        return (
            Resource("neuron circuits", sum(circuits.values()), CIRCUITS, circuits),
            Resource("synapses", sum(synapses.values()), HEMISPHERES * ROWS * COLUMNS, synapses),
            Resource("synapse drivers, top", int(drivers[0]), DRIVERS),
            Resource("synapse drivers, bottom", int(drivers[1]), DRIVERS),
            Resource("labels", sum(labels.values()), classes(routing.groups).count * LABELS, labels),
            Resource("event outputs", outputs.size, EVENT_OUTPUTS),
            Resource("crossbar nodes", int(open_nodes.sum()), int(NODES.sum())),
        )

    @property
    def addressing(self) -> str:
        """How events find their drivers, in a sentence."""
        groups = self.mapping.routing.groups
        copies = max((s.shape[1] for s in self.mapping.routing.input_sources.values()), default=1)
        drivers = classes(groups).drivers_per_class
        text = f"{groups} address class{'es' if groups > 1 else ''} per bus, {drivers} drivers each"
        return f"{text}; up to {copies} events per input spike" if copies > 1 else text

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """Number of the layer that each circuit (512,) belongs to, -1 for none."""
        owner = np.full(CIRCUITS, -1, dtype=np.int64)
        for number, population in enumerate(self.mapping.network.neurons):
            owner[self.mapping.circuits[population.key]] = number
        return owner

    @cached_property
    def source(self) -> NDArray[np.int64]:
        """Number, in `names`, of the population that each synapse (hemisphere, row, column) hears, or -1."""
        source = np.full(HEMISPHERES * ROWS * COLUMNS, -1, dtype=np.int64)
        numbers = {p.key: i for i, p in enumerate(self._populations)}
        for projection in self.mapping.network.projections:
            synapses = self.mapping.routing.synapses[projection.key].reshape(-1)
            source[synapses] = source[synapses + COLUMNS] = numbers[projection.pre]
        return source.reshape(HEMISPHERES, ROWS, COLUMNS)

    @property
    def _populations(self) -> list[Population]:
        return [*self.mapping.network.neurons, *self.mapping.network.inputs]

    @property
    def names(self) -> list[str]:
        """Names of all populations: layers first, then inputs."""
        return [p.name for p in self._populations]

    def __str__(self) -> str:
        rows = [("layer", "neurons", "circuits", "columns", "inputs")]
        for layer in self.layers:
            total = layer.neurons * layer.circuits_per_neuron
            each = f" ({layer.circuits_per_neuron} each)" if layer.circuits_per_neuron > 1 else ""
            rows.append(
                (layer.name, str(layer.neurons), f"{total}{each}", layer.columns,
                 f"{layer.inputs} of {layer.available_inputs}")
            )  # fmt: skip
        uses = [("resource", "used", "of", "by layer")]
        for item in self.resources:
            by = ", ".join(f"{name}: {count}" for name, count in item.by_layer.items() if count)
            uses.append((item.name, str(item.used), str(item.available), by))
        sent = [f"{p.name} ({p.size})" for p in self.mapping.network.inputs]
        text = f"{_aligned(rows)}\n\n{_aligned(uses)}\n\nAddresses: {self.addressing}."
        return f"{text}\nSent from outside: {', '.join(sent)}." if sent else text

    def _html(self) -> str:
        layers = table(
            [
                (x.name, x.neurons, x.circuits_per_neuron, x.columns, f"{x.inputs} of {x.available_inputs}")
                for x in self.layers
            ],
            ("layer", "neurons", "circuits each", "columns", "inputs"),
        )
        uses = table(
            [
                (x.name, x.used, x.available, ", ".join(f"{n}: {c}" for n, c in x.by_layer.items() if c))
                for x in self.resources
            ],
            ("resource", "used", "of", "by layer"),
        )
        return (
            chip_svg(self.owner, self.source, self.names) + layers + uses + note(f"Addresses: {self.addressing}.")
        )


@dataclass(frozen=True, eq=False)
class MappingReport:
    """How a network lies on the chip, run by run. `print` it, or let a notebook show it."""

    runs: tuple[RunReport, ...]

    def __str__(self) -> str:
        if len(self.runs) == 1:
            return str(self.runs[0])
        return "\n\n".join(
            f"--- Run {i + 1} of {len(self.runs)} {'-' * 40}\n{run}" for i, run in enumerate(self.runs)
        )

    def __repr__(self) -> str:
        used = ", ".join(str(run.resources[0].used) for run in self.runs)
        runs = f"{len(self.runs)} run{'s' if len(self.runs) > 1 else ''}"
        return f"MappingReport({runs}, {used} of {CIRCUITS} circuits)"

    def _repr_html_(self) -> str:
        parts = []
        for i, run in enumerate(self.runs):
            heading = "Mapping" if len(self.runs) == 1 else f"Run {i + 1} of {len(self.runs)}"
            parts.append(facts(heading, {}, run._html()))
        return "".join(parts)

    def as_data(self) -> list[dict[str, object]]:
        """Plain values for JSON, one entry per run."""
        return [
            {
                "layers": [vars(layer) for layer in run.layers],
                "resources": [vars(item) for item in run.resources],
                "inputs": {p.name: p.size for p in run.mapping.network.inputs},
                "address_classes": run.mapping.routing.groups,
            }
            for run in self.runs
        ]


def report(runs: Sequence[tuple[Part, Mapping]] | Mapping) -> MappingReport:
    """Report of a mapping, or of all parts of a network with their mappings."""
    if isinstance(runs, Mapping):
        return MappingReport((RunReport(runs),))
    return MappingReport(tuple(RunReport(mapping) for _, mapping in runs))


def _by_name(items: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Sums of the numbers with the same name."""
    sums: dict[str, int] = {}
    for name, number in items:
        sums[name] = sums.get(name, 0) + number
    return sums


def _ranges(values: NDArray[np.int64]) -> str:
    """Numbers as "0-63, 70"; more than four pieces are abbreviated."""
    if not values.size:
        return ""
    breaks = np.flatnonzero(np.diff(values) > 1)
    starts, ends = values[np.r_[0, breaks + 1]], values[np.r_[breaks, values.size - 1]]
    pieces = [f"{a}-{b}" if b > a else f"{a}" for a, b in zip(starts, ends, strict=True)]
    return ", ".join(pieces) if len(pieces) <= 4 else f"{', '.join(pieces[:3])}, ... {pieces[-1]}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns, the first one underlined."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])

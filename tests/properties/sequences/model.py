"""What is right: the equations of the neurons in plain torch, from copies of everything, with nothing kept.

`take` copies inputs, weights, parameters and masks at the moment of a run, `compute` makes of them what every
handle has to show, with gradients. Both know the package's modules only by their public attributes; the equations
are those of the interface: forward Euler, the reset without gradient, currents that act one step later.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .description import Cell, Net
from .network import Network

Values = dict[str, Tensor]  # by "handle.field"


@dataclass
class Snapshot:
    """Copies of what a run computes with; `leaves` are those that have gradients."""

    spec: Net
    dt: float
    training: bool
    x: Tensor
    leaves: Values
    parameters: dict[str, dict[str, Any]]
    methods: dict[str, tuple[str, float]]
    masks: Values
    connections: Values
    drops: Values = field(default_factory=dict)


@dataclass
class Expected:
    """`values` with gradients to the `leaves`; `distances` of the membranes to the threshold, by cell."""

    values: Values
    leaves: Values
    distances: Values


def take(network: Network, x: Tensor, dt: float) -> Snapshot:
    """Copy everything but the masks of dropouts, which the run draws."""
    leaves = {name: _copy(tensor, True) for name, tensor in network.leaves().items()}
    leaves["x"] = _copy(x, True)
    populations = {**network.cells, "readout": network.readout}
    if network.side is not None:
        populations["side"] = network.side
    parameters: dict[str, dict[str, Any]] = {}
    for key, population in populations.items():
        values = {name: item.model_value for name, item in population.params.items()}
        parameters[key] = {n: _copy(v) if isinstance(v, Tensor) else v for n, v in values.items()}
        for name in values:
            if f"{key}.{name}" in leaves:
                parameters[key][name] = leaves[f"{key}.{name}"]
    synapses = network.all_synapses()
    return Snapshot(
        network.spec,
        dt,
        network.training,
        leaves["x"],
        leaves,
        parameters,
        {key: (cell.method, cell.alpha) for key, cell in network.cells.items()},
        {key: _copy(cell.mask) for key, cell in network.cells.items()},
        {name: _copy(s.mask) for name, s in synapses.items() if hasattr(s, "mask")},
    )


def take_drops(network: Network, snapshot: Snapshot) -> None:
    """Copy the masks that dropouts drew in the run."""
    snapshot.drops = {key: _copy(drop.mask) for key, drop in network.drops.items()}


def _copy(tensor: Tensor, gradient: bool = False) -> Tensor:
    # An inference tensor must not get into the model, whose results have gradients.
    with torch.inference_mode(False):
        dtype = torch.float32 if tensor.dtype == torch.bool else tensor.dtype
        copied = torch.empty(tensor.shape, dtype=dtype, device="cpu")
        copied.copy_(tensor.detach())
        return copied.requires_grad_(gradient)


def compute(snapshot: Snapshot) -> Expected:
    """The values of all handles, whatever mode torch is in."""
    with torch.inference_mode(False), torch.enable_grad():
        return _Model(snapshot).compute()


class _Model:
    def __init__(self, snapshot: Snapshot) -> None:
        self.s, self.spec = snapshot, snapshot.spec
        self.values: Values = {}
        self.distances: Values = {}

    def compute(self) -> Expected:
        z = h = self.s.x
        if self.spec.input_neuron:
            self.values["entry.spikes"] = h
        for number, cell in enumerate(self.spec.cells):
            z = self._cell(str(number), cell, h)
            h = self._dropped(f"{number}a", z)
        last = len(self.spec.cells) - 1
        total: Tensor | None = None
        for name in [*"abc"[: self.spec.branches], *(["direct"] if self.spec.direct else [])]:
            source = h if name == "a" else self._dropped(f"{last}{name}", z)
            product = self._product(f"end_{name}", source)
            total = product if total is None else total + product
        assert total is not None
        self._integrator("readout", total)
        if self.spec.side:
            self._integrator("side", self.values["synapse0.graded_spikes"])
        return Expected(self.values, self.s.leaves, self.distances)

    def _weight(self, name: str) -> Tensor:
        weight = self.s.leaves[name]
        return weight * self.s.connections[name] if name in self.s.connections else weight

    def _product(self, name: str, spikes: Tensor) -> Tensor:
        product = torch.matmul(spikes, self._weight(name).T)
        self.values[f"{name}.graded_spikes"] = product
        return product

    def _dropped(self, key: str, z: Tensor) -> Tensor:
        if key not in self.s.drops or (self.spec.plain_evaluation and not self.s.training):
            return z
        dropped = z * self.s.drops[key]
        self.values[f"drop{key}.spikes"] = dropped
        cell = key[:-1]
        for name in ("membrane_cadc", "current"):
            self.values[f"drop{key}.{name}"] = self.values[f"cell{cell}.{name}"]
        return dropped

    def _cell(self, key: str, cell: Cell, before: Tensor) -> Tensor:
        x = self._product(f"synapse{key}", before)
        recurrent = self._weight(f"loop{key}") if cell.loop else None
        mask = self.s.masks[key]
        fired, membrane, current, adaptation, distances = self._integrate(key, cell, x, recurrent, mask)
        z = fired * mask
        self.distances[f"cell{key}"] = distances.detach()
        found = {"spikes": z, "membrane_cadc": membrane, "current": current}
        if {"subthreshold", "triggered"} & set(cell.terms):
            found["adaptation_cadc"] = adaptation
        self.values |= {f"cell{key}.{name}": tensor for name, tensor in found.items()}
        if recurrent is not None:
            self.values[f"loop{key}.graded_spikes"] = torch.matmul(z, recurrent.T)
        return z

    def _integrate(
        self, key: str, cell: Cell, x: Tensor, recurrent: Tensor | None, mask: Tensor
    ) -> tuple[Tensor, ...]:
        p, dt = self.s.parameters[key], self.s.dt
        method, alpha = self.s.methods[key]
        plain = cell.kind == "Neuron"
        c = p["tau_mem"] if plain else p["membrane_capacitance"]
        g = 1.0 if plain else c / p["tau_mem"]
        refractory = 0 if plain else math.ceil(float(p["refractory_time"]) / dt - 1e-6)
        terms = set(cell.terms) if cell.kind == "AELIF" else set()
        adapts = bool(terms & {"subthreshold", "triggered"})
        v = torch.zeros_like(x[0]) + p["leak"]
        i = w = torch.zeros_like(v)
        waiting = torch.zeros_like(v)
        rows: list[tuple[Tensor, ...]] = []
        for drive in x.unbind(0):
            dv = i + (p["leak"] - v if plain else g * (p["leak"] - v))
            if "exponential" in terms:
                slope = p["exponential_slope"]
                dv = dv + g * slope * torch.exp((v - p["exponential_threshold"]) / slope)
            if adapts:
                dv = dv - w
            v = v + dt / c * dv
            distance = v - p["threshold"]
            z = spike(distance, method, alpha)
            if adapts:
                rate = dt / p["tau_adap"]
                w = w * (1 - rate)
                if "subthreshold" in terms:
                    w = w + rate * p["subthreshold_adaptation_strength"] * (v - p["leak"])
                if "triggered" in terms:
                    w = w + p["spike_triggered_adaptation_increment"] * z
            v = torch.where(z > 0, p["reset"], v)
            clamped = waiting > 0
            if refractory:
                v = torch.where(clamped, p["reset"], v)
                z = torch.where(clamped, 0.0, z)
                waiting = torch.where(z > 0, float(refractory), (waiting - 1).clamp(min=0))
            if recurrent is not None:
                drive = drive + torch.matmul(z * mask, recurrent.T)
            i = i * (1 - dt / p["tau_syn"]) + drive
            rows.append((z, v, i, w, distance))
        return tuple(torch.stack(column) for column in zip(*rows, strict=True))

    def _integrator(self, key: str, x: Tensor) -> None:
        p, dt = self.s.parameters[key], self.s.dt
        plain = self.spec.readout == "ReadoutNeuron"
        c = p["tau_mem"] if plain else p["membrane_capacitance"]
        g = 1.0 if plain else c / p["tau_mem"]
        v = torch.zeros_like(x[0]) + p["leak"]
        i = torch.zeros_like(v)
        membranes, currents = [], []
        for drive in x.unbind(0):
            v = v + dt / c * (i + g * (p["leak"] - v))
            i = i * (1 - dt / p["tau_syn"]) + drive
            membranes.append(v)
            currents.append(i)
        self.values[f"{key}.membrane_cadc"] = torch.stack(membranes)
        self.values[f"{key}.current"] = torch.stack(currents)


def spike(distance: Tensor, method: str, alpha: float) -> Tensor:
    """1 where the distance to the threshold is above zero; backward with the surrogate gradient."""
    slope = derivative(distance.detach(), method, alpha)
    return (distance > 0).float() + slope * (distance - distance.detach())


def derivative(x: Tensor, method: str, alpha: float) -> Tensor:
    """The surrogate gradients, from the papers that the documentation names."""
    if method == "superspike":
        return (1 + alpha * x.abs()) ** -2
    if method == "sigmoid":
        return alpha / (2 + 2 * torch.cosh(alpha * x))
    if method == "arctan":
        return 0.5 * alpha / (1 + (0.5 * math.pi * alpha * x) ** 2)
    if method == "triangular":
        return (1 - alpha * x.abs()).clamp(min=0)
    if method == "multi_gaussian":
        s = 1 / alpha

        def normal(mean: float, deviation: float) -> Tensor:
            return torch.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))

        return 0.5 * (1.15 * normal(0, s) - 0.15 * normal(s, 6 * s) - 0.15 * normal(-s, 6 * s))
    assert method == "straight_through"
    return torch.ones_like(x)

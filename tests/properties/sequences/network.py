"""A network of hxtorch as a script would write it, built from its description."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hxtorch import snn
from hxtorch.snn.transforms.weight_transforms import linear_saturating

from .description import DT, GRAIN, Cell, Net

Handles = dict[str, snn.Handle]

_built = count()  # so that no two networks of a process have the same parameters
CHIP_STEP = 1e-6
# On the chip a weight of 1 has this code, and the CADC's trace comes in units of the model.
CHIP_WEIGHT, CHIP_TRACE = 50.0, {"trace_offset": -48.0, "trace_scale": 1 / 45}
CHIP_VALUES = {
    "leak": 80,
    "reset": 80,
    "threshold": 125,
    "tau_mem": 10e-6,
    "tau_syn": 10e-6,
    "refractory_time": 1e-6,
    "membrane_capacitance": 63,
}


class Interrupted(Exception):
    """Raised between calls, or within a `forward_func`."""


class FragileSynapse(snn.Synapse):
    """A synapse with a function of its own that can be told to fail."""

    error: type[BaseException] | None = None

    def forward_func(self, input: snn.NeuronHandle) -> snn.SynapseHandle:
        if self.error is not None:
            raise self.error("in the middle of a run")
        return snn.SynapseHandle(torch.nn.functional.linear(input.spikes, self.weight))


class Network(nn.Module):
    """Modules and experiment of a `Net`; `forward` calls all modules and returns their handles by name."""

    def __init__(self, spec: Net, fresh: int | None = None, calibration: Path | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.fresh = next(_built) if fresh is None else fresh
        mock = not spec.chip
        self.experiment = snn.Experiment(mock=mock, dt=DT if mock else CHIP_STEP, checkpoint_steps=spec.pieces)
        if calibration is not None:
            self.experiment.default_execution_instance.load_calib(calibration)
        g = torch.Generator().manual_seed(spec.seed)
        before, rate = spec.inputs, spec.density
        self.synapses, self.loops, self.cells, self.drops = (nn.ModuleDict() for _ in range(4))
        self.entry = snn.InputNeuron(spec.inputs, self.experiment) if spec.input_neuron else None
        for number, cell in enumerate(spec.cells):
            key = str(number)
            self.synapses[key] = self._synapse(before, cell.size, rate, g, cell.sparse, spec.fragile and not number)
            self.cells[key] = self._cell(cell)
            if cell.loop:
                self.loops[key] = self._synapse(cell.size, cell.size, 0.4, g)
            last = number == len(spec.cells) - 1
            if cell.dropout is not None:
                for branch in range(spec.branches if last else 1):
                    self.drops[f"{key}{'abc'[branch]}"] = snn.BatchDropout(cell.size, cell.dropout, self.experiment)
            before, rate = cell.size, 0.2
        self.ends = nn.ModuleDict(
            {
                name: self._synapse(before, spec.outputs, rate, g)
                for name in [*"abc"[: spec.branches], *(["direct"] if spec.direct else [])]
            }
        )
        self.readout = self._readout(spec.outputs)
        self.side = self._readout(spec.cells[0].size) if spec.side else None
        self.eval()

    def _synapse(
        self, before: int, after: int, rate: float, g: torch.Generator, sparse: bool = False, fragile: bool = False
    ) -> snn.Synapse:
        experiment, per_step = self.experiment, before * rate
        transform = linear_saturating if experiment.mock else partial(linear_saturating, scale=CHIP_WEIGHT)
        if sparse:
            exists = torch.rand(before, after, generator=g) < 0.6
            exists[0, 0] = True
            synapse: snn.Synapse = snn.SparseSynapse(exists.float(), experiment, transform=transform)
            per_step *= 0.6
        else:
            synapse = (FragileSynapse if fragile else snn.Synapse)(before, after, experiment, transform=transform)
        per_step = max(per_step, 0.5)
        drawn = 0.2 / per_step + 0.4 / per_step**0.5 * torch.randn(after, before, generator=g)
        with torch.no_grad():
            synapse.weight.copy_((drawn / GRAIN).round() * GRAIN)
            if sparse:
                synapse.weight.mul_(synapse.mask)
        return synapse

    def _cell(self, cell: Cell) -> snn.Neuron:
        kind: Any = {"Neuron": snn.Neuron, "LIF": snn.LIF, "AELIF": snn.AELIF}[cell.kind]
        values = self._values(cell)
        options: dict[str, Any] = {"method": cell.method, "alpha": cell.alpha}
        options |= CHIP_TRACE if self.spec.chip else {}
        if cell.kind == "AELIF":
            options["exponential"] = "exponential" in cell.terms
            options["subthreshold_adaptation"] = "subthreshold" in cell.terms
            options["spike_triggered_adaptation"] = "triggered" in cell.terms
        neuron: snn.Neuron = kind(cell.size, self.experiment, **values, **options)
        for name in cell.trained:
            if name in values:
                getattr(neuron, name).make_trainable()
        if cell.masked:
            neuron.mask = torch.rand(cell.size, generator=torch.Generator().manual_seed(cell.masked)) < 0.7
        return neuron

    def _values(self, cell: Cell) -> dict[str, Any]:
        """Parameters of a cell; the threshold is one that no other network of the process has."""
        dt = self.experiment.dt
        threshold = cell.threshold + self.fresh % 2**14 * 2.0**-20
        model: dict[str, Any] = {
            "leak": 0.0,
            "reset": cell.reset,
            "threshold": threshold,
            "tau_mem": cell.tau_mem * dt,
            "tau_syn": cell.tau_syn * dt,
        }
        if cell.kind != "Neuron":
            model["membrane_capacitance"] = cell.conductance * cell.tau_mem * dt
            model["refractory_time"] = cell.refractory * dt
        if cell.kind == "AELIF":
            model |= {
                "exponential_slope": 0.25,
                "exponential_threshold": 0.75,
                "tau_adap": cell.tau_adap * dt,
                "subthreshold_adaptation_strength": 0.5,
                "spike_triggered_adaptation_increment": 0.25,
            }
        for name in cell.per_neuron:
            if name in model:
                step = 2.0**-6 if name in ("leak", "reset", "threshold") else 0.0
                model[name] = model[name] + step * torch.arange(cell.size, dtype=torch.float32)
        hardware = {"leak": 80, "reset": 80, "threshold": 125, "membrane_capacitance": 63}
        return {name: snn.MixedHXModelParameter(value, hardware.get(name, value)) for name, value in model.items()}

    def _readout(self, size: int) -> snn.ReadoutNeuron:
        tau = 8 * self.experiment.dt
        kind: Any = {"ReadoutNeuron": snn.ReadoutNeuron, "LI": snn.LI}[self.spec.readout]
        model = {"leak": 0.0, "tau_mem": tau, "tau_syn": tau / 2}
        if self.spec.readout == "LI":
            model["membrane_capacitance"] = tau
        values = {name: snn.MixedHXModelParameter(v, CHIP_VALUES[name]) for name, v in model.items()}
        return kind(size, self.experiment, **values, **(CHIP_TRACE if self.spec.chip else {}))

    def calls(self, given: snn.Handle) -> Iterator[tuple[str, snn.Handle]]:
        """Call the modules one after the other, and say the name of each handle."""
        h = given
        if self.entry is not None:
            h = self.entry(h)
            yield "entry", h
        first = h
        for key, cell in self.cells.items():
            g = self.synapses[key](h)
            yield f"synapse{key}", g
            others = []
            if key in self.loops:
                others = [self.loops[key](cell.output_handle)]
                yield f"loop{key}", others[0]
            if self.spec.separate and others:
                cell(g)
                h = z = cell(*others)
            else:
                h = z = cell(g, *others)
            yield f"cell{key}", z
            if f"{key}a" in self.drops and (self.training or not self.spec.plain_evaluation):
                h = self.drops[f"{key}a"](z)
                yield f"drop{key}a", h
        last = str(len(self.cells) - 1)
        ends = []
        for name, synapse in self.ends.items():
            source = h if name == "a" else z
            drop = f"{last}{name}"
            if name != "a" and drop in self.drops and (self.training or not self.spec.plain_evaluation):
                source = self.drops[drop](z)
                yield f"drop{drop}", source
            ends.append(synapse(source))
            yield f"end_{name}", ends[-1]
        yield "readout", self.readout(*ends)
        if self.side is not None:
            yield "side", self.side(self.synapses["0"](first))

    def forward(self, given: snn.Handle, stop_after: int | None = None) -> Handles:
        """All handles by name; after `stop_after` calls: `Interrupted`."""
        found: Handles = {}
        for number, (name, handle) in enumerate(self.calls(given), 1):
            found[name] = handle
            if number == stop_after:
                raise Interrupted
        return found

    def all_synapses(self) -> dict[str, snn.Synapse]:
        """The synapses by the name of their handle."""
        groups = {"synapse": self.synapses, "loop": self.loops, "end_": self.ends}
        return {f"{group}{key}": s for group, modules in groups.items() for key, s in modules.items()}

    def leaves(self) -> dict[str, Tensor]:
        """What is trained, by name: weights, and parameters of neurons as `0.threshold`."""
        found: dict[str, Tensor] = {name: synapse.weight for name, synapse in self.all_synapses().items()}
        for key, cell in self.cells.items():
            for name in self.spec.cells[int(key)].trained:
                parameter = getattr(cell, name, None)
                if parameter is not None and parameter.is_trainable():
                    found[f"{key}.{name}"] = parameter.model_value
        return found


def content(spec: Net, seed: int) -> Tensor:
    """Input (T, B, inputs) of the kind that the description names."""
    g = torch.Generator().manual_seed(seed)
    x = (torch.rand(spec.steps, spec.batch, spec.inputs, generator=g) < spec.density).float()
    if spec.content == "graded":
        x = x * torch.randint(-2, 5, x.shape, generator=g) / 4
    return x

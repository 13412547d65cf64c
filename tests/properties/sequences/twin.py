"""The virtual chip: which ones there are, and what is right on them.

A new network with the values of the snapshot runs once, in a new experiment, with the same noise. So on the chip
it is not the physics that is checked, but that nothing else than the snapshot matters.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

import hxtorch
from hxtorch import calibration, snn
from hxtorch.twin import Die, VirtualChip

from .model import Expected, Snapshot
from .network import Handles, Network

# The seed of a die, and the calibration that is loaded.
CHIPS: dict[str, tuple[int, str] | None] = {
    "ideal": None,
    "chip 1": (1, "spiking"),
    "chip 2": (2, "spiking2"),
    "chip 3": (3, "spiking"),
}


@cache
def _chip(name: str) -> VirtualChip:
    given = CHIPS[name]
    return VirtualChip(Die.ideal() if given is None else Die.from_seed(given[0]))


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="hxtorch-sequences-")


@cache
def calibration_of(name: str) -> Path | None:
    """The file of the kept calibration of a chip; None in mock mode, and for the ideal chip, which needs none."""
    given = CHIPS.get(name)
    if given is None:
        return None
    path = Path(_folder().name) / f"{name}.calibration"
    calibration.save(calibration.nightly(given[1], _chip(name)), path)
    return path


def connect(name: str) -> None:
    """Connect to a virtual chip."""
    hxtorch.init_hardware(_chip(name))


def run_network(network: Network, trial: int) -> None:
    """Run what was called, on the chip with the noise of this trial."""
    if network.spec.chip:
        snn.run(network.experiment, network.spec.steps, trial_seed=trial)
    else:
        snn.run(network.experiment, None)


def run_anew(snapshot: Snapshot, trial: int) -> Expected:
    """What a new network with the values of the snapshot shows."""
    state = torch.get_rng_state()
    with torch.inference_mode(False), torch.enable_grad():
        network = _rebuilt(snapshot)
        x = snapshot.x.detach().clone().requires_grad_()
        handles: Handles = network(snn.NeuronHandle(x))
        torch.manual_seed(trial)  # for the masks of dropouts
        run_network(network, trial)
        values = {
            f"{name}.{field}": tensor
            for name, handle in handles.items()
            for field in handle.names()
            if isinstance(tensor := getattr(handle, field), Tensor)
        }
    torch.set_rng_state(state)
    _check_dropouts(snapshot, values)
    return Expected(values, {**network.leaves(), "x": x}, {})


def _rebuilt(snapshot: Snapshot) -> Network:
    spec = snapshot.spec
    network = Network(spec, calibration=calibration_of(spec.chip))
    network.experiment.dt = snapshot.dt
    for name, synapse in network.all_synapses().items():
        synapse.weight.data.copy_(snapshot.leaves[name].detach())
    for key, cell in network.cells.items():
        for name, value in snapshot.parameters[key].items():
            item = getattr(cell, name)
            if isinstance(item, snn.MixedHXModelParameter):
                item.model_value = value.detach().clone() if isinstance(value, Tensor) else value
        cell.method, cell.alpha = snapshot.methods[key]
        mask = snapshot.masks[key]
        cell.mask = None if bool(mask.all()) else mask
    network.train(snapshot.training)
    return network


def _check_dropouts(snapshot: Snapshot, values: dict[str, Tensor]) -> None:
    """What holds on the chip whatever is computed: dropped spikes are those of the neurons, but for the mask."""
    for key, mask in snapshot.drops.items():
        if f"drop{key}.spikes" in values:
            fired, passed = values[f"cell{key[:-1]}.spikes"], values[f"drop{key}.spikes"]
            if not torch.equal(passed, fired * mask):
                raise AssertionError(f"drop{key} passes on other spikes than those of its mask")

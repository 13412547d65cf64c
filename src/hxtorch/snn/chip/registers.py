"""What the chip is set to in a run: registers of neurons by calibration and modules, weights, routing, masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hxtorch.calibration import CalibrationResult
from hxtorch.snn.chip.network import ChipNetwork, chip_weights, heard_weights
from hxtorch.snn.chip.plan import ChipPlan, ChipRun
from hxtorch.twin import ChipConfig
from hxtorch.twin.places.coordinates import CIRCUITS


def weight_matrices(network: ChipNetwork) -> dict[int, NDArray[np.int64]]:
    """Weights (out, in) of all projections by their key, as the chip holds them in this run."""
    whole = {id(synapse): chip_weights(synapse) for synapse in network.synapses.values()}
    return {
        key: heard_weights(whole[id(synapse)], network.between[key]) for key, synapse in network.synapses.items()
    }


def config_of(
    plan: ChipPlan, run: ChipRun, calibrated: CalibrationResult, matrices: Mapping[int, NDArray[np.int64]]
) -> ChipConfig:
    """What the chip is set to in a run; `matrices` are the weights of the whole projections by their key."""
    own = {}
    for key, cut in run.part.projections.items():
        matrix = matrices[cut.key]
        whole = (0, matrix.shape[0]) == cut.post and (0, matrix.shape[1]) == cut.pre
        own[key] = matrix if whole else matrix[slice(*cut.post), slice(*cut.pre)]
    neurons = run.instance.neuron_config(run.mapping, calibrated)
    placed = [
        (plan.described.populations[member.key], range(member.start, member.stop), run.mapping.circuits[own])
        for own, member in run.part.members.items()
    ]
    neurons = run.instance.with_own_settings(neurons, placed)
    config = ChipConfig(neurons, calibrated.common, run.routing, run.mapping.weights(own))
    enabled = _heard_neurons(plan, run)
    return config if enabled is None else replace(config, enable_events=enabled)


def _heard_neurons(plan: ChipPlan, run: ChipRun) -> NDArray[np.bool_] | None:
    """Circuits (512,) whose events leave the neuron; None: all."""
    enabled = np.ones(CIRCUITS, dtype=np.bool_)
    masked = False
    for own, member in run.part.members.items():
        population = plan.described.populations[member.key]
        if population.masks_neurons:
            masked = True
            heard = population.mask[member.start : member.stop]
            enabled[run.mapping.main_circuits(own)] = heard.cpu().numpy()
    return enabled if masked else None

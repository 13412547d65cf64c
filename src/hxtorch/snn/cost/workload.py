"""What a network costs: size, activity, operations, and an estimate of energy and latency on the real chip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from hxtorch.snn.experiment import Experiment
from hxtorch.snn.graph.last_run import LastRun
from hxtorch.snn.modules.population import Population
from hxtorch.snn.modules.synapse import Synapse

CHIP_POWER = 0.2
"""W of the chip at work. Cramer et al., "Surrogate gradients for analog neuromorphic computing", PNAS 119
(2022): 2.4 µJ per MNIST image at about 200 mW, one image every 11.8 µs."""

PAUSE = 1.8e-6
"""s between two samples: the same work resets the membranes 10 µs after the start of an image, and starts an
image every 11.8 µs."""


@dataclass(frozen=True)
class Workload:
    """Cost of a run, averaged over its batch.

    * `footprint`: bytes of the parameters in the model; `chip_weights`: 6-bit weights and signs on the chip, in
      bytes, two synapses for each signed weight.
    * `connection_sparsity`, `activation_sparsity`: part of the weights, and of the neurons' outputs over time,
      that are zero.
    * `synaptic_operations`: per sample; `dense` as if every neuron fired in every step, `effective` those of
      actual spikes on weights that are not zero. All are accumulations (ACs): spikes are 0 or 1.
    * `membrane_updates`: per sample, one per neuron and time step of the model.
    * `estimated_latency` (s), `estimated_energy` (J): per sample **on the real chip, an estimate** from published
      figures (`CHIP_POWER`, `PAUSE`); host computer and FPGA are not included.
    """

    footprint: int
    chip_weights: float
    connection_sparsity: float
    activation_sparsity: float
    dense_operations: float
    effective_operations: float
    membrane_updates: float
    estimated_latency: float
    estimated_energy: float


def workload(experiment: Experiment) -> Workload:
    """Cost of the last run of an experiment; ValueError if nothing was run."""
    ran = experiment.last_run
    if ran is None:
        raise ValueError("There is nothing to count: the experiment has not been run yet.")
    synapses = [(item.module, item) for item in ran.modules if isinstance(item.module, Synapse)]
    parameters = {id(p): p for item in ran.modules for p in item.module.parameters()}
    weights = torch.cat(
        [torch.zeros(0, device="cpu"), *(synapse.weight.detach().reshape(-1).cpu() for synapse, _ in synapses)]
    )
    outputs = [
        item.recorded["spikes"]
        for item in ran.modules
        if isinstance(item.module, Population) and "spikes" in item.recorded
    ]
    zeros = sum(int((spikes == 0).sum()) for spikes in outputs)
    entries = sum(spikes.numel() for spikes in outputs)
    steps = _steps(ran)
    dense = effective = 0.0
    for synapse, item in synapses:
        post, pre = synapse.weight.shape
        fan_out = (synapse.weight.detach() != 0).sum(0).to(torch.float64)  # of every presynaptic neuron
        for spikes in _inputs(ran, item.sources, item.given):
            dense += spikes.shape[0] * pre * post
            effective += float((spikes != 0).sum((0, 1)).to(torch.float64) @ fan_out) / spikes.shape[1]
    neurons = sum(item.module.size for item in ran.modules if isinstance(item.module, Population))
    latency = steps * experiment.dt
    return Workload(
        footprint=sum(p.numel() * p.element_size() for p in parameters.values()),
        chip_weights=weights.numel() * 2 * 6 / 8,
        connection_sparsity=float((weights == 0).float().mean()) if weights.numel() else 0.0,
        activation_sparsity=zeros / entries if entries else 0.0,
        dense_operations=dense,
        effective_operations=effective,
        membrane_updates=float(neurons * steps),
        estimated_latency=latency,
        estimated_energy=CHIP_POWER * (latency + PAUSE),
    )


def _inputs(
    ran: LastRun, sources: tuple[int | None, ...], given: tuple[Mapping[str, torch.Tensor], ...]
) -> list[torch.Tensor]:
    """Spikes (T, B, N) that a synapse read."""
    own = iter(given)
    read = (next(own) if source is None else ran.modules[source].recorded for source in sources)
    tensors = [tensors.get("spikes") for tensors in read]
    return [tensor for tensor in tensors if tensor is not None]


def _steps(ran: LastRun) -> int:
    """Time steps of a run."""
    lengths = (int(t.shape[0]) for item in ran.modules for t in item.recorded.values() if t.ndim == 3)
    return next(lengths, 0)

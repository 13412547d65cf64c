"""From the graph of calls to the network that the mapping understands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hxtorch.mapping import InputPopulation, MappingError, Network, NeuronPopulation, Projection
from hxtorch.snn.graph import Graph, Node
from hxtorch.snn.handle import Handle
from hxtorch.snn.modules.input_neuron import InputNeuron
from hxtorch.snn.modules.neuron import ReadoutNeuron
from hxtorch.snn.modules.population import Population
from hxtorch.snn.modules.synapse import Synapse
from hxtorch.twin.coordinates import MAX_WEIGHT


@dataclass(frozen=True, eq=False)
class ChipNetwork:
    """A graph in the chip's terms.

    `network` is what the mapping places; `populations` gives the node of every neuron population by key,
    `inputs` the handle of every input population, `synapses` the module of every projection.
    """

    network: Network
    populations: dict[int, Node]
    inputs: dict[int, Handle]
    synapses: dict[int, Synapse]


def chip_network(graph: Graph) -> ChipNetwork:
    """Translate a graph; `MappingError` for what a chip cannot represent."""
    keys: dict[int, int] = {}  # of a node or of a user's handle, by id
    inputs: dict[int, Handle] = {}
    input_populations: list[InputPopulation] = []
    populations: dict[int, Node] = {}
    neuron_populations: list[NeuronPopulation] = []
    projections: list[Projection] = []
    synapses: dict[int, Synapse] = {}

    def source_key(reader: Node, handle: Handle, source: Node | None) -> int:
        """Key of the population whose spikes a handle carries; a user's handle becomes an input."""
        if source is not None and isinstance(source.module, InputNeuron):
            return source_key(source, source.inputs[0], source.predecessors[0])
        if source is not None:
            return keys[id(source)]
        if id(handle) not in keys:
            key = keys[id(handle)] = len(keys)
            size = int(handle.spikes.shape[2])  # type: ignore[attr-defined]
            inputs[key] = handle
            input_populations.append(InputPopulation(key, f"the input of {reader.module}", size))
        return keys[id(handle)]

    for node in graph.modules_in_order:
        module = node.module
        if isinstance(module, Synapse | InputNeuron):
            continue  # become projections of, or inputs to, the populations that read them
        if not isinstance(module, Population):
            raise MappingError(
                f"{type(module).__name__} has no counterpart on the chip. Use Experiment(mock=True) for it."
            )
        key = keys[id(node)] = len(keys)
        populations[key] = node
        neuron_populations.append(_neuron_population(key, module))
        for synapse in node.predecessors:
            if synapse is None or not isinstance(synapse.module, Synapse):
                raise MappingError(
                    f"{module} is not fed by a Synapse. On the chip, neurons receive spikes through synapses only."
                )
            for handle, source in zip(synapse.inputs, synapse.predecessors, strict=True):
                pre = source_key(synapse, handle, source)
                synapses[len(projections)] = synapse.module
                projections.append(Projection(len(projections), str(synapse.module), pre, key))
    network = Network(tuple(input_populations), tuple(neuron_populations), tuple(projections))
    return ChipNetwork(network, populations, inputs, synapses)


def _neuron_population(key: int, module: Population) -> NeuronPopulation:
    spiking = not isinstance(module, ReadoutNeuron)
    return NeuronPopulation(
        key=key,
        name=f"{type(module).__name__}({module.size})",
        size=module.size,
        spiking=spiking,
        record_spikes=spiking and module.enable_spike_recording,
        record_cadc=module.enable_cadc_recording,
        cadc_in_dram=module.enable_cadc_recording_placement_in_dram,
        record_madc=_madc_neurons(module),
        circuits=_constraint(module.placement_constraint),
    )


def _madc_neurons(module: Population) -> tuple[int, ...]:
    chosen = module.record_neuron_id
    if not module.enable_madc_recording or chosen is None:
        return ()
    return tuple(chosen) if isinstance(chosen, tuple | list) else (int(chosen),)


def _constraint(places: Sequence[Any] | None) -> tuple[int, ...] | None:
    return None if places is None else tuple(int(place) for place in places)


def chip_weights(synapse: Synapse) -> NDArray[np.int64]:
    """Weights (out, in) as the chip holds them: transformed, rounded half away from zero, within +-63."""
    with torch.no_grad():
        weight = synapse.weight_transform(synapse.weight).detach().cpu().numpy()
    if not np.isfinite(weight).all():
        raise ValueError(f"The transform of {synapse} gives NaN or infinite weights. Correct the transform.")
    rounded = np.trunc(weight + np.copysign(0.5, weight))
    clipped: NDArray[np.int64] = np.clip(rounded, -MAX_WEIGHT, MAX_WEIGHT).astype(np.int64)
    return clipped

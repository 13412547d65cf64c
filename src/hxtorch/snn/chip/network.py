"""From the graph of calls to the network that the mapping understands."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from hxtorch.mapping import (
    InputPopulation,
    MappingError,
    Network,
    NeuronPopulation,
    Projection,
    Structure,
)
from hxtorch.snn.chip.rounding import round_to_limit
from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.graph.contract import Node
from hxtorch.snn.graph.graph import Graph
from hxtorch.snn.graph.inputs import open_handles, spikes_of
from hxtorch.snn.handles.handle import Handle
from hxtorch.snn.modules.base import HXFunctionalModule, HXModule
from hxtorch.snn.modules.input_neuron import InputNeuron
from hxtorch.snn.modules.neuron import ReadoutNeuron
from hxtorch.snn.modules.population import Population
from hxtorch.snn.modules.synapse import Synapse
from hxtorch.snn.refusals import warn_user
from hxtorch.twin.places.coordinates import CIRCUITS, COLUMNS, HEMISPHERES, MAX_WEIGHT, circuits_of

P = TypeVar("P", InputPopulation, NeuronPopulation)

Source = Node | int
"""Who fills a handle: a node, or the user; then the number of the handle among the user's."""


@dataclass(frozen=True, eq=False)
class ChipNetwork:
    """A graph in the chip's terms.

    `network` is what the mapping places. By key: `populations` holds the module of every neuron population,
    `inputs` the place of every input population's handle among the graph's open inputs, `synapses` the module
    of every projection, `between` the modules between its source and its synapses, which may silence neurons,
    `looped` the modules that want the recorded spikes of an input population.
    """

    network: Network
    populations: dict[int, Population]
    inputs: dict[int, int]
    synapses: dict[int, Synapse]
    looped: dict[int, list[InputNeuron]] = field(default_factory=dict)
    between: dict[int, tuple[HXFunctionalModule, ...]] = field(default_factory=dict)


def structure_key(graph: Graph) -> Hashable:
    """Equal for graphs that the chip represents in the same way, whatever their weights and inputs.

    By what settings say, never by the identity of objects: scripts change lists in place.
    """
    parts: list[object] = [graph.structure_key]
    for node in graph.modules_in_order:
        module = node.module
        if isinstance(module, Population):
            parts.append(
                (
                    module.size,
                    module.enable_spike_recording,
                    module.enable_cadc_recording,
                    module.enable_cadc_recording_placement_in_dram,
                    _madc_neurons(module),
                    _places(module),
                    _structure(module.neuron_structure),
                    instance_of(module),
                )
            )
        elif isinstance(module, Synapse):
            parts.append((module.chip_connections, module.parallel_rows))
        elif isinstance(module, InputNeuron):
            parts.append(instance_of(module).input_loopback)
        for handle in node.open_inputs:
            spikes = handle.peek("spikes") if "spikes" in handle.names() else None
            parts.append(None if spikes is None else spikes.shape[2])
    return tuple(parts)


def instance_of(module: HXModule) -> ExecutionInstance:
    """Where a module runs: on its own execution instance, or on the one that its experiment has by now."""
    if module.execution_instance is not None:
        return module.execution_instance
    assert module.experiment is not None  # by which it was called
    return module.experiment.default_execution_instance


def chip_network(graph: Graph) -> ChipNetwork:
    """Translate a graph; `MappingError` for what a chip cannot represent."""
    place = {id(handle): i for i, handle in enumerate(open_handles(graph))}
    nodes = [node for node in graph.modules_in_order if isinstance(node.module, Population)]
    keys: dict[int, int] = {id(node): key for key, node in enumerate(nodes)}  # of a node or a user's handle
    result = ChipNetwork(Network(), {}, {}, {})
    inputs: list[InputPopulation] = []
    projections: list[Projection] = []

    def source_key(reader: Node, handle: Handle, source: Node | None) -> int:
        """Key of the population whose spikes a handle carries; a user's handle becomes an input."""
        if source is None:
            if id(handle) not in keys:
                key = keys[id(handle)] = len(keys)
                result.inputs[key] = place[id(handle)]
                size = spikes_of(handle).shape[2]
                inputs.append(InputPopulation(key, f"input of {reader.module}", size))
            return keys[id(handle)]
        if isinstance(source.module, InputNeuron):
            key = source_key(source, source.inputs[0], source.predecessors[0])
            if key in result.inputs and instance_of(source.module).input_loopback:
                looped = result.looped.setdefault(key, [])
                if source.module not in looped:
                    looped.append(source.module)
            return key
        if isinstance(source.module, HXFunctionalModule) and source.module.input_field == "spikes":
            if len(source.inputs) > 1:
                raise MappingError(
                    f"{source.module} reads {len(source.inputs)} handles, which have no common spikes on the chip. "
                    "Give it one, or use Experiment(mock=True)."
                )
            return source_key(source, source.inputs[0], source.predecessors[0])
        if id(source) not in keys:
            raise MappingError(
                f"{reader.module} reads the output of {source.module}, which has no counterpart on the chip. "
                "Use Experiment(mock=True) for it."
            )
        return keys[id(source)]

    for node in graph.modules_in_order:
        _check_represented(node)
    for node in nodes:
        module, key = node.module, keys[id(node)]
        assert isinstance(module, Population)
        result.populations[key] = module
        for synapse in node.predecessors:
            if synapse is None or not isinstance(synapse.module, Synapse):
                raise MappingError(
                    f"{module} is not fed by a Synapse. On the chip, neurons receive spikes through synapses only."
                )
            for handle, source in zip(synapse.inputs, synapse.predecessors, strict=True):
                pre = source_key(synapse, handle, source)
                result.synapses[len(projections)] = synapse.module
                result.between[len(projections)] = _between(source)
                projections.append(_projection(len(projections), synapse.module, pre, key))
    neurons = tuple(_neuron_population(key, module) for key, module in result.populations.items())
    network = Network(_told_apart(inputs), _told_apart(neurons), tuple(projections))
    return replace(result, network=network)


def _between(source: Node | None) -> tuple[HXFunctionalModule, ...]:
    """The modules that a synapse's spikes come through on their way from a population or an input."""
    found = []
    while source is not None and not isinstance(source.module, Population):
        if isinstance(source.module, HXFunctionalModule):
            found.append(source.module)
        source = source.predecessors[0]
    return tuple(found)


def _check_represented(node: Node) -> None:
    module = node.module
    if isinstance(module, Population | Synapse | InputNeuron | HXFunctionalModule):
        return
    raise MappingError(f"{type(module).__name__} has no counterpart on the chip. Use Experiment(mock=True) for it.")


def _projection(key: int, synapse: Synapse, pre: int, post: int) -> Projection:
    return Projection(key, str(synapse), pre, post, synapse.chip_connections, synapse.parallel_rows)


def _neuron_population(key: int, module: Population) -> NeuronPopulation:
    spiking = not isinstance(module, ReadoutNeuron)
    return NeuronPopulation(
        key=key,
        name=module.short_name,
        size=module.size,
        spiking=spiking,
        record_spikes=spiking and module.enable_spike_recording,
        record_cadc=module.enable_cadc_recording,
        cadc_in_dram=module.enable_cadc_recording_placement_in_dram,
        record_madc=_madc_neurons(module),
        circuits=_constraint(module),
        structure=_structure(module.neuron_structure),
    )


def _madc_neurons(module: Population) -> tuple[int, ...]:
    chosen = module.record_neuron_id
    if not module.enable_madc_recording or chosen is None:
        return ()
    return tuple(chosen) if isinstance(chosen, tuple | list) else (int(chosen),)


def _structure(given: Any) -> Structure | None:
    """Structure of a morphology; None leaves the number of circuits to the mapping."""
    if given is None or isinstance(given, Structure):
        return given
    return Structure(int(given.size), bool(given.expand_horizontally))


def _places(module: Population) -> tuple[tuple[int, ...], ...] | None:
    """The circuits that the placement constraint names by neuron, one or more each."""
    given = module.placement_constraint
    return None if given is None else tuple(circuits_of(place) for place in given)


def _constraint(module: Population) -> tuple[tuple[int, ...], ...] | None:
    """Circuits by neuron; a place that names one circuit is completed by the structure of the neurons."""
    places = _places(module)
    structure = _structure(module.neuron_structure)
    if places is None or structure is None:
        return places
    lengths = {len(place) for place in places}
    if lengths == {1}:
        return tuple(_completed(module, place[0], structure) for place in places)
    if lengths != {structure.size}:
        raise MappingError(
            f"The placement_constraint of {module.short_name} names {' or '.join(map(str, sorted(lengths)))} "
            f"circuits per neuron, but its neuron_structure has {structure.size}. Give one of them, or the same in "
            "both."
        )
    return places


def _completed(module: Population, anchor: int, structure: Structure) -> tuple[int, ...]:
    """The circuits of a neuron whose first one is `anchor`."""
    columns = structure.size if structure.horizontal else -(-structure.size // HEMISPHERES)
    if anchor % COLUMNS + columns > COLUMNS:
        last = anchor // COLUMNS * COLUMNS + COLUMNS - columns
        raise MappingError(
            f"{module.short_name} asks for a neuron of {structure.size} circuits at circuit {anchor}, which is too "
            f"close to the end of its row: the last place in this row is {last}."
        )
    if structure.horizontal:
        return tuple(range(anchor, anchor + structure.size))
    return tuple((anchor + k // 2 + COLUMNS * (k % 2)) % CIRCUITS for k in range(structure.size))


def _told_apart(populations: Sequence[P]) -> tuple[P, ...]:
    """Populations with the same name are numbered in their order: "1st Neuron(10)", "2nd Neuron(10)"."""
    count = Counter(p.name for p in populations)
    seen: Counter[str] = Counter()
    named = []
    for population in populations:
        seen[population.name] += 1
        number = seen[population.name]
        ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number % 100 // 10 != 1 else 0, "th")
        same = count[population.name] == 1
        named.append(population if same else replace(population, name=f"{number}{ending} {population.name}"))
    return tuple(named)


def chip_weights(synapse: Synapse) -> NDArray[np.int64]:
    """Weights (out, in) as the chip holds them: transformed, rounded half away from zero, within the rows' range.

    The range is +-63 for each of the parallel rows; a transform that exceeds it gives one warning.
    """
    with torch.no_grad():
        weight = synapse.weight_transform(synapse.weight).detach().cpu()
    values = np.ascontiguousarray(weight.numpy())
    rounded = np.empty(values.shape, dtype=np.int64)
    limit = MAX_WEIGHT * synapse.parallel_rows
    beyond = round_to_limit(values.reshape(-1), limit, rounded.reshape(-1))
    if beyond < 0:
        raise ValueError(f"The transform of {synapse} gives NaN or infinite weights. Correct the transform.")
    if beyond > 0 and not synapse.told_of_clipping:
        synapse.told_of_clipping = True
        largest = float(np.abs(values).max())
        warn_user(
            f"The transform of {synapse} gives weights up to {largest:.4g}, but the chip has -{limit} to {limit}, "
            f"which {beyond} of {values.size} weights get instead. Scale them less, saturate them in the "
            f"transform, or give the synapse parallel_rows={math.ceil(largest / MAX_WEIGHT)}."
        )
    return rounded


def heard_weights(weights: NDArray[np.int64], between: Iterable[HXFunctionalModule]) -> NDArray[np.int64]:
    """`weights` (out, in), those from neurons that a module in `between` silences in this run set to 0."""
    for module in between:
        mask = module.chip_mask
        if mask is None:
            continue
        if mask.shape != (weights.shape[1],):
            raise ValueError(
                f"The chip_mask of {module} has shape {tuple(mask.shape)}, but {weights.shape[1]} neurons come "
                f"through it. Give it the shape ({weights.shape[1]},)."
            )
        heard = mask.detach().cpu().numpy().astype(np.bool_)
        if not heard.all():
            weights = weights * heard
    return weights

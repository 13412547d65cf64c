"""The plan of a graph: which runs of the chip emulate it, mapped once and kept as long as the structure stays."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hxtorch.calibration import CalibrationResult
from hxtorch.connection import connected_chip
from hxtorch.mapping import Mapping, MappingError, Member, Network, Part, by_group, map_network, partition
from hxtorch.snn.chip.network import ChipNetwork, chip_network, instance_of, structure_key
from hxtorch.snn.chip.settings import ChipSettings
from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.graph.graph import Graph
from hxtorch.snn.modules.population import Population
from hxtorch.twin import ChipConfig, Record, RoutingConfig
from hxtorch.twin.chip import fingerprint
from hxtorch.twin.places.crossbar import CHANNELS, FIRST_CHANNEL, FIRST_OFF_CHIP

MOST_AVOIDED = 128  # circuits
KEPT = 16  # plans per experiment


@dataclass(frozen=True, eq=False)
class ChipRun:
    """One run: its part of the network, mapped, and the execution instance on which it runs.

    `cadc_first`, `madc_first`: where the data of a neuron population begins in what the run records.
    `warned` are the calibrations of whose failed circuits the user was told.
    `record` and `routing` are those of the mapping, the spikes that later runs need, and input loop-back if it is
    wanted.
    """

    part: Part
    mapping: Mapping
    instance: ExecutionInstance
    record: Record
    routing: RoutingConfig
    cadc_first: dict[int, int]
    madc_first: dict[int, int]
    warned: list[CalibrationResult] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class ChipPlan:
    """How a graph runs on the chip.

    * `described`: the whole network.
    * `runs`: in their order.
    * `where`: population key -> (run, key within the run) of its members, in the order of its neurons.
    """

    described: ChipNetwork
    runs: tuple[ChipRun, ...]
    where: dict[int, tuple[tuple[int, int], ...]]

    def circuits(self, key: int) -> NDArray[np.int64]:
        """Circuits (size, per neuron) of a population, members of all runs one behind the other."""
        return np.concatenate([self.runs[run].mapping.circuits[own] for run, own in self.where[key]])


class PlanCache:
    """The last plans of an experiment, by the structure of the graph."""

    def __init__(self) -> None:
        self._plans: OrderedDict[Hashable, ChipPlan] = OrderedDict()
        self.last: ChipPlan | None = None
        self.last_configs: dict[int, ChipConfig] = {}  # of the last run, by the ID of the execution instance

    def plan_for(self, settings: ChipSettings, graph: Graph) -> ChipPlan:
        """Plan of a graph; `MappingError` if it does not fit the chip.

        Circuits of the connected chip that failed to calibrate are left out, unless the network does not fit
        without them.
        """
        avoid = _circuits_to_avoid(graph)
        key = (structure_key(graph), settings.partition, settings.route, avoid)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = _plan_avoiding(settings, graph, avoid)
            if len(self._plans) > KEPT:
                self._plans.popitem(last=False)
        else:
            self._plans.move_to_end(key)
        self.last = plan
        return plan


def _circuits_to_avoid(graph: Graph) -> tuple[int, ...]:
    chip = connected_chip()
    name = "" if chip is None else fingerprint(chip)
    modules = [node.module for node in graph.modules_in_order if isinstance(node.module, Population)]
    instances = {instance_of(module) for module in modules}
    failed = set().union(*(instance.circuits_to_avoid(name) for instance in instances))
    # where most circuits fail, it is the target that is out of reach, and no other place is better
    return tuple(sorted(failed)) if len(failed) <= MOST_AVOIDED else ()


def _plan_avoiding(settings: ChipSettings, graph: Graph, avoid: tuple[int, ...]) -> ChipPlan:
    try:
        return make_plan(settings, graph, avoid)
    except MappingError:
        if not avoid:
            raise
    return make_plan(settings, graph)  # better on some failed circuits than not at all; the run warns of them


def make_plan(settings: ChipSettings, graph: Graph, avoid: tuple[int, ...] = ()) -> ChipPlan:
    """Divide the network into runs by execution instance, or automatically, and map every run.

    Circuits to `avoid` are used only where a placement constraint asks for them.
    """
    described = chip_network(graph)
    described = replace(described, network=replace(described.network, avoid=avoid))
    network = described.network
    instances = {key: instance_of(module) for key, module in described.populations.items()}
    for key in described.populations:
        _check_recording(network, [k for k in instances if instances[k] is instances[key]])
    single = len({id(instance) for instance in instances.values()}) <= 1
    route = settings.route or map_network
    if not instances:
        raise MappingError("The network has no neurons. On the chip, something has to be recorded: add neurons.")
    if settings.partition:
        if not single:
            raise MappingError(
                "Experiment(partition=True) divides a network whose modules are all on one execution instance, but "
                "here they are on several. Give none of them an execution_instance, or switch partition off."
            )
        parts = partition(network)
        first = next(iter(instances.values()))
        owners = [first] + [first.sibling() for _ in parts[1:]]
    else:
        parts = by_group(network, {key: id(instance) for key, instance in instances.items()})
        owners = [instances[next(iter(part.members.values())).key] for part in parts]
    sent = {member for part in parts for member in part.forwarded.values()}
    runs = tuple(
        _run(part, route(part.network), owner, described, sent) for part, owner in zip(parts, owners, strict=True)
    )
    where: dict[int, list[tuple[int, int]]] = {key: [] for key in described.populations}
    for number, part in enumerate(parts):
        for own, member in part.members.items():
            where[member.key].append((number, own))
    return ChipPlan(described, runs, {key: tuple(places) for key, places in where.items()})


def _run(
    part: Part, mapping: Mapping, instance: ExecutionInstance, described: ChipNetwork, sent: set[Member]
) -> ChipRun:
    _check_madc(mapping)
    cadc, madc = {}, {}
    cadc_count = madc_count = 0
    for population in part.network.neurons:
        cadc[population.key], madc[population.key] = cadc_count, madc_count
        cadc_count += population.size * population.record_cadc
        madc_count += len(population.record_madc)
    record, routing = mapping.record, mapping.routing.config
    # later runs are sent the spikes of these neurons, whether the user wants to see them or not
    unseen = [
        mapping.main_circuits(own)
        for own, member in part.members.items()
        if member in sent and not np.isin(mapping.main_circuits(own), record.spikes).all()
    ]
    if unseen:
        record = replace(record, spikes=np.concatenate([record.spikes, *unseen]))
    if any(key in described.looped for key in part.inputs.values()):
        record, routing = replace(record, loopback=True), _with_loop_back(routing)
    return ChipRun(part, mapping, instance, record, routing, cadc, madc)


def _with_loop_back(routing: RoutingConfig) -> RoutingConfig:
    """Open the crossbar nodes over which input events leave the chip again."""
    mask, target = routing.crossbar_mask.copy(), routing.crossbar_target.copy()
    channels = np.arange(CHANNELS)
    mask[FIRST_CHANNEL + channels, FIRST_OFF_CHIP + channels] = 0
    target[FIRST_CHANNEL + channels, FIRST_OFF_CHIP + channels] = 0
    return replace(routing, crossbar_mask=mask, crossbar_target=target)


def _check_recording(network: Network, keys: list[int]) -> None:
    """One execution instance has one CADC buffer."""
    populations = [p for p in network.neurons if p.key in keys and p.record_cadc]
    if len({p.cadc_in_dram for p in populations}) > 1:
        raise RuntimeError(
            "Requesting CADC DRAM and SRAM recording simultaneously. Set "
            "enable_cadc_recording_placement_in_dram to the same value in all modules."
        )


def _check_madc(mapping: Mapping) -> None:
    circuits = mapping.record.madc
    if circuits.size > 2:
        raise RuntimeError(
            f"Another HXModule already registered MADC recording. {circuits.size} neurons are to be recorded, "
            "but the MADC samples two at most, one in an even and one in an odd column."
        )
    if circuits.size == 2 and circuits[0] % 2 == circuits[1] % 2:
        raise RuntimeError(
            "The MADC samples two neurons at most, one in an even and one in an odd column, but both chosen "
            f"neurons are in {'odd' if circuits[0] % 2 else 'even'} columns. Choose another record_neuron_id."
        )

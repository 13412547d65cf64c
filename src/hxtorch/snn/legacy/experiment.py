"""What scripts of earlier generations ask an experiment for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hxtorch.snn.graph.contract import Member
from hxtorch.snn.graph.graph import Graph
from hxtorch.snn.graph.module_manager import ModuleManager
from hxtorch.snn.modules.population import Population
from hxtorch.snn.modules.synapse import Projection
from hxtorch.snn.recording.execution_info import ExecutionInfo
from hxtorch.snn.refusals import check_runtime

if TYPE_CHECKING:  # needed with a chip alone
    from hxtorch.mapping import Mapping, Network
    from hxtorch.snn.chip.plan import PlanCache
    from hxtorch.twin import ChipConfig


class OlderExperiment:
    """Base of `hxtorch.snn.Experiment`, which says what its attributes mean."""

    mock: bool
    dt: float
    modules: ModuleManager
    _plans: PlanCache | None

    @property
    def last_run_chip_configs(self) -> dict[int, ChipConfig]:
        """What the chip was set to in the last run, by the ID of the execution instance; empty before it."""
        return {} if self._plans is None else dict(self._plans.last_configs)

    @property
    def grenade_network(self) -> Network | None:
        """The network of the last run on the chip, as the mapping understands it; None before it."""
        return None if self._plans is None or self._plans.last is None else self._plans.last.described.network

    @property
    def grenade_network_graph(self) -> Mapping | None:
        """How it lies on the chip: that of the first run, if it was spread over several."""
        return None if self._plans is None or self._plans.last is None else self._plans.last.runs[0].mapping

    @property
    def _populations(self) -> list[Population]:
        return [module for module in self.modules.nodes if isinstance(module, Population)]

    @property
    def _projections(self) -> list[Projection]:
        return [module for module in self.modules.nodes if isinstance(module, Projection)]

    def register_population(self, module: Population) -> int:
        """Number of a population in this experiment; calling it does the same."""
        return self.modules.add(module)

    def register_projection(self, module: Projection) -> int:
        """Number of a projection in this experiment; calling it does the same."""
        return self.modules.add(module)

    def get_hw_results(
        self, runtime: int | None, *, trial_seed: int | None = None
    ) -> tuple[dict[Member, Any], ExecutionInfo | None]:
        """Run the called network on the chip: processed data by module, and about the run; mock: nothing."""
        if self.mock:
            return {}, None
        return self._run_on_chip(self._prepared_graph(), check_runtime(runtime, self.dt), trial_seed)

    def _prepared_graph(self) -> Graph:
        raise NotImplementedError

    def _run_on_chip(
        self, graph: Graph, runtime: int, trial_seed: int | None
    ) -> tuple[dict[Member, Any], ExecutionInfo]:
        raise NotImplementedError

"""The experiment collects calls of modules; `run` executes them, on the chip or in the model alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch

from hxtorch.snn.chip.settings import ChipSettings
from hxtorch.snn.compute.model_values import check_model
from hxtorch.snn.compute.pieces import compute_in_pieces
from hxtorch.snn.compute.steps import compute_step
from hxtorch.snn.copies import copy_experiment
from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.graph.calls import GraphBuilder
from hxtorch.snn.graph.checks import check_graph
from hxtorch.snn.graph.contract import Member, Wrapper
from hxtorch.snn.graph.graph import Graph
from hxtorch.snn.graph.inputs import take_inputs
from hxtorch.snn.graph.last_run import LastRun, remember
from hxtorch.snn.graph.module_manager import ModuleManager
from hxtorch.snn.handles.handle import Handle
from hxtorch.snn.legacy.experiment import OlderExperiment
from hxtorch.snn.modules.base import HXModule
from hxtorch.snn.recording.execution_info import ExecutionInfo
from hxtorch.snn.refusals import check_runtime, check_wait, positive_int, warn_user

if TYPE_CHECKING:  # needed with a chip, or for a report, alone
    from hxtorch.mapping import Mapping, MappingReport, Network
    from hxtorch.snn.chip.plan import PlanCache
    from hxtorch.snn.report import Curves


class Experiment(OlderExperiment):
    """Networks that run together.

    * `mock`: compute the model alone, without a chip.
    * `dt`: time step of inputs, model and observables, in seconds.
    * `hw_routing_func`: how a network is placed and routed on the chip, a function of a
      `hxtorch.mapping.Network` that returns a `hxtorch.mapping.Mapping`; None is `map_network`.
    * `partition`: spread a network that exceeds the chip over several runs, one after another.
    * `checkpoint_steps`: compute the model in pieces of so many time steps, keep only the states between them, and
      compute each piece again in the backward pass. Long sequences need less memory and up to 1.5 times the time.
    """

    def __init__(
        self,
        mock: bool = False,
        dt: float = 1e-6,
        hw_routing_func: Callable[[Network], Mapping] | None = None,
        *,
        partition: bool = False,
        checkpoint_steps: int | None = None,
    ) -> None:
        if not (math.isfinite(dt) and dt > 0):
            raise ValueError(f"dt is {dt}, but must be a positive time step in seconds, for example 1e-6.")
        self.mock = mock
        self.dt = dt
        self.hw_routing_func = hw_routing_func
        self.partition = partition
        self.checkpoint_steps = (
            None if checkpoint_steps is None else positive_int("checkpoint_steps", checkpoint_steps)
        )
        self.inter_batch_entry_wait = None
        self.inter_batch_entry_routing_disabled = True
        self._plans: PlanCache | None = None
        self.last_run: LastRun | None = None
        self._default_execution_instance: ExecutionInstance | None = None
        self.modules = ModuleManager()
        self.ppu_symbols_read: dict[str, Any] = {}  # stays empty: a virtual chip has no plasticity processor

    @property
    def inter_batch_entry_wait(self) -> int | None:
        """Wait between batch entries, in cycles of 8 ns; None is no wait.

        It counts in the chip time of a run (`ExecutionInfo.time`, "realtime"). A virtual chip starts every entry
        from rest, as a real one does after a wait of some membrane time constants.
        """
        return self._inter_batch_entry_wait

    @inter_batch_entry_wait.setter
    def inter_batch_entry_wait(self, cycles: int | None) -> None:
        self._inter_batch_entry_wait = None if cycles is None else check_wait(cycles)

    @property
    def default_execution_instance(self) -> ExecutionInstance:
        """Where modules run that were given no execution instance; created at first use."""
        if self._default_execution_instance is None:
            self._default_execution_instance = ExecutionInstance()
        return self._default_execution_instance

    @default_execution_instance.setter
    def default_execution_instance(self, instance: ExecutionInstance) -> None:
        self._default_execution_instance = instance

    @property
    def _chip_settings(self) -> ChipSettings:
        return ChipSettings(self.dt, self.partition, self.hw_routing_func, self.inter_batch_entry_wait or 0)

    @property
    def _calls(self) -> GraphBuilder:
        return self.modules.calls

    @property
    def plans(self) -> PlanCache:
        """How the networks of this experiment run on the chip."""
        if self._plans is None:
            from hxtorch.snn.chip.plan import PlanCache  # imports the mapping, which mock mode never needs

            self._plans = PlanCache()
        return self._plans

    def mapping_report(self) -> MappingReport:
        """How the network lies on the chip: the one called since the last run, else that of the last chip run.

        Needs no chip, and works in mock mode before a run. Nothing called: ValueError; a network that does not
        fit: `MappingError`.
        """
        from hxtorch.mapping import report

        if len(self._calls):
            graph = self.build_graph()
            take_inputs(graph)
            check_graph(graph)
            plan = self.plans.plan_for(self._chip_settings, graph)
        elif self.plans.last is not None:
            plan = self.plans.last
        else:
            raise ValueError("There is nothing to report: call the modules of the network first.")
        return report([(run.part, run.mapping) for run in plan.runs])

    def connect(
        self, module: Member, input_handles: Iterable[Handle], output_handle: Handle | None = None
    ) -> Handle:
        """Note that `module` reads handles; returns its output handle in the current graph."""
        return self.modules.add_node(module, input_handles, output_handle)

    def connect_wrapper(self, wrapper: Wrapper) -> tuple[Handle, ...]:
        """Note that `wrapper` computes its modules, and return the handles that they fill.

        ValueError if one of them is already in another wrapper.
        """
        self.modules.add_wrapper(wrapper)
        return self.modules.outputs_of(wrapper)

    def output_of(self, module: Member) -> Handle:
        """The handle that `module` fills in the current graph, whether it was called already or not."""
        return self.modules.output_of(module)

    def build_graph(self) -> Graph:
        """The network as called since the last run. Nothing called: ValueError; a cycle: ValueError.

        Calls of an earlier forward pass that was not run are not in it, unless the last one reads their outputs.
        """
        if not len(self._calls):
            raise ValueError(
                "There is nothing to run: no module was called since the last run. "
                "Call the modules again before each run."
            )
        return self._calls.build()

    def clear_calls(self) -> None:
        """Forget the calls that this thread has made since the last run."""
        self.modules.clear()

    def clear(self) -> None:
        """Return to the state of a fresh experiment: without calls, mappings and execution instance."""
        self.clear_calls()
        self.modules = ModuleManager()
        self.inter_batch_entry_wait = None
        self.inter_batch_entry_routing_disabled = True
        self._default_execution_instance = None
        self._plans = None
        self.last_run = None

    def _graph_to_run(self) -> Graph:
        graph = self.build_graph()
        left = self._calls.left_out()
        if left:
            warn_user(
                f"{', '.join(str(module) for module in left)}: called in a forward pass that was not run, and not "
                "in the one after it. This run leaves them out, and their handles stay empty. Call them again, or "
                "forget them with experiment.clear_calls() before the next forward pass."
            )
        return graph

    def _prepared_graph(self) -> Graph:
        """The network as called, with its inputs taken down, checked, and its modules told that a run begins."""
        graph = self._graph_to_run()
        take_inputs(graph)
        check_graph(graph)
        check_model(graph, self.dt)
        for node in graph.modules_in_order:
            node.module.prepare(node)
        return graph

    def _run_on_chip(
        self, graph: Graph, runtime: int, trial_seed: int | None
    ) -> tuple[dict[Member, Any], ExecutionInfo]:
        from hxtorch.snn.chip.inputs import check_chip_input  # they import the mapping, which mock mode never needs
        from hxtorch.snn.chip.run import execute

        check_chip_input(graph, runtime)
        raw, info = execute(self._chip_settings, self.plans, graph, runtime, trial_seed)
        processed = {
            module: module.post_process(data, runtime * self.dt) if isinstance(module, HXModule) else data
            for module, data in raw.items()
        }
        return processed, info

    def run(self, runtime: int | None, *, trial_seed: int | None = None) -> ExecutionInfo | None:
        """Like the function `run`."""
        return run(self, runtime, trial_seed=trial_seed)

    def report(self, path: str | Path, *, title: str = "", training: Curves | None = None) -> Path:
        """Write a report of the last run to `path` as one HTML file that needs nothing else; returns the path.

        It shows network, mapping, chip, calibration, recordings, weights, training and warnings. `training` are
        values by epoch, for example ``{"loss": [...], "test accuracy": [...]}``. Nothing run: ValueError.
        """
        from hxtorch.snn.report import write_report  # not needed to run anything

        return write_report(self, path, title, training)

    def __repr__(self) -> str:
        return f"Experiment(mock={self.mock}, dt={self.dt:g}{', partition=True' * self.partition})"

    def _repr_html_(self) -> str:
        """Settings and the last run, for notebooks."""
        from hxtorch.snn.report import experiment_html

        return experiment_html(self)

    def __getstate__(self) -> dict[str, Any]:
        # What is left of runs belongs to this process: data with gradients, and places on its chip.
        return vars(self) | {"_plans": None, "last_run": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """The same settings, with execution instances of its own; nothing was called or run in it."""
        fresh = {"modules": ModuleManager(), "ppu_symbols_read": {}, "_plans": None, "last_run": None}
        return copy_experiment(self, memo, fresh)


def run(experiment: Experiment, runtime: int | None, *, trial_seed: int | None = None) -> ExecutionInfo | None:
    """Execute the modules called since the last run and fill their handles.

    `runtime` counts time steps of `experiment.dt` and must cover the inputs; mock mode ignores it.
    `trial_seed` fixes the temporal noise of a virtual chip; None draws it from torch's generator.

    Afterwards, also after an error, the calls are forgotten and the experiment can be used again.
    Returns None in mock mode. Unusable run times, shapes or values: ValueError.

    Inside of ``torch.compile`` it runs as always: what surrounds it is compiled.
    """
    if torch.compiler.is_compiling():
        eager: Callable[..., ExecutionInfo | None] = torch.compiler.disable(_run)  # type: ignore[no-untyped-call]
        return eager(experiment, runtime, trial_seed)
    return _run(experiment, runtime, trial_seed)


def _run(experiment: Experiment, runtime: int | None, trial_seed: int | None) -> ExecutionInfo | None:
    try:
        experiment.modules.claim_calls()
        steps = 0 if experiment.mock else check_runtime(runtime, experiment.dt)
        graph = experiment._prepared_graph()
        hw_map: dict[Member, Any] = {}
        info: ExecutionInfo | None = None
        if not experiment.mock:
            hw_map, info = experiment._run_on_chip(graph, steps, trial_seed)
        _fill_handles(graph, hw_map, experiment.checkpoint_steps)
        experiment.last_run = remember(graph, info)
        graph.forget_inputs()
        experiment.modules.remember(graph)
    finally:
        experiment.clear_calls()
    return info


def _fill_handles(graph: Graph, hw_map: dict[Member, Any], piece: int | None) -> None:
    """Compute all modules in order. If one fails, no handle of the graph stays filled."""
    done = False
    try:
        if piece is not None:
            compute_in_pieces(graph, hw_map, piece)
        else:
            for step in graph.steps:
                compute_step(step, hw_map)
        done = True
    finally:
        if not done:
            for node in graph.modules_in_order:
                node.output.clear()

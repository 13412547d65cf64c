"""Base classes of all modules: a call notes the module in the experiment's graph, `run` computes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from hxtorch.snn.copies import copy_module
from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.graph.contract import HardwareData, Host, Node
from hxtorch.snn.handles.handle import Handle, TensorHandle
from hxtorch.snn.recording.changes import State, same, snapshot
from hxtorch.snn.recording.observables import HardwareObservables


def _identity(self: nn.Module, input: Handle, hw_data: Any = None) -> Handle:
    """Return the input."""
    return input


class HXBaseExperimentModule(nn.Module):
    """A module that belongs to an experiment.

    Calling it does no arithmetic: it returns an empty handle of `output_type`, which `run` fills with what
    `forward_func` returns; by default that is the input. `loaded_by` tells calls of `load_state_dict` apart.
    """

    output_type: ClassVar[type[Handle]] = TensorHandle
    descriptor: Any = None  # scripts may keep something here
    input_field: ClassVar[str | None] = None  # the tensor it reads from its input handles
    remembers = False  # whether its output moves one time step after its input, as in neurons
    is_population = False  # whether spikes begin here: neurons, and inputs of their own
    # As a variable, not a method: subclasses choose the handles that they take and return.
    forward_func: Callable[..., Handle] = _identity

    def __init__(self, experiment: Host | None) -> None:
        super().__init__()
        self.experiment = experiment
        self.loaded_by: list[str] | None = None

    @property
    def input_size(self) -> int | None:
        """Number of features that it reads; None: any."""
        return None

    @property
    def output_size(self) -> int | None:
        """Number of features that it returns; None: unknown."""
        return None

    def forward(self, *inputs: Handle) -> Handle:
        """Note the call in the experiment's graph and return the handle that `run` will fill."""
        if self.experiment is None:
            raise RuntimeError(f"{type(self).__name__} has no experiment. Give it one at construction.")
        if not inputs:
            raise TypeError(f"{type(self).__name__} needs at least one input handle.")
        for item in inputs:
            if not isinstance(item, Handle):
                raise TypeError(
                    f"{type(self).__name__} takes handles, got {type(item).__name__}. "
                    "Wrap a tensor of spikes as NeuronHandle(spikes)."
                )
        return self.experiment.connect(self, inputs)

    @property
    def output_handle(self) -> Handle:
        """The handle that calling this module returns before the next run, to close a loop with.

        ``neuron(synapse_in(x), synapse_recurrent(neuron.output_handle))`` is a recurrent population.
        """
        if self.experiment is None:
            raise RuntimeError(f"{type(self).__name__} has no experiment. Give it one at construction.")
        return self.experiment.output_of(self)

    def __deepcopy__(self, memo: dict[Any, Any]) -> Self:
        """A copy in the same experiment, unless that is copied as well, as part of the same network."""
        return copy_module(self, memo)

    @property
    def func(self) -> Callable[..., Handle]:
        """`forward_func` as ``func(inputs, hw_data=None)``; hw_data is dropped if it has no such argument."""
        forward_func = self.forward_func
        takes_hw_data = _takes_hw_data(getattr(forward_func, "__func__", forward_func))

        def uniform(inputs: tuple[Handle, ...], hw_data: Any = None) -> Handle:
            return forward_func(*inputs, hw_data=hw_data) if takes_hw_data else forward_func(*inputs)

        return uniform

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        # one list goes through all modules of a call of load_state_dict, so that it tells calls apart
        self._before_loading(state_dict, prefix, missing_keys)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        self.loaded_by = missing_keys

    def _before_loading(self, state_dict: dict[str, Any], prefix: str, call: list[str]) -> None:
        """Called before the module takes its entries, with `prefix` before their names; `call` as `loaded_by`."""

    def prepare(self, node: Node) -> None:
        """Called before each run with the module's node in the graph."""

    def exec_forward(
        self,
        inputs: tuple[Handle, ...],
        output: Handle,
        hw_map: HardwareData,
    ) -> None:
        """Compute the module and fill `output`. `hw_map` holds the processed data of the chip by module."""
        output.clone(self.func(inputs, hw_data=hw_map.get(self)))


class HXModule(HXBaseExperimentModule):
    """A module with a counterpart on the chip.

    `execution_instance` says where it runs: None is the experiment's default instance (nowhere in mock mode).
    `chip_coordinate` names the chip in set-ups of several; there is one here, so it is only kept.
    """

    def __init__(
        self,
        experiment: Host | None,
        execution_instance: ExecutionInstance | None = None,
        chip_coordinate: Any = None,
    ) -> None:
        super().__init__(experiment)
        self.chip_coordinate = chip_coordinate
        if execution_instance is None and experiment is not None and not experiment.mock:
            execution_instance = experiment.default_execution_instance
        self.execution_instance = execution_instance
        self._last_state: State | None = None

    def chip_state(self) -> State:
        """What the chip is set to for this module, by subject."""
        return {}

    @property
    def changed_since_last_run(self) -> bool:
        """Whether the chip has to be set otherwise than in the last run on it; True before the first one."""
        now = self.chip_state()
        return self._last_state is None or not all(same(now[name], self._last_state[name]) for name in now)

    def reset_changed_since_last_run(self) -> None:
        """Note that the chip is set as this module says now; every run on the chip does it."""
        self._last_state = snapshot(self.chip_state())

    def register_hw_entity(self) -> None:
        """Called before every run on the chip, before the network is placed. Does nothing unless overridden."""

    def add_to_network_graph(self, builder: Any) -> Any:
        """Not used here, NotImplementedError: networks are placed from the calls of modules.

        A chip run refuses modules that override it.
        """
        raise NotImplementedError(_placed_from_calls(self, "add_to_network_graph"))

    def add_to_input_generator(self, input: Any, builder: Any) -> None:
        """Not used here, NotImplementedError; see `add_to_network_graph`."""
        raise NotImplementedError(_placed_from_calls(self, "add_to_input_generator"))

    def check_hooks(self) -> None:
        """NotImplementedError if the class overrides a method that has no meaning here."""
        for name in ("add_to_network_graph", "add_to_input_generator"):
            if getattr(type(self), name) is not getattr(HXModule, name):
                raise NotImplementedError(_placed_from_calls(self, name))

    def post_process(self, hw_data: HardwareObservables, runtime: float) -> Any:
        """Turn raw data of the chip into the `hw_data` of `forward_func`. `runtime` is in seconds."""
        return hw_data


class HXFunctionalModule(HXBaseExperimentModule):
    """A module without a counterpart on the chip: it works on what other modules return.

    One that reads spikes (``input_field = "spikes"``) can stand between neurons and synapses in a run on the chip,
    too. There the synapses behind it hear the spikes of the neurons in front, whatever its `forward_func` makes
    of them in the model; only what `chip_mask` silences they do not hear.
    """

    @property
    def chip_mask(self) -> Tensor | None:
        """Which neurons (size,) the synapses behind this module hear on the chip, in this run; None: all.

        A module that silences neurons overrides it. Those that it silences have the weight 0 there.
        """
        return None


def _placed_from_calls(module: nn.Module, name: str) -> str:
    return (
        f"{type(module).__name__}.{name} builds a network of the vendor's classes, but here networks are placed "
        "from the calls of modules. Connect modules by calling them; registers of neurons can be set in "
        "configure_hw_entity."
    )


@lru_cache(maxsize=256)
def _takes_hw_data(function: Callable[..., Any]) -> bool:
    return "hw_data" in inspect.signature(function).parameters

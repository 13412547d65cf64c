"""Several modules behind one function of the user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from torch import Tensor

from hxtorch.snn.graph.contract import HardwareData, Host, Member, Step
from hxtorch.snn.handles.handle import Handle
from hxtorch.snn.modules.base import HXBaseExperimentModule, HXFunctionalModule


class HXModuleWrapper(HXFunctionalModule):
    """Groups modules that one `forward_func` computes together.

    The modules are called as usual and build the network that runs on the chip; calling the wrapper itself,
    without arguments, then hands their computation over to
    ``forward_func(self, *inputs, hw_data=None)``. `inputs` are the handles that come from outside, module by
    module in the order of the wrapper; `hw_data` is a tuple with the chip's data of each module (None in mock
    mode). It returns a tuple with one handle per module. Without a `forward_func` of its own, the wrapper
    computes its modules as if they were not wrapped.

    A wrapped module has the same keys in a `state_dict` as if it were an attribute of that name; if the wrapper's
    owner holds it as well, it is there once. So weights of a network go into its wrapped form and back.
    """

    def __init__(self, experiment: Host | None, **modules: HXBaseExperimentModule) -> None:
        super().__init__(experiment)
        self._wrapped: list[str] = []
        self.update(**modules)

    @property
    def modules(self) -> dict[str, HXBaseExperimentModule]:  # type: ignore[override]  # name of the interface
        """The wrapped modules by name (torch's own method of this name is not available here)."""
        return {name: cast(HXBaseExperimentModule, self._modules[name]) for name in self._wrapped}

    @property
    def wrapped(self) -> Mapping[str, Member]:
        """`modules`, as a graph knows them."""
        return self.modules

    def update(self, **modules: HXBaseExperimentModule) -> None:
        """Add or replace modules. A name that the wrapper has for something else: ValueError."""
        for name, module in modules.items():
            if not isinstance(module, HXBaseExperimentModule):
                raise TypeError(f"{type(self).__name__} wraps modules, got {type(module).__name__} as {name!r}.")
            if name not in self._modules and hasattr(self, name):
                raise ValueError(f"{type(self).__name__} has a {name!r} of its own. Give the module another name.")
            self._modules[name] = module
            if name not in self._wrapped:
                self._wrapped.append(name)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As of every module; what the owner of this wrapper holds as well, and saves before it, is left out."""
        result = super().state_dict(*args, **kwargs)
        prefix = kwargs.get("prefix", args[1] if len(args) > 1 else "")
        saved = {_place(value) for key, value in result.items() if not key.startswith(prefix)}
        for key in [key for key, value in result.items() if key.startswith(prefix) and _place(value) in saved]:
            del result[key]
        return result

    def _before_loading(self, state_dict: dict[str, Any], prefix: str, call: list[str]) -> None:
        for name, module in self.modules.items():
            own = f"{prefix}{name}."
            if module.loaded_by is call and not any(key.startswith(own) for key in state_dict):
                state_dict |= module.state_dict(prefix=own)  # the same call has loaded it from its other name

    def contains(self, modules: Member | Iterable[Member]) -> bool:
        """Whether a module, or all modules of a list, are wrapped here."""
        asked = list(modules) if isinstance(modules, Iterable) else [modules]
        own = {id(module) for module in self.modules.values()}
        return all(id(module) in own for module in asked)

    def forward(self, *inputs: Handle) -> Any:
        """Note that this wrapper computes its modules; returns their output handles."""
        if inputs:
            raise TypeError(
                f"{type(self).__name__} is called without arguments: its inputs are those of its modules, which "
                "are called before."
            )
        if self.experiment is None:
            raise RuntimeError(f"{type(self).__name__} has no experiment. Give it one at construction.")
        if not self.modules:
            raise ValueError(f"{type(self).__name__} wraps no modules. Give it some at construction.")
        return self.experiment.connect_wrapper(self)

    @property
    def has_own_function(self) -> bool:
        """Whether `forward_func` was given."""
        function = getattr(self.forward_func, "__func__", self.forward_func)
        return function is not HXBaseExperimentModule.forward_func

    def exec_step(self, step: Step, hw_map: HardwareData) -> None:
        """Compute the wrapped nodes of a step and fill their handles."""
        data = tuple(hw_map.get(node.module) for node in step.nodes) if hw_map else None
        results: Any = self.func(step.inputs, hw_data=data)
        count = len(results) if isinstance(results, tuple | list) else 1
        if not isinstance(results, tuple | list) or count != len(step.nodes):
            raise AssertionError(
                f"forward_func of {type(self).__name__} returns {count} handle{'s' if count != 1 else ''}, but it "
                f"wraps {len(step.nodes)} modules. Return a tuple with one handle for each."
            )
        for node, result in zip(step.nodes, results, strict=True):
            node.output.clone(result)


def _place(value: Any) -> Any:
    """Equal for two entries of a `state_dict` that are one tensor; of its own for all else."""
    if isinstance(value, Tensor) and value.numel():
        return value.data_ptr(), value.shape, value.dtype
    return object()

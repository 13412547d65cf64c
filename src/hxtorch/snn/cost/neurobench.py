"""Networks of this package as models of NeuroBench.

NeuroBench counts what flows into layers that it knows. It therefore sees a view of the network: a `Linear` for
every synapse, sharing its weight, and the neuron modules. After every run the recorded spikes are handed to its
hooks. Needs the package neurobench.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hxtorch.snn.experiment import Experiment
from hxtorch.snn.modules.neuron import Neuron, ReadoutNeuron
from hxtorch.snn.modules.synapse import Synapse

if TYPE_CHECKING:
    from hxtorch.snn.graph.last_run import LastRun


def neurobench_model(network: nn.Module, encode: Callable[[Tensor], Tensor] | None = None) -> Any:
    """A `neurobench.models.NeuroBenchModel` of `network`.

    `network` has an experiment as its attribute `exp` or `experiment` and takes spikes (T, B, N); `encode` makes
    them of a batch of data, None passes the batch on. For energy and latency see
    `hxtorch.snn.cost.workload`.
    """
    try:
        from neurobench.models import NeuroBenchModel
    except ImportError as error:
        raise ImportError("This needs the package neurobench. Install it: pip install neurobench") from error
    experiment = getattr(network, "exp", getattr(network, "experiment", None))
    if not isinstance(experiment, Experiment):
        raise TypeError("The network needs its experiment as the attribute `exp` or `experiment`.")

    class HXModel(NeuroBenchModel):  # type: ignore[misc]  # the package has no types
        """Runs the network, and tells the hooks what was recorded."""

        def __init__(self) -> None:
            super().__init__()
            self._view = _View(network)
            self.add_activation_module(Neuron)

        def __call__(self, batch: Tensor) -> Any:
            result = network(batch if encode is None else encode(batch))
            assert isinstance(experiment, Experiment) and experiment.last_run is not None
            _feed(self, self._view, experiment.last_run)
            return result

        def __net__(self) -> nn.Module:
            return self._view

    return HXModel()


class _View(nn.Module):
    """A Linear for every synapse, with the same parameter, and the spiking neurons."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.linear_of: dict[int, nn.Linear] = {}
        for name, module in network.named_modules():
            key = name.replace(".", "_")
            if isinstance(module, Synapse):
                linear = nn.Linear(module.in_features, module.out_features, bias=False, device="meta")
                linear.weight = module.weight
                self.linear_of[id(module)] = linear
                self.add_module(key, linear)
            elif isinstance(module, Neuron) and not isinstance(module, ReadoutNeuron):
                self.add_module(key, module)


def _feed(model: Any, view: _View, ran: LastRun) -> None:
    """Hand the recorded spikes to NeuroBench's hooks; what the hooks saw of the calls themselves is dropped."""
    spikes_of = {id(item.module): item.recorded.get("spikes") for item in ran.modules}
    inputs: dict[int, list[Tensor]] = {}
    for item in ran.modules:
        linear = view.linear_of.get(id(item.module))
        if linear is None:
            continue
        given = iter(item.given)
        for source in item.sources:
            recorded = next(given) if source is None else ran.modules[source].recorded
            if "spikes" in recorded:
                inputs.setdefault(id(linear), []).append(recorded["spikes"].flatten(0, 1))
    for hook in model.connection_hooks:
        hook.inputs[:] = [(tensor,) for tensor in inputs.get(id(hook.layer), [])]
    for hook in model.activation_hooks:
        spikes = spikes_of.get(id(hook.layer))
        hook.activation_outputs[:] = [] if spikes is None else [torch.as_tensor(spikes)]

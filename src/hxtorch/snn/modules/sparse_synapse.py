"""Synapses of which only some exist."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.graph.contract import Host
from hxtorch.snn.handles.handle import NeuronHandle, SynapseHandle
from hxtorch.snn.modules.synapse import Synapse
from hxtorch.snn.parameters.parameter import on_cpu
from hxtorch.snn.transforms.weight_transforms import linear_saturating


class SparseSynapse(Synapse):
    """Synapses where `connections` (in, out), dense or sparse, is not zero.

    `weight` is dense (out, in) and zero where there is no synapse; it is set to zero there again before every
    run, and its gradient is zero there. `mask` (out, in) tells which exist, `connections` lists their indices
    [post, pre]. On the chip, synapses of many sources share rows, so that the number of sources may exceed the
    inputs of a neuron many times.
    """

    def __init__(
        self,
        connections: Tensor | NDArray[Any],
        experiment: Host | None,
        execution_instance: ExecutionInstance | None = None,
        chip_coordinate: Any = None,
        device: Any = None,
        dtype: Any = None,
        transform: Callable[[Tensor], Tensor] = linear_saturating,
        *,
        parallel_rows: int = 1,
    ) -> None:
        given = connections if isinstance(connections, Tensor) else on_cpu(connections)
        if given.layout != torch.strided:
            given = given.to_dense()
        if given.ndim != 2:
            raise ValueError(
                f"connections have shape {tuple(given.shape)}, expected (in, out): not zero where a synapse exists."
            )
        exists = (given != 0).T.contiguous()
        if not bool(exists.any()):
            raise ValueError("connections are all zero. Give at least one synapse.")
        super().__init__(
            given.shape[0],
            given.shape[1],
            experiment,
            execution_instance,
            chip_coordinate,
            device,
            dtype,
            transform,
            parallel_rows=parallel_rows,
        )
        self._listed = _connections(exists.cpu().numpy())
        self.register_buffer("_mask", exists.to(self.weight.device), persistent=False)
        self._mask: Tensor
        self.reset_parameters()

    @property
    def mask(self) -> Tensor:
        """Which synapses exist (out, in), as bool; a copy: they are chosen at construction."""
        return self._mask.clone()

    @property
    def connections(self) -> list[list[int]]:
        """Indices of the synapses: those of the neurons behind, and those of the neurons in front."""
        return [self._listed.post.tolist(), self._listed.pre.tolist()]

    @property
    def chip_connections(self) -> Any:
        """The synapses as the mapping wants them."""
        return self._listed

    def reset_parameters(self) -> None:
        """Draw new weights, uniform in +-1/sqrt(inputs), with as many inputs as a neuron has on average."""
        if not hasattr(self, "_listed"):  # the constructor of the base
            return
        inputs = max(1.0, len(self._listed.post) / self.out_features)
        bound = 1 / math.sqrt(inputs)
        nn.init.uniform_(self.weight, -bound, bound)
        self._silence()

    def _silence(self) -> None:
        with torch.no_grad():
            self.weight.mul_(self._existing)

    @property
    def _existing(self) -> Tensor:
        """`mask` where the weights are by now: loading may have put others in their place."""
        if self._mask.device != self.weight.device:
            self._list_again()
        return self._mask

    def _list_again(self) -> None:
        exists = torch.zeros(self.weight.shape, dtype=torch.bool, device="cpu")
        exists[torch.from_numpy(self._listed.post.copy()), torch.from_numpy(self._listed.pre.copy())] = True
        self._mask = exists.to(self.weight.device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._list_again()  # `to_empty` has taken its values
        return self

    @property
    def effective_weight(self) -> Tensor:
        """The weights (out, in), zero where there is no synapse."""
        return self.weight * self._existing

    def forward_func(self, input: NeuronHandle) -> SynapseHandle:
        """Weighted sum of the `spikes` (T, B, in) of the input: (T, B, out)."""
        self._silence()
        return super().forward_func(input)


def _connections(exists: NDArray[np.bool_]) -> Any:
    from hxtorch.mapping import Connections  # not needed without a chip

    return Connections.of(exists)

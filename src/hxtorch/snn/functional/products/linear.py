"""Synaptic products and maps of weights, and dropout of neurons."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hxtorch.snn.functional.contexts.mode import fused_applies
from hxtorch.snn.functional.gradients.injection import inject
from hxtorch.snn.functional.memory.carried import Carried
from hxtorch.snn.functional.memory.spikes import CarriedSpikes, carried_spikes, indexed_spikes
from hxtorch.snn.functional.products.costs import index_for
from hxtorch.snn.functional.products.dense import dense_linear, integer_linear, own
from hxtorch.snn.functional.products.spike_linear import project, spike_linear
from hxtorch.snn.shapes import Bias, Inputs, NeuronMask, Outputs, Signals, Weights


def linear(input: Inputs, weight: Weights, bias: Bias | None = None) -> Outputs:
    """Weighted sum ``input @ weight.T + bias``.

    Few spikes (entries 0 and 1) in float32 on the CPU are summed from their indices where that is faster.
    Weights of type int8 (the chip's integers) give exact float32 sums from an integer product. Autocast changes
    no precision.
    """
    if weight.dtype == torch.int8:
        product = integer_linear(input, weight)
        return product if bias is None else product + bias
    if bias is None and _uses_spikes(input, weight):
        return spike_linear(input, weight)
    return dense_linear(input, weight, bias)


def linear_later(input: Inputs | Carried, weight: Weights) -> Carried:
    """`linear` of spikes for neurons in the same run: where it is faster, they sum the weights themselves."""
    spikes = carried_spikes(input)
    if weight.dtype == torch.int8:
        return Carried(integer_linear(spikes.values(), weight))
    if spikes.like.dtype != weight.dtype or spikes.like.device != weight.device:
        spikes = CarriedSpikes(spikes.values().to(weight))
    if _uses_spikes(spikes.like, weight):
        return project(spikes, weight)
    return Carried(dense_linear(spikes.operand(), own(weight)))


def spikes_at_once(input: Tensor, outputs: int | None) -> CarriedSpikes | None:
    """Spikes (T, B, in) as a list alone, if a product with so many outputs starts from one; all are 0 or 1."""
    if not outputs or input.requires_grad or not input.numel() or torch.compiler.is_compiling():
        return None
    if input.ndim < 2 or not fused_applies(input):
        return None
    index = index_for(input, outputs)
    return None if index is None else indexed_spikes(index, input.shape)


def _uses_spikes(input: Tensor, weight: Tensor) -> bool:
    return (
        input.ndim > 1
        and bool(input.numel())
        and bool(weight.numel())
        and not torch.compiler.is_compiling()
        and fused_applies(input, weight)
    )


def linear_sparse(
    input: Inputs,
    weight: Weights,
    connections: Tensor | Sequence[Sequence[int]] | None = None,
    bias: Bias | None = None,
) -> Outputs:
    """`linear` with the weights (out, in) of existing synapses alone; others have no gradient.

    `connections` is a mask (out, in), not zero where a synapse exists, or two lists of indices [post, pre];
    None: all, or those of a sparse `weight`.
    """
    if weight.layout != torch.strided:
        weight = weight.to_dense()
    if connections is not None:
        weight = weight * _mask(connections, weight)
    return linear(input, weight, bias)


def _mask(connections: Tensor | Sequence[Sequence[int]], weight: Tensor) -> Tensor:
    given = torch.as_tensor(connections, device=weight.device)
    if given.layout != torch.strided:
        given = given.to_dense()
    if given.shape == weight.shape:
        return given != 0
    if given.ndim != 2 or given.shape[0] != 2:
        raise ValueError(
            f"connections have shape {tuple(given.shape)}, expected a mask of {tuple(weight.shape)} (out, in) or "
            "two lists of indices [post, pre]."
        )
    mask = torch.zeros(weight.shape, dtype=torch.bool, device=weight.device)
    mask[given[0].long(), given[1].long()] = True
    return mask


def linear_exponential_clamp(
    inputs: Inputs,
    weight: Weights,
    bias: Bias | None = None,
    cap: float = 1.5,
    start_weight: float = 61.0,
    quantize: bool = False,
) -> Outputs:
    """`linear` with weights that approach +-`cap` exponentially.

    A weight of `cap` is 63 on the chip. With r = start_weight/63 and s = 1/(1 - r), weights with |w| > r cap
    become ``sign(w) cap (1 - exp(-s (|w|/cap - r))/s)``; others stay. `quantize` rounds them to multiples of
    cap/63, without effect on the gradient.
    """
    if cap <= 0:
        raise ValueError(f"cap is {cap}, but must be above zero.")
    if not 0 <= start_weight < 63:
        raise ValueError(f"start_weight is {start_weight}, but must lie in 0..63, below 63.")
    start = start_weight / 63
    steepness = 1 / (1 - start)
    size = weight.abs()
    # Clamped first: where the exponential is not used, it must not overflow.
    rolled = cap * (1 - torch.exp(-steepness * (size / cap - start).clamp_min(0)) / steepness)
    clamped = torch.where(size > start * cap, torch.sign(weight) * rolled, weight)
    if quantize:
        clamped = inject(clamped, torch.round(clamped.detach() * (63 / cap)) * (cap / 63))
    return linear(inputs, clamped, bias)


def batch_dropout(input: Signals, mask: NeuronMask) -> Signals:
    """Spikes with those of the neurons set to zero for which `mask` is false."""
    return input * mask.to(input)

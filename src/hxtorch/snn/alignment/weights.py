"""Weights within the range of the chip."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from hxtorch.snn.modules import Synapse
from hxtorch.snn.transforms.weight_transforms import linear_saturating
from hxtorch.twin.places.coordinates import MAX_WEIGHT


def weight_scale(synapse: Synapse) -> float:
    """Weight on the chip per weight of the model, as `transform` of the synapse says (1 without a scale)."""
    keywords = getattr(synapse.weight_transform, "keywords", {})
    return float(keywords.get("scale", 1.0))


def set_weight_scale(synapse: Synapse, scale: float) -> None:
    """Use `linear_saturating` with this scale."""
    if not scale > 0:
        raise ValueError(f"The weight scale is {scale}, but must be positive.")
    synapse.weight_transform = partial(linear_saturating, scale=scale)


@torch.no_grad()
def clip_weights(module: nn.Module) -> None:
    """Clamp the weights of all synapses in `module` to what the chip can hold: +-63 / scale.

    Weights that grow beyond it would change nothing on the chip, and take long to come back.
    """
    for synapse in module.modules():
        if isinstance(synapse, Synapse):
            limit = MAX_WEIGHT / weight_scale(synapse)
            synapse.weight.clamp_(-limit, limit)


@torch.no_grad()
def fit_weight_scale(synapse: Synapse, largest: float) -> float:
    """Let the largest weight use the whole 6 bits, at a scale of at most `largest`; returns the scale.

    For a readout, whose scores may have any scale: all others should keep the aligned one.
    """
    top = float(synapse.weight.abs().max())
    scale = min(MAX_WEIGHT / top, largest) if top > 0 else largest
    set_weight_scale(synapse, scale)
    return scale

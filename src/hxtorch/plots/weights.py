"""Weights of a synapse: in the model, and as the whole numbers that the chip gets."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from hxtorch.plots import style
from hxtorch.snn import Synapse
from hxtorch.twin.places.coordinates import MAX_WEIGHT

WIDTH, HEIGHT = 7.2, 3.0


def plot_weights(synapse: Synapse | Tensor, *, figure: Figure | None = None) -> Figure:
    """Weights on the chip as a matrix (post, pre), and how often each value occurs.

    A synapse's weights are transformed and rounded as for the chip; a tensor (out, in) is rounded alone.
    The title says how many lie at the limits of 63, where the chip saturates.
    """
    weight = synapse.weight_transform(synapse.weight) if isinstance(synapse, Synapse) else synapse
    if weight.ndim != 2:
        raise ValueError(f"The weights have shape {tuple(weight.shape)}, expected (out, in).")
    values = torch.round(weight.detach().cpu()).numpy()
    saturated = float((abs(values) >= MAX_WEIGHT).mean())
    with style.house_style():
        figure = style.new_figure(WIDTH, HEIGHT, figure)
        left, right = figure.subplots(1, 2, width_ratios=(1.35, 1.0))
        figure.set_layout_engine("constrained", wspace=0.12)  # a colour bar's label is not the next axis's
        image = left.imshow(
            values,
            cmap=style.diverging(),
            vmin=-MAX_WEIGHT,
            vmax=MAX_WEIGHT,
            aspect="auto",
            interpolation="nearest",
        )
        left.set_xlabel("presynaptic")
        left.set_ylabel("postsynaptic")
        left.grid(visible=False)
        figure.colorbar(image, ax=left, label="weight / LSB", shrink=0.9)
        edge = max(MAX_WEIGHT, abs(values).max()) + 0.5
        right.hist(values.ravel(), bins=[-edge + i for i in range(round(2 * edge) + 1)], color=style.CHIP)
        for limit in (-MAX_WEIGHT, MAX_WEIGHT):
            right.axvline(limit, color=style.ink(), linewidth=0.6, linestyle=":")
        right.set_xlabel("weight / LSB")
        right.set_ylabel("synapses")
        right.set_title(f"{saturated:.1%} at ±{MAX_WEIGHT}")
    return figure

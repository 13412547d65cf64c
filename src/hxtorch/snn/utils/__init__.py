"""Helpers around networks: alignment with the chip, checkpoints, regularisers, exchange formats."""

from hxtorch.snn.utils.align import LayerAlignment, align
from hxtorch.snn.utils.checkpoint import Checkpoint, load_and_realign, load_checkpoint, save_checkpoint
from hxtorch.snn.utils.code_version import code_version
from hxtorch.snn.utils.weights import clip_weights, fit_weight_scale

__all__ = [
    "Checkpoint",
    "LayerAlignment",
    "align",
    "clip_weights",
    "code_version",
    "fit_weight_scale",
    "load_and_realign",
    "load_checkpoint",
    "save_checkpoint",
]

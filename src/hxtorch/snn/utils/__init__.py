"""Doors to the helpers around networks under the paths that scripts know."""

from typing import TYPE_CHECKING

from hxtorch._alias import moved_modules_of
from hxtorch._moved import MOVED
from hxtorch.snn.alignment.weights import clip_weights, fit_weight_scale
from hxtorch.snn.training.checkpoint import Checkpoint, load_and_realign, load_checkpoint, save_checkpoint

# Functions and modules of one name: the modules have to be loaded first, or they would take the functions' place.
from hxtorch.snn.utils.align import LayerAlignment, align
from hxtorch.snn.utils.code_version import code_version

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

if not TYPE_CHECKING:  # a type checker would take any name for a module
    __getattr__ = moved_modules_of(__name__, MOVED)

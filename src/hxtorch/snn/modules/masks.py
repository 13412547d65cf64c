"""Masks of neurons: which of a population pass their spikes on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def mask_of(value: Any, size: int) -> Tensor:
    """A mask (size,) as bool, true where `value` is not zero, in memory of its own.

    `value` is a tensor, which keeps its device, or a list or an array, which come to the CPU. Another shape, and a
    tensor without values (of the device "meta"): ValueError.
    """
    with torch.inference_mode(False):  # a tensor made in that mode could not be saved for a backward pass later
        if isinstance(value, Tensor):
            given = value.detach().clone()
            given = given if given.layout == torch.strided else given.to_dense()
        else:
            array = np.array(value) if isinstance(value, np.ndarray) else value  # torch warns of read-only arrays
            given = torch.as_tensor(array, device="cpu").clone()
        if given.shape != (size,):
            raise ValueError(f"mask has shape {tuple(given.shape)}, expected ({size},).")
        if given.is_meta:
            raise ValueError('mask is a tensor without values, of the device "meta". Give one with values.')
        return given.to(torch.bool)


def all_pass(size: int, device: torch.device | str | None) -> Tensor:
    """The mask (size,) with which all neurons pass their spikes on; None is torch's default device."""
    with torch.inference_mode(False):
        return torch.ones(size, dtype=torch.bool, device=device)


def drawn(size: int, dropout: float, device: torch.device | str) -> Tensor:
    """A mask (size,) that holds each neuron back with probability `dropout`, from torch's generator of a device."""
    with torch.inference_mode(False):
        return torch.rand(size, dtype=torch.float32, device=device) > dropout

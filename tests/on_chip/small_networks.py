"""Inputs and synapses for networks of a few neurons."""

from __future__ import annotations

import torch

import hxtorch.snn as hxsnn

STEPS = 40


def spikes(size, steps=STEPS, batch=2, rate=0.2, seed=0):
    return (torch.rand(steps, batch, size, generator=torch.Generator().manual_seed(seed)) < rate).float()


def synapse(n_in, n_out, exp, weight=40.0, **options):
    made = hxsnn.Synapse(n_in, n_out, exp, **options)
    made.weight.data.fill_(weight)
    return made

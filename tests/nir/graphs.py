"""Graphs, inputs and the equations of NIR in numpy, for the tests of this folder."""

import itertools

import numpy as np
import torch

import nir

STEPS, BATCH = 60, 3
_RNG = np.random.default_rng(3)
W1, W2 = _RNG.normal(0, 0.8, (6, 4)), _RNG.normal(0, 0.6, (2, 6))


def spikes(features=4, rate=0.3):
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(STEPS, BATCH, features, generator=generator) < rate).float()


def graph(edges=None, **nodes):
    """A graph of nodes in a row, or with `edges`."""
    names = list(nodes)
    return nir.NIRGraph(nodes=nodes, edges=edges or list(itertools.pairwise(names)), type_check=False)


def ends(inputs=4, outputs=6):
    return nir.Input(input_type=np.array([inputs])), nir.Output(output_type=np.array([outputs]))


def cuba(size=6, **values):
    full = {"tau_syn": 5e-3, "tau_mem": 1e-2, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
    return nir.CubaLIF(**{key: np.broadcast_to(value, size).copy() for key, value in (full | values).items()})


def euler(x, weight, tau_syn, tau_mem, threshold=1.0, reset=0.0, bias=0.0, recurrent=None, r=1.0, w_in=1.0):
    """Spikes and membrane by the equations of NIR, with numpy; currents act one step later."""
    size = weight.shape[0]
    i, v, z = np.zeros((BATCH, size)), np.zeros((BATCH, size)), np.zeros((BATCH, size))
    out, membrane = [], []
    for row in x.numpy():
        v = v + (-v + r * i) / tau_mem
        z = (v > threshold).astype(float)
        v = np.where(z > 0, reset, v)
        drive = row @ weight.T + bias + (0 if recurrent is None else z @ recurrent.T)
        i = i * (1 - 1 / tau_syn) + w_in * drive
        out.append(z)
        membrane.append(v)
    return np.stack(out), np.stack(membrane)


def agree(result, expected):
    """Equal spikes, but for a spike that rounding moves: at most one in a hundred."""
    got = result.detach().numpy()
    assert expected.sum() > 5
    assert np.abs(got - expected).sum() <= 0.01 * expected.sum()


def near(theirs, ours, steps=3):
    """Share of the spikes in `theirs` (T, B, N) that have one in `ours` within so many steps."""
    wide = torch.nn.functional.max_pool1d(ours.permute(1, 2, 0), 2 * steps + 1, 1, steps).permute(2, 0, 1)
    return float((wide * theirs).sum() / theirs.sum())

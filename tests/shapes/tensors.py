"""Tensors of other shapes than those of their names are refused."""

import torch
from checked import refused  # first

from hxtorch.snn import functional as F

spikes, weight = torch.zeros(5, 2, 8), torch.zeros(4, 8)
dynamics = F.Membrane(0.0, 1e-5, 1e-5)
x = torch.zeros(5, 2, 4)
assert F.linear(spikes, weight).shape == x.shape and not refused(lambda: F.linear(spikes, weight))
for call in (
    lambda: F.linear(spikes, weight.T),
    lambda: F.linear(spikes, weight, torch.zeros(3)),
    lambda: F.batch_dropout(x, torch.ones(3)),
    lambda: F.inject(x, torch.zeros(5, 2, 3)),
    lambda: F.integrate(x[0], dynamics),
    lambda: F.integrate(x, dynamics, F.Firing(1.0, 0.0), recurrent=torch.zeros(4, 3)),
    lambda: F.integrate(x, dynamics, state=torch.zeros(3, 2, 4)),
    lambda: F.States(x, x[:3]),
    lambda: F.exp_cuba_li_integration(x[0], 0.0, 0.5, 0.5),
):
    assert refused(call)

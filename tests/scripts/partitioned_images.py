"""A layer of images spread over execution instances by hand, one readout called once for each part."""

import hxtorch.spiking as hxsnn
import torch
import torch.nn.functional as F
from hxtorch.spiking import ExecutionInstance
from hxtorch.spiking.morphology import SingleCompartmentNeuron

import hxtorch

STEPS, PIXELS, PART, PARTS, CLASSES, BATCH = 30, 784, 64, 4, 10, 8


def encode(images):
    times = ((1 - images.flatten(1)) * (STEPS - 1)).round().long()
    spikes = torch.zeros(STEPS, *times.shape)
    return spikes.scatter_(0, times[None], (images.flatten(1) > 0.2).float()[None])


class Net(torch.nn.Module):
    def __init__(self, mock):
        super().__init__()
        self.exp = hxsnn.Experiment(mock=mock, dt=1e-6)
        self.exp.inter_batch_entry_wait = 125 * 50
        params = {
            "tau_mem": hxsnn.HXParameter(6e-6),
            "tau_syn": hxsnn.HXParameter(5.7e-6),
            "leak": hxsnn.MixedHXModelParameter(0, 80),
            "reset": hxsnn.MixedHXModelParameter(0, 80),
            "threshold": hxsnn.MixedHXModelParameter(1, 120),
            "cadc_time_shift": 1,
            "shift_cadc_to_first": True,
            "trace_scale": 1 / 40,
            "alpha": 50,
        }
        transform = {"transform": lambda w: hxsnn.transforms.weight_transforms.linear_saturating(w, 50.0)}
        last = ExecutionInstance()
        self.hidden, self.lifs, self.outs = (torch.nn.ModuleList() for _ in range(3))
        for _ in range(PARTS):
            place = ExecutionInstance()
            self.hidden.append(hxsnn.Synapse(PIXELS, PART, self.exp, place, **transform))
            lif = hxsnn.LIF(
                PART, self.exp, execution_instance=place,
                neuron_structure=SingleCompartmentNeuron(size=8, expand_horizontally=False), **params,
            )  # fmt: skip
            self.lifs.append(lif)
            self.outs.append(hxsnn.Synapse(PART, CLASSES, self.exp, last, **transform))
            torch.nn.init.normal_(self.hidden[-1].weight, 0.01, 0.05)
            torch.nn.init.normal_(self.outs[-1].weight, 0.0, 0.1)
        self.li = hxsnn.LI(
            CLASSES, self.exp, execution_instance=last, neuron_structure=SingleCompartmentNeuron(2, False), **params
        )

    def forward(self, images):
        spikes = hxsnn.LIFObservables(spikes=encode(images))
        self.s_h = []
        for hidden, lif, out in zip(self.hidden, self.lifs, self.outs, strict=True):
            self.s_h.append(lif(hidden(spikes)))
            y = self.li(out(self.s_h[-1]))
        hxsnn.run(self.exp, STEPS + 2)
        return F.log_softmax(3 * y.membrane_cadc.amax(0), 1)


hxtorch.init_hardware()
for mock in (True, False):
    torch.manual_seed(0)
    net = Net(mock)
    images, labels = torch.rand(BATCH, 1, 28, 28).pow(3), torch.arange(BATCH)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.97)
    losses = []
    for _ in range(15 if mock else 3):
        optimizer.zero_grad()
        loss = F.nll_loss(net(images), labels)
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    fired = all(part.spikes.sum() > 0 for part in net.s_h)
    moved = all(syn.weight.grad.abs().sum() > 0 for syn in (*net.hidden, *net.outs))
    print(mock, losses[-1] < losses[0], fired, moved)
hxtorch.release_hardware()

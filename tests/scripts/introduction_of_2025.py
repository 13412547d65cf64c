"""As users wrote it with the names of 2025: scale the trace, scale the weights, train a pattern on the chip."""

from functools import partial

import numpy as np
import torch
from _static.common.helpers import save_nightly_calibration, setup_hardware_client

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch.snn.transforms.weight_transforms import linear_saturating

log = hxtorch.logger.get("introduction")
hxtorch.logger.default_config(level=hxtorch.logger.LogLevel.WARN)
log.INFO("Start", 1, [2])

torch.manual_seed(0)
STEPS, EPOCHS = 50, 3


def spikes_at(*times):
    spikes = torch.zeros((STEPS, 1, 1))
    spikes[list(times)] = 1
    return spikes


def one_neuron(inputs, weight=63.0, mock=False, **parameters):
    experiment = hxsnn.Experiment(mock=mock, dt=1e-6)
    experiment.default_execution_instance.load_calib("spiking_cocolist.pbin")
    synapse = hxsnn.Synapse(1, 1, experiment=experiment)
    neuron = hxsnn.Neuron(1, experiment=experiment, **parameters)
    synapse.weight.data.fill_(weight)
    z = neuron(synapse(hxsnn.NeuronHandle(spikes=inputs)))
    assert z.spikes is None
    hxsnn.run(experiment, STEPS)
    return z


hxtorch.init_hardware()
print("identifier", bool(hxtorch.get_unique_identifier()))

setup_hardware_client()
save_nightly_calibration("spiking_cocolist.pbin")

z = one_neuron(spikes_at(10, 15, 20, 30), weight=50.0, mock=True)
print("mock", z.spikes[:, 0, 0].nonzero().flatten().tolist())
z = one_neuron(spikes_at(10, 15, 20, 30), enable_madc_recording=True, record_neuron_id=0)
print("madc", z.membrane_madc.shape[0], tuple(z.membrane_cadc.shape))

baseline = one_neuron(torch.zeros((STEPS, 1, 1))).membrane_cadc.detach().numpy().mean().astype(np.float32)
peak = one_neuron(spikes_at(10, 11, 12, 13, 14)).membrane_cadc.detach().numpy().max()
trace_scale = np.float64(1 / (peak - baseline))
print("scale", 0.015 < trace_scale < 0.03)

hw = {
    "leak": hxsnn.MixedHXModelParameter(0.0, 80),
    "reset": hxsnn.MixedHXModelParameter(0.0, 80),
    "tau_mem": 10e-6,
    "tau_syn": 10e-6,
    "trace_offset": baseline,
    "trace_scale": trace_scale,
    "cadc_time_shift": -1,
    "shift_cadc_to_first": True,
}


class SNN(torch.nn.Module):
    def __init__(self, n_in, n_hidden, n_out, mock):
        super().__init__()
        self.experiment = hxsnn.Experiment(mock=mock, dt=1e-6)
        if not mock:
            self.experiment.default_execution_instance.load_calib("spiking_cocolist.pbin")
        scale = partial(linear_saturating, scale=50.0)
        self.linear_h = hxsnn.Synapse(n_in, n_hidden, experiment=self.experiment, transform=scale)
        self.lif = hxsnn.Neuron(
            n_hidden, experiment=self.experiment, threshold=hxsnn.MixedHXModelParameter(1.0, 125), alpha=50, **hw
        )
        self.linear_o = hxsnn.Synapse(n_hidden, n_out, experiment=self.experiment, transform=scale)
        self.li = hxsnn.ReadoutNeuron(n_out, experiment=self.experiment, **hw)
        torch.nn.init.normal_(self.linear_h.weight, 0.3, 0.2)
        torch.nn.init.normal_(self.linear_o.weight, 0.0, 0.1)

    def forward(self, spikes):
        self.s_h = self.lif(self.linear_h(hxsnn.NeuronHandle(spikes)))
        self.y = self.li(self.linear_o(self.s_h))
        hxsnn.run(self.experiment, spikes.shape[0])
        return self.y


for mock in (True, False):
    torch.manual_seed(1)
    model = SNN(10, 20, 3, mock)
    inputs = (torch.rand((STEPS, 1, 10)) < 0.1).float()
    target = 0.2 * torch.sin(torch.arange(STEPS) / 8.0)[:, None, None].expand(STEPS, 1, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(EPOCHS if not mock else 10 * EPOCHS):
        optimizer.zero_grad()
        y = model(inputs)
        loss = torch.nn.functional.mse_loss(y.membrane_cadc, target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print("training", mock, losses[-1] < losses[0], y.membrane_cadc.detach().numpy()[:, 0, 2].shape)

hxtorch.release_hardware()

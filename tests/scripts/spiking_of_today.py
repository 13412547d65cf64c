"""Scripts with the names of today: own synapse, placed readout, dropout, AELIF, trained parameters, EventProp."""

import hxtorch.spiking as hxsnn
import hxtorch.spiking.functional as F
import torch
from dlens_vx_v3 import halco
from hxtorch.spiking.modules import EventPropLIF, EventPropSynapse
from hxtorch.spiking.morphology import SingleCompartmentNeuron
from hxtorch.spiking.transforms.decode import MaxOverTime
from hxtorch.spiking.transforms.encode import CoordinatesToSpikes

import hxtorch

STEPS = 30


class RollOffSynapse(hxsnn.Synapse):
    def __init__(self, *args, cap=1.5, weight_exp_rolloff=61.0, use_quantization=False, **kwargs):
        super().__init__(*args, **kwargs)
        self.options = (cap, weight_exp_rolloff, use_quantization)

    def forward_func(self, input):
        cap, start, quantize = self.options
        graded = F.linear_exponential_clamp(input.spikes, self.weight, None, cap, start, quantize)
        return hxsnn.SynapseHandle(graded_spikes=graded)


class ScaledLIF(hxsnn.LIF):
    def post_process(self, hw_data, runtime):
        return super().post_process(hw_data, runtime)


def place(columns):
    row = halco.NeuronRowOnDLS(1)
    morphology = SingleCompartmentNeuron(1).compartments
    return [
        halco.LogicalNeuronOnDLS(morphology, halco.AtomicNeuronOnDLS(row, halco.NeuronColumnOnDLS(column)))
        for column in range(columns)
    ]


def build(exp, neuron_type, synapse_type):
    tau = hxsnn.HXParameter(6e-6)
    common = {
        "tau_mem": tau,
        "tau_syn": 6e-6,
        "leak": hxsnn.MixedHXModelParameter(0.0, 80),
        "reset": hxsnn.MixedHXModelParameter(0.0, 80),
        "threshold": hxsnn.MixedHXModelParameter(1.0, 150),
        "membrane_capacitance": hxsnn.MixedHXModelParameter(6e-6, 63),
        "i_synin_gm": 500,
        "synapse_dac_bias": 1000,
        "alpha": 50,
        "trace_scale": 1 / 50,
        "shift_cadc_to_first": True,
    }
    scale = {"transform": lambda w: hxsnn.transforms.weight_transforms.linear_saturating(w, 64.0)}
    hidden = synapse_type(5, 12, exp, **scale)
    lif = neuron_type(12, exp, **common)
    out = RollOffSynapse(12, 3, exp, cap=1.5, **scale)
    li = hxsnn.LI(3, exp, placement_constraint=place(3), **common)
    torch.nn.init.normal_(hidden.weight, 0.6, 0.2)
    torch.nn.init.normal_(out.weight, 0.0, 0.2)
    return torch.nn.ModuleDict({"hidden": hidden, "lif": lif, "out": out, "li": li})


data = hxsnn.datasets.yinyang.YinYangDataset(size=8, seed=42)
points = torch.stack([torch.as_tensor(data[i][0], dtype=torch.float32) for i in range(8)])
labels = torch.tensor([data[i][1] for i in range(8)])
x = CoordinatesToSpikes(STEPS, t_early=2e-6, t_late=20e-6, t_bias=2e-6)(points)

hxtorch.init_hardware()
for mock in (True, False):
    for neuron_type, synapse_type in ((ScaledLIF, hxsnn.Synapse), (EventPropLIF, EventPropSynapse)):
        torch.manual_seed(0)
        exp = hxsnn.Experiment(mock=mock, dt=1e-6)
        net = build(exp, neuron_type, synapse_type)
        dropout = hxsnn.BatchDropout(12, 0.1, exp)
        spikes = net["lif"](net["hidden"](hxsnn.LIFObservables(spikes=x)))
        if neuron_type is ScaledLIF:
            spikes = dropout(spikes)
        y = net["li"](net["out"](spikes))
        info = hxsnn.run(exp, STEPS)
        score = MaxOverTime()(y.membrane_cadc)
        loss = torch.nn.functional.cross_entropy(score, labels)
        loss.backward()
        grad = net["hidden"].weight.grad
        print(mock, neuron_type.__name__, tuple(score.shape), bool(grad.isfinite().all()), info is None)
        if neuron_type is ScaledLIF:
            print("learns", bool(grad.abs().sum() > 0))
hxtorch.release_hardware()

exp = hxsnn.Experiment(mock=True)
trained = hxsnn.HXParameter(torch.full((4,), 5e-6)).make_trainable()
aelif = hxsnn.AELIF(
    4, exp, leak=0.1, reset=-0.1, threshold=0.7, tau_syn=5e-6, tau_mem=trained, exponential=False, tau_adap=20e-6,
    subthreshold_adaptation_strength=0.1, spike_triggered_adaptation_increment=0.3,
)  # fmt: skip
syn = hxsnn.SparseSynapse(torch.eye(4), exp)
syn.weight.data.mul_(0).add_(5 * torch.eye(4))
z = aelif(syn(hxsnn.LIFObservables(spikes=(torch.rand(STEPS, 2, 4) < 0.3).float())))
hxsnn.run(exp, None)
z.membrane_cadc.sum().backward()
print("trained", [name for name, p in aelif.named_parameters() if p.grad is not None], z.adaptation_cadc.shape[0])
exp.clear()

"""MNIST in full size, 784-256-10: larger than the chip, and so spread over four runs.

The network is trained in the model, goes to the chip, and is trained on with the chip in the loop.

python examples/partitioned_mnist.py [--epochs 3] [--images 20000] [--chip-images 2000] [--out result.json]
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch.snn.datasets import MNIST
from hxtorch.snn.transforms.weight_transforms import linear_saturating
from hxtorch.snn.utils import clip_weights, fit_weight_scale

STEPS, PIXELS, HIDDEN, CLASSES = 30, 784, 256, 10
DARK = 0.2  # pixels below it never fire
SCALE = 70.0  # weight on the chip per weight of the model
READOUT_SCALE = 5.0  # of the scores in the loss
BATCH = 100


def encode(images: Tensor) -> Tensor:
    """Images (batch, side, side) in 0..1 to spikes (time, batch, pixel): the brighter, the earlier."""
    pixels = images.flatten(1)
    steps = ((1 - pixels) * (STEPS - 1)).long()
    return torch.zeros(STEPS, *pixels.shape).scatter_(0, steps[None], (pixels > DARK).float()[None])


class Network(torch.nn.Module):
    """A hidden layer of spiking neurons, and a readout of which the highest membrane decides."""

    def __init__(self, mock: bool, pixels: int = PIXELS, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.experiment = hxsnn.Experiment(mock=mock, dt=1e-6, partition=True)
        chip = {
            "tau_mem": 6e-6,
            "tau_syn": 6e-6,
            "leak": hxsnn.MixedHXModelParameter(0.0, 80),
            "i_synin_gm": 500,
            "synapse_dac_bias": 1000,
            "shift_cadc_to_first": True,
            "cadc_time_shift": -1,
            "trace_scale": 0.0147,  # membrane of the model per LSB
        }
        transform = partial(linear_saturating, scale=SCALE)
        self.hidden = hxsnn.Synapse(pixels, hidden, self.experiment, transform=transform)
        self.neurons = hxsnn.Neuron(
            hidden,
            self.experiment,
            reset=hxsnn.MixedHXModelParameter(0.0, 80),
            threshold=hxsnn.MixedHXModelParameter(1.0, 150),
            alpha=50.0,
            **chip,
        )
        self.output = hxsnn.Synapse(hidden, CLASSES, self.experiment, transform=transform)
        self.readout = hxsnn.ReadoutNeuron(CLASSES, self.experiment, **chip)
        torch.nn.init.normal_(self.hidden.weight, 0.01, 0.05)
        torch.nn.init.normal_(self.output.weight, 0.0, 0.1)

    def forward(self, images: Tensor) -> Tensor:
        """Images (batch, side, side) to scores (batch, class)."""
        self.z = self.neurons(self.hidden(hxsnn.NeuronHandle(encode(images))))
        y = self.readout(self.output(self.z))
        hxsnn.run(self.experiment, STEPS + 2)
        assert isinstance(y.membrane_cadc, Tensor)
        return y.membrane_cadc.amax(0)


def train(network: Network, images: Tensor, labels: Tensor, lr: float, name: str) -> float:
    """One epoch; returns the share of right decisions in it."""
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    right = 0
    for chosen in tqdm(torch.randperm(len(images)).split(BATCH), desc=name, disable=None):
        scores = network(images[chosen])
        loss = torch.nn.functional.cross_entropy(READOUT_SCALE * scores, labels[chosen])
        loss = loss + 5e-4 * (network.z.spikes.sum(0) ** 2).mean()  # few spikes
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        clip_weights(network.hidden)
        fit_weight_scale(network.output, SCALE)
        right += int((scores.argmax(1) == labels[chosen]).sum())
    return right / len(images)


@torch.no_grad()
def accuracy(network: Network, images: Tensor, labels: Tensor) -> float:
    """Share of right decisions."""
    decided = torch.cat([network(part).argmax(1) for part in images.split(BATCH)])
    return float((decided == labels).float().mean())


def main() -> None:
    """Train, move to the chip, train on, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3, help="in the model")
    parser.add_argument("--images", type=int, default=20000, help="for the training in the model")
    parser.add_argument("--chip-images", type=int, default=2000, help="for the epoch with the chip in the loop")
    parser.add_argument("--test-images", type=int, default=2000)
    parser.add_argument("--out", type=Path, help="file for the result (JSON)")
    options = parser.parse_args()
    torch.manual_seed(0)
    training, test = MNIST(train=True), MNIST(train=False)
    images, labels = training.images[: options.images], training.labels[: options.images]
    unseen = test.images[: options.test_images], test.labels[: options.test_images]

    model = Network(mock=True)
    for epoch in range(options.epochs):
        train(model, images, labels, 2e-3 * 0.6**epoch, f"epoch {epoch + 1} in the model")
    result: dict[str, float] = {"in the model": accuracy(model, *unseen)}

    hxtorch.init_hardware()
    on_chip = Network(mock=False)
    on_chip.load_state_dict(model.state_dict())
    fit_weight_scale(on_chip.output, SCALE)
    result["on the chip, same weights"] = accuracy(on_chip, *unseen)
    start = time.perf_counter()
    train(on_chip, images[: options.chip_images], labels[: options.chip_images], 5e-4, "with the chip in the loop")
    seconds = time.perf_counter() - start
    result["on the chip, after an epoch in the loop"] = accuracy(on_chip, *unseen)
    report = on_chip.experiment.mapping_report()
    hxtorch.release_hardware()

    print(f"{len(report.runs)} runs per batch, {seconds:.0f} s for the epoch in the loop")
    for name, value in result.items():
        print(f"{name}: {value:.3f}")
    if options.out:
        text = json.dumps(result | {"images": options.images, "epochs": options.epochs}, indent=1)
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""A tiny training loop: two classes of spike patterns, in the model or on the virtual chip.

python examples/tiny_training.py [--chip] [--epochs 30]
"""

from __future__ import annotations

import argparse

import torch
from torch.utils.data import DataLoader, TensorDataset

import hxtorch
import hxtorch.snn as hxsnn

STEPS, INPUTS = 40, 8


class Network(torch.nn.Module):
    """Eight inputs, two readout neurons; the higher membrane decides."""

    def __init__(self, mock: bool) -> None:
        super().__init__()
        self.experiment = hxsnn.Experiment(mock=mock)
        self.synapse = hxsnn.Synapse(INPUTS, 2, self.experiment)
        self.readout = hxsnn.ReadoutNeuron(2, self.experiment, shift_cadc_to_first=not mock)

    def forward(self, spikes: torch.Tensor) -> torch.Tensor:
        """Spikes (time, batch, input) to scores (batch, class)."""
        y = self.readout(self.synapse(hxsnn.NeuronHandle(spikes)))
        hxsnn.run(self.experiment, len(spikes))
        scores: torch.Tensor = y.membrane_cadc.amax(0)
        return scores


def patterns(count: int) -> TensorDataset:
    """Spikes (count, time, input): class 0 uses the first four inputs, class 1 the others."""
    classes = torch.arange(count) % 2
    rate = torch.full((count, 1, INPUTS), 0.02)
    rate[classes == 0, :, :4] = 0.15
    rate[classes == 1, :, 4:] = 0.15
    return TensorDataset((torch.rand(count, STEPS, INPUTS) < rate).float(), classes)


def train(network: torch.nn.Module, loader: DataLoader, epochs: int) -> list[float]:
    """Mean loss of every epoch."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1.0)
    losses = []
    for _ in range(epochs):
        total = 0.0
        for spikes, classes in loader:
            loss = torch.nn.functional.cross_entropy(network(spikes.transpose(0, 1)) / 10, classes)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        losses.append(total / len(loader))
    return losses


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chip", action="store_true", help="train on the virtual chip, not in the model")
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    torch.manual_seed(0)
    if options.chip:
        hxtorch.init_hardware()
    losses = train(Network(not options.chip), DataLoader(patterns(64), batch_size=16), options.epochs)
    hxtorch.release_hardware()
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}")


if __name__ == "__main__":
    main()

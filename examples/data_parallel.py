"""Training on several chips at once: one chip per process, gradients averaged.

torchrun --nproc-per-node 2 examples/data_parallel.py [--mock] [--epochs 3]
python examples/data_parallel.py                      (the same training on one chip)

Every process connects to a chip of its own, whose seed depends on its rank, and takes its share of every batch.
`DistributedDataParallel` averages the gradients, so all processes hold the same weights, which have to suit all
chips. In mock mode the result is that of a single process, up to rounding.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import hxtorch
from hxtorch.examples.spiking.yinyang_model import SNN, Model
from hxtorch.snn.datasets import YinYangDataset
from hxtorch.snn.transforms.decode import MaxOverTime
from hxtorch.snn.transforms.encode import CoordinatesToSpikes
from hxtorch.snn.utils import clip_weights, fit_weight_scale
from hxtorch.twin import DEFAULT_CHIP_SEED

STEPS, DT, SCALE = 38, 1e-6, 70.0


def build(mock: bool) -> Model:
    """The untrained Yin-Yang network; the same in all processes."""
    torch.manual_seed(0)
    network = SNN(
        5, 120, 3, mock, DT, 6e-6, 6e-6, trace_shift_hidden=-1, trace_shift_out=-1, weight_scale=SCALE,
        weight_init_hidden=(0.25, 0.25), weight_init_output=(0.0, 0.1), trace_scale=0.0147, input_repetitions=5,
        hidden_cadc_recording=True,
    )  # fmt: skip
    encoder = CoordinatesToSpikes(STEPS, 2e-6, 26e-6, DT, t_bias=2e-6)
    return Model(encoder, network, MaxOverTime(), 1.0 if mock else 10.0)


def points(size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points (size, 4) and their classes (size,)."""
    data = YinYangDataset(size=size, seed=seed)
    return torch.tensor(data.points, dtype=torch.float32), torch.tensor(data.classes)


def prepare(network: SNN) -> None:
    """Keep the weights in the range of the chip."""
    if not network.exp.mock:
        clip_weights(network.linear_h)
        fit_weight_scale(network.linear_o, SCALE)


def train(model: Model, epochs: int, size: int, batch: int) -> None:
    """Train with this process's share of every batch of `batch` samples."""
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    samples, classes = points(size, 42)
    trained = DistributedDataParallel(model) if world > 1 else model
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    order_of = torch.Generator().manual_seed(1)  # the same in all processes
    model.train()
    for _ in range(epochs):
        for chosen in torch.split(torch.randperm(size, generator=order_of)[: size // batch * batch], batch):
            share = chosen[rank::world]
            prepare(model.network)
            optimizer.zero_grad()
            scores = trained(samples[share])
            loss = nn.functional.cross_entropy(scores, classes[share]) + 4e-4 * (scores**2).mean()
            loss.backward()
            optimizer.step()


@torch.no_grad()
def accuracy(model: Model, size: int = 1000) -> float:
    """Share of test points that this process's chip decides rightly."""
    samples, classes = points(size, 40)
    model.eval()
    prepare(model.network)
    return float((model(samples).argmax(1) == classes).float().mean())


def main() -> None:
    """Train; every process prints its accuracy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mock", action="store_true")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--size", type=int, default=5000, help="training samples")
    parser.add_argument("--batch", type=int, default=50, help="samples per batch, of all processes together")
    parser.add_argument("--save", type=Path, help="file for the weights of the first process")
    options = parser.parse_args()
    parallel = "RANK" in os.environ  # started by torchrun
    if parallel:
        dist.init_process_group("gloo")
    rank = dist.get_rank() if parallel else 0
    if not options.mock:
        hxtorch.init_hardware(DEFAULT_CHIP_SEED + rank)
    model = build(options.mock)
    torch.manual_seed(rank)  # the noise of every chip is its own
    train(model, options.epochs, options.size, options.batch)
    print(f"rank {rank}: accuracy {accuracy(model):.3f}", flush=True)
    if options.save is not None and rank == 0:
        torch.save(model.state_dict(), options.save)
    hxtorch.release_hardware()
    if parallel:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()

"""Train a network on the Yin-Yang data set, on the chip or in mock mode.

python -m hxtorch.examples.spiking.yinyang --epochs 5 --lr 0.002 --gamma 0.9 --step-size 10
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

import hxtorch
from hxtorch.connection import connected_chip
from hxtorch.examples.spiking.yinyang_model import SNN, Model
from hxtorch.snn import modules
from hxtorch.snn.datasets import YinYangDataset
from hxtorch.snn.transforms.decode import MaxOverTime
from hxtorch.snn.transforms.encode import CoordinatesToSpikes
from hxtorch.snn.utils import clip_weights, fit_weight_scale

Results = tuple[list[float], list[float], list[float], list[float]]
_HARDWARE_REPETITIONS = 5


def get_parser() -> argparse.ArgumentParser:
    """Options of the program, times in seconds."""
    parser = argparse.ArgumentParser(description="Train a network on the Yin-Yang data set.")
    add = parser.add_argument
    add("--seed", type=int, default=42)
    add("--mock", action="store_true", help="simulate the model, without a chip")
    add("--testset-size", type=int, default=1000)
    add("--trainset-size", type=int, default=5000)
    add("--t-shift", type=int, default=0, help="shift of the CADC traces in steps")
    add("--t-bias", type=float, default=2e-6)
    add("--t-early", type=float, default=2e-6)
    add("--t-late", type=float, default=26e-6)
    add("--t-sim", type=float, default=38e-6)
    add("--dt", type=float, default=1e-6)
    add("--n-hidden", type=int, default=120)
    add("--tau-mem", type=float, default=6e-6)
    add("--tau-syn", type=float, default=6e-6)
    add("--weight-init-hidden-mean", type=float, default=0.2)
    add("--weight-init-hidden-std", type=float, default=0.2)
    add("--weight-init-out-mean", type=float, default=0.0)
    add("--weight-init-out-std", type=float, default=0.1)
    add("--alpha", type=int, default=150, help="accepted; the surrogate gradient has steepness 50")
    add("--epochs", type=int, default=10)
    add("--batch-size", type=int, default=50)
    add("--gamma", type=float, default=0.5, help="factor on the learning rate")
    add("--step-size", type=int, default=50, help="epochs between changes of the learning rate")
    add("--lr", type=float, default=0.0005)
    add("--reg-bursts", type=float, default=0.0)
    add("--reg-weights-hidden", type=float, default=0.0)
    add("--reg-readout", type=float, default=0.0004)
    add("--reg-weights-output", type=float, default=0.0)
    add("--gradient-estimator", choices=("surrogate_gradient", "eventprop"), default="surrogate_gradient")
    add("--readout-scaling", type=float, default=10.0)
    add("--weight-scale", type=float, default=64.0)
    add("--trace-scale", type=float, default=1 / 50)
    add("--plot-path", type=Path, default=None, help="file for a figure of the training")
    return parser


def build(args: argparse.Namespace) -> Model:
    """Return the untrained model of the options."""
    extra: dict[str, Any] = {}
    if args.gradient_estimator == "eventprop":
        extra = {"synapse_type": _module("EventPropSynapse"), "neuron_type": _module("EventPropLIF")}
    network = SNN(
        5,
        args.n_hidden,
        3,
        args.mock,
        args.dt,
        args.tau_mem,
        args.tau_syn,
        trace_shift_hidden=args.t_shift,
        trace_shift_out=args.t_shift,
        weight_init_hidden=(args.weight_init_hidden_mean, args.weight_init_hidden_std),
        weight_init_output=(args.weight_init_out_mean, args.weight_init_out_std),
        weight_scale=args.weight_scale,
        trace_scale=args.trace_scale,
        input_repetitions=1 if args.mock else _HARDWARE_REPETITIONS,
        hidden_cadc_recording=args.gradient_estimator != "eventprop",
        **extra,
    )
    encoder = CoordinatesToSpikes(round(args.t_sim / args.dt), args.t_early, args.t_late, args.dt, args.t_bias)
    return Model(encoder, network, MaxOverTime(), args.readout_scaling)


def _module(name: str) -> Any:
    found = getattr(modules, name, None)
    if found is None:
        raise ValueError(f"This version has no {name}. Use the surrogate gradient.")
    return found


def prepare_weights(network: SNN, largest_scale: float) -> None:
    """Keep the weights in the range of the chip; nothing in mock mode."""
    if not network.exp.mock:
        clip_weights(network.linear_h)
        fit_weight_scale(network.linear_o, largest_scale)


def train(
    model: Model,
    loader: DataLoader[Any],
    optimizer: torch.optim.Optimizer,
    args: argparse.Namespace,
) -> tuple[float, float]:
    """Train for one epoch; returns its mean loss and accuracy."""
    model.train()
    losses, right, total = 0.0, 0, 0
    for inputs, targets in loader:
        prepare_weights(model.network, args.weight_scale)
        optimizer.zero_grad()
        scores = model(inputs)
        loss = nn.functional.cross_entropy(scores, targets) + model.regularize(
            args.reg_readout, args.reg_bursts, args.reg_weights_hidden, args.reg_weights_output
        )
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses += float(loss.detach()) * len(targets)
        right += int((scores.argmax(1) == targets).sum())
        total += len(targets)
    return losses / total, right / total


@torch.no_grad()
def test(model: Model, loader: DataLoader[Any], args: argparse.Namespace) -> tuple[float, float]:
    """Loss and accuracy on data that is not trained."""
    model.eval()
    losses, right, total = 0.0, 0, 0
    prepare_weights(model.network, args.weight_scale)
    for inputs, targets in loader:
        scores = model(inputs)
        losses += float(nn.functional.cross_entropy(scores, targets)) * len(targets)
        right += int((scores.argmax(1) == targets).sum())
        total += len(targets)
    return losses / total, right / total


def main(args: argparse.Namespace) -> Results:
    """Train; returns losses and accuracies in training, then in the test, each by epoch.

    Connects to the default chip unless one is connected.
    """
    torch.manual_seed(args.seed)
    connect = not args.mock and connected_chip() is None
    if connect:
        hxtorch.init_hardware()
    try:
        results = _train_epochs(build(args), args)
    finally:
        if connect:
            hxtorch.release_hardware()
    if args.plot_path is not None:
        from hxtorch.plots import plot_curves

        names = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
        plot_curves(dict(zip(names, results, strict=True))).savefig(args.plot_path, format="png")
    return results


def _train_epochs(model: Model, args: argparse.Namespace) -> Results:
    def as_tensor(point: object) -> Tensor:
        return torch.as_tensor(point, dtype=torch.float32)

    trainset: Dataset[Any] = YinYangDataset(size=args.trainset_size, seed=42, transform=as_tensor)
    testset: Dataset[Any] = YinYangDataset(size=args.testset_size, seed=41, transform=as_tensor)
    train_loader: DataLoader[Any] = DataLoader(trainset, args.batch_size, shuffle=True, drop_last=True)
    test_loader: DataLoader[Any] = DataLoader(testset, args.batch_size)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, args.step_size, args.gamma)
    results: Results = ([], [], [], [])
    for _ in (progress := tqdm(range(args.epochs), unit="epoch", disable=not sys.stderr.isatty())):
        values = (*train(model, train_loader, optimizer, args), *test(model, test_loader, args))
        for column, value in zip(results, values, strict=True):
            column.append(value)
        scheduler.step()
        progress.set_postfix_str(f"loss {values[0]:.3f}, test accuracy {values[3]:.1%}")
    return results


if __name__ == "__main__":
    for _epoch, _row in enumerate(zip(*main(get_parser().parse_args()), strict=True)):
        print(
            "epoch {}: train loss {:.4f}, accuracy {:.4f}; test loss {:.4f}, accuracy {:.4f}".format(_epoch, *_row)
        )

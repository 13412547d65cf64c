"""Training on two chips in two processes reaches what one process reaches."""

import os
import re
import subprocess
import sys

import pytest
import torch

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


@pytest.fixture
def run(request, tmp_path):
    """Run the example in so many processes; returns the accuracies by rank, and the weights."""
    example = str(request.config.rootpath / "examples" / "data_parallel.py")

    def run(processes, *options):
        path = tmp_path / f"weights-{processes}.pt"
        launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--master-port", "29561"]
        command = [sys.executable, *(launcher if processes > 1 else []), example, *options, "--save", str(path)]
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        found = re.findall(r"rank (\d): accuracy ([\d.]+)", done.stdout)
        return {int(rank): float(value) for rank, value in found}, torch.load(path, weights_only=True)

    return run


def test_two_processes_compute_what_one_does(run):
    """Every batch is shared, and its gradients are averaged: the same weights but for rounding."""
    options = ("--mock", "--epochs", "1", "--size", "300")
    _, one = run(1, *options)
    accuracies, two = run(2, *options)
    assert set(accuracies) == {0, 1}
    assert accuracies[0] == accuracies[1]
    for name, value in one.items():
        # Adam turns rounding of small gradients into steps: 6 steps of 2e-3 would be 1.2e-2
        torch.testing.assert_close(two[name], value, atol=2e-3, rtol=0)
        assert (two[name] - value).abs().mean() < 1e-5


@pytest.mark.long
def test_two_chips_reach_what_one_reaches(run):
    (alone,) = run(1, "--epochs", "4")[0].values()
    together, _ = run(2, "--epochs", "4")
    assert alone > 0.85
    assert min(together.values()) > alone - 0.05  # one network for two chips; 1000 test points: sigma 0.011

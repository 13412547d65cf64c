"""`hxtorch demo`: run the introduction, write its figures, print what it reached."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from matplotlib.figure import Figure
from tqdm import tqdm

import hxtorch
from hxtorch import calibration, plots
from hxtorch.connection import require_chip
from hxtorch.demo import introduction as intro
from hxtorch.demo import report

DPI = 150


def run_demo(out: Path, epochs: int = 200, seed: int = 0, chip: int | None = None) -> list[report.Row]:
    """Run the introduction on the virtual chip number `chip` (default: the standard one).

    Writes five PNG figures into the folder `out` and returns what was reached. `seed` fixes everything
    random. Afterwards no chip is connected.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    clock = _Clock()
    hxtorch.init_hardware(chip)
    try:
        with clock.part("calibration"):
            calibrated = calibration.nightly("spiking", require_chip())
        rows = _first_experiments(out, calibrated, clock)
        with clock.part("alignment"):
            alignment = intro.align(calibrated)
        figure = plots.plot_alignment(
            intro.input_spikes(intro.PSP_INPUT_STEP), list(alignment.chip), alignment.model
        )
        _write(figure, out / "3_alignment.png")
        rows += report.alignment_rows(alignment)
        rows += _train(out, calibrated, alignment.trace_scale, epochs, clock)
    finally:
        hxtorch.release_hardware()
    return rows + [report.Row(f"time: {name} (s)", f"{seconds:.2f}") for name, seconds in clock.seconds.items()]


def _first_experiments(out: Path, calibrated: calibration.CalibrationResult, clock: _Clock) -> list[report.Row]:
    inputs = intro.input_spikes(*intro.INPUT_STEPS)
    with clock.part("emulation"):
        emulated = intro.emulate(calibrated, inputs, weight=63)
    with clock.part("simulation"):
        simulated = intro.emulate(None, inputs, weight=50)
    _write(plots.plot_emulation(inputs, emulated), out / "1_emulation.png")
    _write(plots.plot_simulation(inputs, simulated), out / "2_simulation.png")
    return report.emulation_rows(emulated) + report.simulation_rows(simulated)


def _train(
    out: Path, calibrated: calibration.CalibrationResult, trace_scale: float, epochs: int, clock: _Clock
) -> list[report.Row]:
    targets = intro.random_targets()
    training = intro.Training(calibrated, targets, trace_scale)
    figure = plots.TrainingPlot(training.inputs, targets, epochs)
    losses = []
    with clock.part(f"training, {epochs} epochs"):
        for _ in (progress := _progress(epochs)):
            loss, y = training.step()
            assert y.membrane_cadc is not None
            losses.append(loss)
            figure.update(loss, y.membrane_cadc)
            progress.set_postfix_str(f"MSE {loss:.1e}", refresh=False)
    _write(plots.plot_targets(targets), out / "4_targets.png")
    _write(figure.figure, out / "5_training.png")
    return report.training_rows(losses)


def _progress(epochs: int) -> tqdm[int]:
    """A progress bar for a person who watches; nothing in a log file."""
    return tqdm(range(epochs), desc="training on the chip", unit="epoch", disable=not _watched())


def _watched() -> bool:
    """Whether a person sees what is printed to stderr."""
    return sys.stderr.isatty()


def _write(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=DPI)


class _Clock:
    """Wall time by name of the part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        if _watched():
            print(f"{name} ...", file=sys.stderr)
        begin = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begin

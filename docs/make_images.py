"""Make the pictures of README and docs: curves of the virtual chip with the published ones of a real chip.

python docs/make_images.py
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from make_page_images import save
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch import calibration, plots
from hxtorch.connection import require_chip
from hxtorch.demo import introduction as intro
from hxtorch.plots import style, traces
from hxtorch.snn import NeuronHandle
from hxtorch.twin.places.coordinates import CYCLES_PER_US

DOCS = Path(__file__).parent
RUNS = 10
CHIP = 39  # like the published chip, it has weaker synapses than most and fires with the fourth input
DPI = 160

Curve = tuple[np.ndarray, np.ndarray]  # times in µs, values


def published() -> dict[str, Curve]:
    """Read the published curves by name; the file states their source."""
    text = (DOCS / "data" / "published_introduction.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        curves.setdefault(row["curve"], []).append((float(row["time_us"]), float(row["value"])))
    return {name: (np.array(points)[:, 0], np.array(points)[:, 1]) for name, points in curves.items()}


def draw_published(axes: Axes, curve: Curve, label: str = "real chip, published") -> None:
    """Lay published points over a panel."""
    axes.plot(
        *curve, "o", color=style.ink(), markersize=2.6, markerfacecolor="none", markeredgewidth=0.7, label=label
    )


def draw_cadc(axes: Axes, runs: list[NeuronHandle], curve: Curve) -> None:
    """Draw the CADC traces of several runs and the published one."""
    for index, z in enumerate(runs):
        assert z.membrane_cadc is not None
        cadc = z.membrane_cadc.detach().numpy()[:, 0, 0]
        axes.plot(
            cadc, color=style.CHIP, linewidth=0.9, alpha=0.45, label=None if index else f"twin, {len(runs)} runs"
        )
    draw_published(axes, curve)
    axes.set_ylim(traces.CADC_LIMITS[0] - 5, traces.CADC_LIMITS[1] + 5)
    axes.set_ylabel("CADC / LSB")


def draw_madc(axes: Axes, runs: list[NeuronHandle], curve: Curve) -> None:
    """Draw the MADC traces of several runs and the published one."""
    for index, z in enumerate(runs):
        assert z.membrane_madc is not None
        time, code = z.membrane_madc.numpy()[:, :, 0]
        label = None if index else f"twin, {len(runs)} runs"
        axes.plot(time / CYCLES_PER_US, code, color=style.CHIP_FAST, linewidth=0.6, alpha=0.6, label=label)
    draw_published(axes, curve)
    axes.set_ylim(250, 480)
    axes.set_ylabel("MADC / LSB")


def draw_psp(axes: Axes, alignment: intro.Alignment, curves: dict[str, Curve]) -> None:
    """Draw aligned PSPs of twin, model and real chip."""
    times = np.arange(alignment.chip.shape[1])
    chip = alignment.chip
    axes.fill_between(
        times, chip.min(0), chip.max(0), color=style.CHIP, alpha=0.2, linewidth=0, label="twin, range of 10 runs"
    )
    axes.plot(times, chip.mean(0), color=style.CHIP, label="twin, mean")
    axes.plot(times, alignment.model, color=style.MODEL, linestyle="--", label="model")
    draw_published(axes, curves["psp_chip"], "real chip, mean")
    for name in ("psp_chip_lowest", "psp_chip_highest"):
        axes.plot(*curves[name], color=style.ink(), linewidth=0.5, linestyle=":")
    axes.set_ylim(traces.ALIGNED_LIMITS)
    axes.set_ylabel("membrane / (threshold − leak)")


def overlay(runs: list[NeuronHandle], alignment: intro.Alignment, curves: dict[str, Curve], narrow: bool) -> Figure:
    """CADC, MADC and aligned PSP below each other."""
    with plots.house_style():
        figure = plots.new_figure(*((4.2, 6.6) if narrow else (6.2, 7.0)))
        panels = figure.subplots(3, 1, sharex=True, height_ratios=(1, 1, 1.1))
        draw_cadc(panels[0], runs, curves["cadc"])
        draw_madc(panels[1], runs, curves["madc"])
        draw_psp(panels[2], alignment, curves)
        for panel in panels:
            panel.legend(loc="upper left" if panel is not panels[2] else "upper right", fontsize=7)
            style.time_axis(panel, intro.STEPS, label=panel is panels[-1])
        figure.align_ylabels(list(panels))
    return figure


def first_screen(runs: list[NeuronHandle], curves: dict[str, Curve], narrow: bool) -> Figure:
    """CADC and MADC side by side, wide and low; below each other for a phone."""
    with plots.house_style():
        figure = plots.new_figure(*((4.2, 4.4) if narrow else (8.4, 2.8)))
        left, right = figure.subplots(*((2, 1) if narrow else (1, 2)))
        draw_cadc(left, runs, curves["cadc"])
        draw_madc(right, runs, curves["madc"])
        for panel in (left, right):
            panel.legend(loc="upper left", fontsize=7)
            style.time_axis(panel, intro.STEPS, label=not narrow or panel is right)
        figure.align_ylabels([left, right])
    return figure


def mapped_chip() -> Figure:
    """The chip under 256 inputs, 246 hidden and 10 readout neurons."""
    exp = hxsnn.Experiment(mock=True)
    x = NeuronHandle(torch.zeros(1, 1, 256))
    z = hxsnn.Neuron(246, exp)(hxsnn.Synapse(256, 246, exp)(x))
    hxsnn.ReadoutNeuron(10, exp)(hxsnn.Synapse(246, 10, exp)(z))
    return plots.plot_mapping(exp.mapping_report())


def main() -> None:
    """Run the introduction and write all pictures."""
    torch.manual_seed(0)
    hxtorch.init_hardware(CHIP)
    calibrated = calibration.nightly("spiking", require_chip())
    inputs = intro.input_spikes(*intro.INPUT_STEPS)
    runs = [intro.emulate(calibrated, inputs, weight=63) for _ in range(RUNS)]
    hxtorch.init_hardware()
    alignment = intro.align(calibration.nightly("spiking", require_chip()), RUNS)
    hxtorch.release_hardware()
    curves = published()
    (DOCS / "images").mkdir(exist_ok=True)
    save(lambda narrow: first_screen(runs, curves, narrow), "intro")
    save(lambda narrow: overlay(runs, alignment, curves, narrow), "introduction_overlay")
    mapped_chip().savefig(DOCS / "images" / "mapping.png", dpi=DPI)


if __name__ == "__main__":
    main()

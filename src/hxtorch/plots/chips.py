"""Figures of a chip: its fixed pattern, and how well it was calibrated."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hxtorch.calibration import CalibrationResult
from hxtorch.plots import style
from hxtorch.twin import Die
from hxtorch.twin.places.coordinates import CIRCUITS, COLUMNS, HEMISPHERES

_PATTERN = {  # what each effect of the circuits is, and in which unit
    "leak_code": ("leak", "CapMem LSB"),
    "reset_code": ("reset", "CapMem LSB"),
    "threshold_code": ("threshold", "CapMem LSB"),
    "leak_conductance": ("leak conductance", "factor"),
    "tau_exc": ("τ syn exc.", "factor"),
    "gain_exc": ("synaptic gain exc.", "factor"),
    "gain_inh": ("synaptic gain inh.", "factor"),
    "cadc_channel": ("CADC channel", "LSB"),
}


def plot_die(die: Die, *, figure: Figure | None = None) -> Figure:
    """Fixed pattern of a chip: every circuit's deviation in place (2 x 256), and its distribution."""
    with style.house_style():
        figure = style.new_figure(7.6, 6.4, figure)
        grid = figure.add_gridspec(len(_PATTERN), 2, width_ratios=(3.2, 1.0))
        for row, (name, (title, unit)) in enumerate(_PATTERN.items()):
            values = getattr(die, name)
            centre = 1.0 if unit == "factor" else 0.0
            spread = max(float(abs(values - centre).max()), 1e-9)
            axes = figure.add_subplot(grid[row, 0])
            image = axes.imshow(
                values.reshape(HEMISPHERES, COLUMNS),
                cmap=style.diverging(),
                vmin=centre - spread,
                vmax=centre + spread,
                aspect="auto",
                interpolation="nearest",
            )
            axes.set_yticks([0, 1], ["top", "bottom"])
            axes.set_title(f"{title} / {unit}")
            axes.grid(visible=False)
            axes.tick_params(labelbottom=row == len(_PATTERN) - 1)
            bar = figure.colorbar(image, ax=axes, pad=0.01, fraction=0.025, aspect=5)
            bar.set_ticks([centre - spread, centre, centre + spread], labels=[])
            bar.ax.tick_params(length=0)
            bar.ax.text(1.6, 0.5, f"± {spread:.3g}", transform=bar.ax.transAxes, va="center", fontsize=7)
            side = figure.add_subplot(grid[row, 1])
            side.hist(values, bins=30, color=style.CHIP)
            side.set_yticks([])
            side.set_title(f"{values.mean():.3g} ± {values.std():.2g}")
            if row == len(_PATTERN) - 1:
                axes.set_xlabel("column")
        figure.suptitle(f"fixed pattern of {die.identifier}", x=0.01, ha="left", fontsize=10)
    return figure


def plot_calibration(result: CalibrationResult, *, figure: Figure | None = None) -> Figure:
    """What remained after a calibration: residuals by quantity, and the circuits that missed the target.

    Grey outlines are the residuals before, with nominal codes; values beyond their outer percent are not shown.
    """
    names = list(result.residuals)
    columns = 3
    rows = -(-len(names) // columns)
    with style.house_style():
        figure = style.new_figure(7.6, 1.5 * rows + 1.1, figure)
        grid = figure.add_gridspec(rows + 1, columns, height_ratios=[1.0] * rows + [0.45])
        for index, name in enumerate(names):
            axes = figure.add_subplot(grid[index // columns, index % columns])
            unit, factor = _residual_unit(name)
            values = result.residuals[name] * factor
            passed = result.success.get(name, np.ones(CIRCUITS, dtype=bool))
            finite = np.isfinite(values)
            before = result.before.get(name, np.empty(0)) * factor
            before = before[np.isfinite(before)]
            shown = np.concatenate(
                [values[finite], np.clip(before, *np.percentile(before, [1, 99]))]
                if before.size
                else [values[finite]]
            )
            edges = np.histogram_bin_edges(shown, bins=40) if shown.size else np.linspace(-1, 1, 41)
            bins = [float(edge) for edge in edges]
            axes.hist(before, bins=bins, histtype="step", color=style.INPUT)
            axes.hist(values[finite & passed], bins=bins, color=style.CHIP)
            axes.hist(values[finite & ~passed], bins=bins, color=style.SPIKE)
            axes.set_title(f"{name}: {int((~passed).sum())} off")
            axes.set_xlabel(f"residual / {unit}")
            axes.set_yticks([])
        axes = figure.add_subplot(grid[rows, :])
        _failed_map(axes, result)
        figure.suptitle(
            f"calibration of {result.chip_identifier}: {CIRCUITS - result.failed.size} of {CIRCUITS} circuits met "
            "the target\n(blue: those that met it; red: those that missed it; grey: before, with nominal codes)",
            x=0.01,
            ha="left",
            fontsize=10,
        )
    return figure


def _failed_map(axes: Any, result: CalibrationResult) -> None:
    missed: NDArray[np.int64] = result.failed
    axes.plot(missed % COLUMNS, missed // COLUMNS, "s", color=style.SPIKE, markersize=4)
    axes.set_xlim(-1, COLUMNS)
    axes.set_ylim(HEMISPHERES - 0.5, -0.5)
    axes.set_yticks([0, 1], ["top", "bottom"])
    axes.set_xlabel("column of missed circuits")


def _residual_unit(name: str) -> tuple[str, float]:
    """Unit of the residuals of a quantity (see `CalibrationResult.residuals`), and the factor to reach it."""
    if name in ("leak", "reset", "threshold", "cadc"):
        return "LSB", 1.0
    return ("code", 1.0) if name.startswith("i_shift") else ("%", 100.0)

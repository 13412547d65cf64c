"""Figures of the fidelity page: what the first chip showed, with the published values drawn in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hxtorch._files.whole import written_whole
from hxtorch.fidelity.measure import Fidelity
from hxtorch.plots.style import CHIP, CHIP_FAST, MODEL, SERIES, house_style, new_figure
from hxtorch.shapes import Array
from hxtorch.twin.pattern import process as facts
from hxtorch.twin.places.coordinates import CIRCUITS, QUADRANTS

Curves = dict[str, dict[str, Array]]
DPI = 150
BEYOND = 0.45  # band widths outside of the band that the overview shows; an arrow stands for farther values


def write_figures(fidelity: Fidelity, folder: Path) -> dict[str, Path]:
    """Draw all figures for which something was measured; returns group -> path of the PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    with house_style():
        figures = {"Overview": _overview(fidelity)}
        for group, (needed, draw) in _FIGURES.items():
            if all(name in fidelity.curves for name in needed):
                figures[group] = draw(fidelity.curves)
        for group, figure in figures.items():
            path = folder / f"fidelity_{group.split()[0].lower()}.png"
            with written_whole(path) as part:
                figure.savefig(part, format="png", dpi=DPI)
            written[group] = path
    return written


def _overview(fidelity: Fidelity) -> Figure:
    rows = fidelity.rows
    figure = new_figure(8.5, 0.8 + 0.145 * len(rows))
    axes = figure.add_subplot()
    axes.axvspan(0, 1, color="#EEEEEE")
    for place, result in enumerate(rows):
        row = result.row
        width = row.high - row.low
        position = (result.values - row.low) / width
        good = np.array([row.holds(value) for value in result.values])
        left, right = position < -BEYOND, position > 1 + BEYOND
        bad = ~good & ~left & ~right
        axes.plot(position[good], np.full(good.sum(), -place), "|", color=CHIP, markersize=6)
        axes.plot(position[bad], np.full(bad.sum(), -place), "x", color=MODEL, markersize=5)
        for far, marker, edge in ((left, "<", -BEYOND), (right, ">", 1 + BEYOND)):
            axes.plot(np.full(far.sum(), edge), np.full(far.sum(), -place), marker, color=MODEL, markersize=4)
            for value in result.values[far][:1]:
                inwards = 6 if marker == "<" else -6
                axes.annotate(
                    f"{value:.{row.digits}f}", (edge, -place), xytext=(inwards, 0), textcoords="offset points",
                    ha="left" if marker == "<" else "right", va="center", fontsize=5.5, color=MODEL,
                )  # fmt: skip
    axes.set_yticks(
        -np.arange(len(rows)), [f"{result.row.name} [{result.row.mark}]" for result in rows], fontsize=6.5
    )
    axes.set_ylim(-len(rows) + 0.3, 0.7)
    axes.set_xlim(-BEYOND - 0.05, 1 + BEYOND + 0.05)
    axes.set_xlabel("place in the band")
    return figure


def _synapses(curves: Curves) -> Figure:
    data = curves["psp"]
    figure = new_figure(8, 3)
    left, right = figure.subplots(1, 2)
    slope = facts.MADC_SLOPE.value
    rest = data["course"][:15].mean()
    for j, total in enumerate(data["total"]):
        left.plot(data["time"], data["course"][:, j], color=CHIP if total > 0 else MODEL, linewidth=1)
    left.set(
        xlabel="time / µs",
        ylabel="CADC LSB, mean of 512 neurons",
        title=f"PSPs of total weights {_listed(data['total'])}",
    )
    left.axhline(rest, color="0.6", linewidth=0.5)
    mean, spread = slope * data["amplitude"].mean(axis=0), slope * data["amplitude"].std(axis=0)
    right.errorbar(
        data["total"], mean, spread, fmt="o", color=CHIP, markersize=4, label="twin ± spread over neurons"
    )
    weights = np.array([0.0, 288.0])
    right.plot(weights, 0.785 * weights, "--", color="k", linewidth=1, label="published (DEMO-ts_06)")
    right.plot([-60, 0], [0.65 * -60, 0], "k--", linewidth=1)
    right.plot([-288], [-128], "ks", markersize=4)
    right.set(xlabel="total weight", ylabel="PSP / MADC LSB")
    right.legend()
    return figure


def _listed(totals: Array) -> str:
    return "±" + ", ±".join(f"{total:g}" for total in totals if total > 0)


def _noise(curves: Curves) -> Figure:
    figure = new_figure(8, 3)
    left, right = figure.subplots(1, 2)
    data = curves["slow_and_fast"]
    left.semilogx(data["lag"], data["autocorrelation"], color=CHIP, label="twin")
    left.plot([0.34, 3.4, 6.8], [0.33, 0.26, 0.19], "ks", markersize=4, label="published (DEMO-ts_00)")
    left.plot([0.034, 0.1], [0.63, 0.46], "s", color="0.6", markersize=4, label="published, inflated")
    left.set(xlabel="lag / µs", ylabel="autocorrelation of a silent membrane", ylim=(0, 0.7))
    left.legend()
    shifts = curves["run_to_run"]["baseline"]
    for j in range(0, 512, 64):
        right.plot(
            np.arange(1, len(shifts) + 1), shifts[:, j] - shifts[:, j].mean(), ".-", linewidth=0.8, markersize=4
        )
    right.set(xlabel="run", ylabel="baseline / CADC LSB", title="baselines of eight neurons")
    return figure


def _reset(curves: Curves) -> Figure:
    figure = new_figure(8, 3)
    left, right = figure.subplots(1, 2)
    for name, colour, label in (("reset", CHIP, "calibrated"), ("raw_reset", MODEL, "uncalibrated")):
        data = curves[name]
        course = data["course"]
        high, low = course.max(), course[data["time"] > 0].min()
        left.plot(data["time"], (course - low) / (high - low), color=colour, label=label)
    left.set(xlabel="time after the spike / µs", ylabel="membrane, lowest to highest", xlim=(-0.4, 3.6))
    left.legend()
    ten = curves["ten_neurons"]
    for j, (name, colour) in enumerate((("threshold", SERIES[0]), ("minimum", SERIES[1]))):
        right.plot(
            ten["interval"], ten[name], "o", color=colour, markersize=3, label=("threshold", "reset minimum")[j]
        )
    right.set(
        xlabel="interval between spikes / µs", ylabel="MADC LSB", title="60 uncalibrated neurons, equal codes"
    )
    right.legend()
    return figure


def _spread(curves: Curves) -> Figure:
    from hxtorch.fidelity.spread import REGISTERS

    figure = new_figure(8, 4)
    grid = figure.subplots(2, 5).reshape(-1)
    per = CIRCUITS // QUADRANTS
    for axes, name, codes in zip(grid, REGISTERS, curves["codes_of_a_calibration"]["codes"], strict=True):
        axes.plot(np.arange(CIRCUITS), codes, ".", color=CHIP_FAST, markersize=1.5)
        for q in range(QUADRANTS):
            part = slice(q * per, (q + 1) * per)
            axes.plot([part.start, part.stop], [codes[part].mean()] * 2, color=MODEL)
        axes.set_title(name, fontsize=8)
        axes.set_xticks([])
    figure.supxlabel("circuit, with the means of the four quadrants", fontsize=9)
    figure.supylabel("code after calibration to equal targets", fontsize=9)
    return figure


def _readout(curves: Curves) -> Figure:
    data = curves["timing"]
    figure = new_figure(8, 3)
    left, right = figure.subplots(1, 2)
    spike = data["spikes"][data["spikes"] > 20][0]
    near = np.abs(data["madc_time"] - spike) < 8
    anchor, slope = facts.POTENTIAL_ANCHOR.value, facts.MADC_SLOPE.value
    madc = (data["madc"][near] - facts.MADC_AT_ANCHOR.value) / slope + anchor
    left.plot(data["madc_time"][near] - spike, madc, color=CHIP_FAST, linewidth=0.6, label="MADC, one spike")
    left.plot(
        np.arange(data["cadc"].size) - 8 - 0.5,
        data["cadc"],
        "o-",
        color=CHIP,
        markersize=3,
        label="CADC on a 1 µs grid, mean",
    )
    left.axvline(0, color="k", linewidth=0.8, linestyle=":")
    left.set(xlabel="time from the stamp of the spike / µs", ylabel="CADC LSB", xlim=(-7, 7))
    left.legend(loc="upper right")
    right.hist(curves["channels"]["uncalibrated"] - curves["channels"]["uncalibrated"].mean(), 40, color=CHIP_FAST)
    right.set(xlabel="CADC channel, uncalibrated / LSB", ylabel="channels")
    return figure


def _dynamics(curves: Curves) -> Figure:
    figure = new_figure(8, 5)
    (left, right), (below, _) = figure.subplots(2, 2, gridspec_kw={"height_ratios": [3, 2]})
    grid = below.get_gridspec()
    for axes in figure.axes[2:]:
        axes.remove()
    trains = figure.add_subplot(grid[1, :])
    names = list(curves["adex_patterns"])
    trains.eventplot(
        [curves["adex_patterns"][name] for name in names], colors=CHIP, linelengths=0.6, linewidths=0.8
    )
    trains.set_yticks(range(len(names)), names)
    trains.invert_yaxis()
    trains.set(xlabel="time / µs", title="AdEx: a neuron of each pattern, input from 20 µs on", xlim=(0, None))
    data = curves["current_and_rate"]
    left.plot(data["current"], data["rate"][:, ::32], color=CHIP_FAST, linewidth=0.6)
    left.plot(data["current"], data["rate"].mean(axis=1), "o-", color=CHIP, markersize=3)
    left.set(xlabel="code of the constant current", ylabel="rate / kHz", title="f-I curves and their mean")
    _histogram(right, curves["calibrated_rate"]["rate"])
    return figure


def _histogram(axes: Axes, rate: Array) -> None:
    axes.hist(rate, 40, color=CHIP_FAST)
    for limit in (90.0, 115.0):
        axes.axvline(limit, color=MODEL, linestyle="--")
    axes.set(xlabel="rate / kHz", ylabel="neurons", title="leak over threshold, 100 kHz wanted")


_FIGURES: dict[str, tuple[tuple[str, ...], Callable[[Curves], Figure]]] = {
    "Synapses": (("psp",), _synapses),
    "Temporal noise": (("slow_and_fast", "run_to_run"), _noise),
    "Reset and refractory time": (("reset", "raw_reset", "ten_neurons"), _reset),
    "Uncalibrated spread": (("codes_of_a_calibration",), _spread),
    "Readout": (("timing", "channels"), _readout),
    "Dynamics": (("current_and_rate", "calibrated_rate", "adex_patterns"), _dynamics),
}

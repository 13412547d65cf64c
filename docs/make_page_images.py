"""Make the pictures of the tutorials from the code that stands on their pages.

python docs/make_page_images.py [PAGE...]     (pages: yinyang, mnist, study)
"""

from __future__ import annotations

import re
import runpy
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Patch

import hxtorch
from hxtorch import plots, study
from hxtorch.plots import style

DOCS = Path(__file__).parent
DPI = 160
CHIPS = 20
STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)


def run_page(page: str) -> dict[str, Any]:
    """Run all Python of a page as one script; returns its names."""
    text = (DOCS / page).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "page.py"
        script.write_text("\n".join(re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)))
        return runpy.run_path(str(script), run_name="page")


def save(draw: Callable[[bool], Figure], name: str) -> None:
    """Save a figure for wide screens, and one for phones."""
    for narrow in (False, True):
        suffix = "-narrow" if narrow else ""
        draw(narrow).savefig(DOCS / "images" / f"{name}{suffix}.png", dpi=DPI)


# --- Yin-Yang ---------------------------------------------------------------------------------------------------


def yinyang() -> None:
    """Decisions of the network of the page, and one point on its way through it."""
    names = run_page("yinyang.md")
    network, points, classes = names["network"], names["test_points"], names["test_classes"]
    chosen = names["scores"].argmax(1)
    print(f"Yin-Yang, accuracy of the page's network: {(chosen == classes).float().mean():.3f}")
    one = int((chosen == classes).nonzero()[0])
    hxtorch.init_hardware()
    with torch.no_grad():
        network(points[one : one + 1])
    hxtorch.release_hardware()
    inputs = names["encode"](points[one : one + 1])
    data = points.numpy(), chosen.numpy(), classes.numpy(), one
    trace = network.y.membrane_cadc[:, 0].detach().numpy()
    spikes = network.z.spikes[:, 0].detach().numpy()

    def draw(narrow: bool) -> Figure:
        with plots.house_style():
            figure = plots.new_figure(*((4.2, 8.2) if narrow else (8.4, 3.6)))
            if narrow:
                grid = GridSpec(4, 1, figure, height_ratios=(3.6, 0.6, 1.6, 1.4))
                decisions, *panels = (figure.add_subplot(grid[row]) for row in range(4))
            else:
                grid = GridSpec(3, 2, figure, height_ratios=(0.6, 1.6, 1.4))
                decisions = figure.add_subplot(grid[:, 0])
                panels = [figure.add_subplot(grid[row, 1]) for row in range(3)]
            draw_decisions(decisions, *data)
            draw_passage(panels, inputs[:, 0].numpy(), spikes, trace)
            figure.align_ylabels(panels)
        return figure

    save(draw, "yinyang")


def draw_decisions(axes: Axes, points: np.ndarray, chosen: np.ndarray, classes: np.ndarray, one: int) -> None:
    """Points in the colour of the decided class; crosses where it is wrong; a circle around point `one`."""
    for label, name in enumerate(("yin", "yang", "dot")):
        of = chosen == label
        axes.plot(*points[of, :2].T, "o", markersize=2.4, color=style.SERIES[label], label=name)
    wrong = chosen != classes
    axes.plot(*points[wrong, :2].T, "x", markersize=5, color=style.ink(), markeredgewidth=0.8, label="wrong")
    axes.plot(*points[one, :2], "o", markersize=9, markerfacecolor="none", markeredgecolor=style.ink())
    axes.set_aspect("equal")
    axes.set(xlabel="x", ylabel="y", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, handletextpad=0.1, columnspacing=1.2)


def draw_passage(panels: list[Axes], inputs: np.ndarray, hidden: np.ndarray, readout: np.ndarray) -> None:
    """Input spikes, hidden spikes and readout membranes against time."""
    labels = ("x", "y", "1 − x", "1 − y", "bias")
    step, source = np.nonzero(inputs)
    panels[0].plot(step, source, "|", color=style.INPUT, markersize=5, markeredgewidth=1.2)
    panels[0].set_yticks(range(5), labels, fontsize=6)
    panels[0].set_ylim(4.7, -0.7)
    panels[0].set_ylabel("input")
    step, neuron = np.nonzero(hidden)
    panels[1].plot(step, neuron, "|", color=style.CHIP, markersize=3)
    panels[1].set(ylabel="hidden neuron", ylim=(-2, hidden.shape[1] + 1))
    for label, name in enumerate(("yin", "yang", "dot")):
        panels[2].plot(readout[:, label], color=style.SERIES[label], label=name)
    winner = int(readout.max(0).argmax())
    top = int(readout[:, winner].argmax())
    panels[2].plot(top, readout[top, winner], "o", color=style.SERIES[winner], markersize=5)
    panels[2].set_ylabel("readout membrane")
    for axes in panels:
        style.time_axis(axes, len(inputs), label=axes is panels[-1])


# --- MNIST over several runs ------------------------------------------------------------------------------------


def mnist() -> None:
    """The synapses of every run, in the colour of what they hear."""
    runs = run_page("mnist.md")["report"].runs
    names = list(dict.fromkeys(name for run in runs for name in run.names))
    heard = [
        name
        for name in names
        if any((run.source == run.names.index(name)).any() for run in runs if name in run.names)
    ]
    colours = dict(zip(heard, (*style.SERIES, style.MODEL, style.CHIP_FAST), strict=False))

    def draw(narrow: bool) -> Figure:
        with plots.house_style():
            figure = plots.new_figure(*((4.2, 5.6) if narrow else (8.4, 3.2)))
            panels = figure.subplots(*((2, 2) if narrow else (1, 4)), sharex=True, sharey=True).reshape(-1)
            for number, (axes, run) in enumerate(zip(panels, runs, strict=True), 1):
                draw_run(axes, run, colours)
                last = " + readout" if number == len(runs) else ""
                axes.set_title(f"run {number}: {run.layers[0].neurons} hidden{last}")
                axes.set_xlabel("column")
            for axes in panels if narrow else panels[:1]:
                axes.set_ylabel("synapse row")
            handles = [Patch(color=colour, label=short(name)) for name, colour in colours.items()]
            figure.legend(handles=handles, loc="outside lower center", ncols=2 if narrow else 5, fontsize=7)
            for axes in panels:
                axes.label_outer()
        return figure

    save(draw, "mnist")


def short(name: str) -> str:
    """The name of a population as a reader of the page would say it."""
    if name.startswith("the input"):
        return "hears pixels"
    return "hears " + name.replace("the spikes of Neuron(256)", "hidden").replace(
        "Neuron(256)", "hidden of this run"
    )


def draw_run(axes: Axes, run: Any, colours: dict[str, str]) -> None:
    """Both synapse arrays of one run, the upper one with its row 0 at the bottom."""
    picture = np.ones((2 * run.source.shape[1] + 16, run.source.shape[2], 3))
    for row, source in ((0, run.source[0][::-1]), (run.source.shape[1] + 16, run.source[1])):
        part = picture[row : row + source.shape[0]]
        part[:] = 0.95
        for number, name in enumerate(run.names):
            if name in colours:
                part[source == number] = to_rgb(colours[name])
    axes.imshow(picture, aspect="auto", interpolation="nearest")
    axes.set_yticks([0, 263, 527], ["255", "0", "255"], fontsize=7)
    axes.set_xticks([0, 128, 255])
    axes.grid(visible=False)


# --- A study over many chips ------------------------------------------------------------------------------------


def study_over_chips() -> None:
    """The study of the page, on 20 chips and at more strengths."""
    names = run_page("study.md")
    wanted = study.conditions(chip=list(range(1, CHIPS + 1)), decalibration=list(STRENGTHS))
    rows = study.study(names["responses"], wanted, jobs=1).rows

    def draw(narrow: bool) -> Figure:
        with plots.house_style():
            figure = plots.new_figure(*((4.2, 5.0) if narrow else (8.4, 2.8)))
            left, right = figure.subplots(*((2, 1) if narrow else (1, 2)))
            whole = [row for row in rows if row["decalibration"] == 0]
            chips, mean, spread = (np.array([row[key] for row in whole]) for key in ("chip", "mean", "spread"))
            left.errorbar(chips, mean, spread, fmt="o", color=style.CHIP, markersize=4, capsize=2, linewidth=1)
            left.axhline(mean.mean(), color=style.INPUT, linewidth=0.8, linestyle="--")
            left.set(xlabel="chip (seed)", ylabel="height of the PSP / LSB", ylim=(0, None), xticks=chips[::3])
            for chip in chips:
                line = [row["spread"] / row["mean"] * 100 for row in rows if row["chip"] == chip]
                right.plot(np.array(STRENGTHS) * 100, line, color=style.CHIP, alpha=0.5, linewidth=0.9)
            right.set(xlabel="decalibration / %", ylabel="spread between neurons / %", ylim=(0, None))
        return figure

    save(draw, "study")
    whole = np.array([(row["mean"], row["spread"]) for row in rows if row["decalibration"] == 0])
    print(f"PSP: {whole[:, 0].mean():.1f} ± {whole[:, 0].std(ddof=1):.1f} LSB over {CHIPS} chips,")
    print(f"within a chip ± {whole[:, 1].mean():.1f} LSB")


PAGES = {"yinyang": yinyang, "mnist": mnist, "study": study_over_chips}


def main() -> None:
    """Make the pictures of the named pages, or of all."""
    for name in sys.argv[1:] or PAGES:
        PAGES[name]()


if __name__ == "__main__":
    main()

"""Make the pictures of the tutorials from the code that stands on their pages.

python docs/make_page_images.py [PAGE...]     (pages: yinyang, mnist, study, pytorch, nir, figures)
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
from hxtorch.snn import NeuronHandle, run

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


# --- From PyTorch -----------------------------------------------------------------------------------------------


def from_pytorch() -> None:
    """Decisions of the network of the page on the chip, and one point in the model and on the chip."""
    names = run_page("pytorch.md")
    network, points, classes = names["on_chip"], names["points"], names["classes"]
    shares = {name: 100 * names[name] for name in ("trained", "before", "after")}
    print("PyTorch, right in the model, on the chip, after training in the loop: {trained:.1f} %, {before:.1f} %, "
          "{after:.1f} %".format(**shares))  # fmt: skip
    model = names["Network"](mock=True)
    model.load_state_dict(network.state_dict())
    hxtorch.init_hardware()
    with torch.no_grad():
        chosen = network(names["encode"](points)).argmax(1)
        one = int(((chosen == classes) & (points.sum(1) - 1).abs().lt(0.3)).nonzero()[0])
        inputs = names["encode"](points[one : one + 1])
        traces = [(n, *passage(n, inputs)) for n in (model, network)]
    hxtorch.release_hardware()

    def draw(narrow: bool) -> Figure:
        with plots.house_style():
            figure = plots.new_figure(*((4.2, 7.2) if narrow else (8.4, 3.4)))
            if narrow:
                grid = GridSpec(3, 1, figure, height_ratios=(3.0, 1.2, 1.6))
                decisions, *panels = (figure.add_subplot(grid[row]) for row in range(3))
            else:
                grid = GridSpec(2, 2, figure, height_ratios=(1.2, 1.6))
                decisions = figure.add_subplot(grid[:, 0])
                panels = [figure.add_subplot(grid[row, 1]) for row in range(2)]
            for label, name in enumerate(("x + y < 1", "x + y > 1")):
                of = chosen == label
                decisions.plot(*points[of].T, "o", markersize=3, color=style.SERIES[label], label=name)
            wrong = chosen != classes
            decisions.plot(*points[wrong].T, "x", markersize=6, color=style.ink(), label="wrong")
            decisions.plot(*points[one], "o", markersize=10, markerfacecolor="none", markeredgecolor=style.ink())
            decisions.set(xlabel="x", ylabel="y", xlim=(0, 1), ylim=(0, 1), aspect="equal")
            decisions.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, handletextpad=0.1)
            for (module, hidden, readout), dash in zip(traces, ("--", "-"), strict=True):
                if module is network:
                    step, neuron = hidden.nonzero(as_tuple=True)
                    panels[0].plot(step, neuron, "|", color=style.CHIP, markersize=4)
                for label in range(2):
                    panels[1].plot(readout[:, label], dash, color=style.SERIES[label], linewidth=1.2)
            panels[0].set(ylabel="hidden neuron", ylim=(-1, 30))
            panels[1].set_ylabel("readout membrane")
            for axes in panels:
                style.time_axis(axes, len(inputs), label=axes is panels[-1])
            figure.align_ylabels(panels)
        return figure

    save(draw, "pytorch")


def passage(network: Any, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden spikes (time, neuron) and readout membranes (time, class) of one point."""
    z = network.neurons(network.hidden(NeuronHandle(inputs)))
    y = network.readout(network.output(z))
    run(network.experiment, len(inputs))
    return z.spikes[:, 0].detach(), y.membrane_cadc[:, 0].detach()


# --- From NIR ---------------------------------------------------------------------------------------------------


def from_nir() -> None:
    """Membranes and numbers of spikes of the network of the page, in the model and on the chip."""
    names = run_page("nir.md")
    both = names["network"], names["on_chip"]
    membranes = [n.handles["neurons"].membrane_cadc[:, 0].detach().numpy() for n in both]
    expected, got = names["expected"].numpy(), names["got"].numpy()
    correlation = np.corrcoef(expected, got)[0, 1]
    print(
        f"NIR: {expected.sum():.0f} spikes in the model, {got.sum():.0f} on the chip, correlation {correlation:.2f}"
    )
    shown = np.argsort(expected.reshape(3, -1)[0])[[-1, -3]]

    def draw(narrow: bool) -> Figure:
        with plots.house_style():
            figure = plots.new_figure(*((4.2, 5.6) if narrow else (8.4, 2.9)))
            left, right = figure.subplots(*((2, 1) if narrow else (1, 2)), width_ratios=None if narrow else (2, 1))
            for colour, neuron in zip(style.SERIES, shown, strict=False):
                left.plot(membranes[0][:, neuron], "--", color=colour, linewidth=1.0)
                left.plot(membranes[1][:, neuron], color=colour, label=f"neuron {neuron}")
            left.set_ylabel("membrane / (threshold − leak)")
            left.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
            style.time_axis(left, len(membranes[0]))
            most = max(expected.max(), got.max()) + 1
            right.plot([0, most], [0, most], color=style.INPUT, linewidth=0.8)
            right.plot(expected, got, "o", color=style.CHIP, markersize=4, alpha=0.6)
            right.set(
                xlabel="spikes in the model", ylabel="spikes on the chip", xlim=(-0.5, most), ylim=(-0.5, most)
            )
        return figure

    save(draw, "nir")


# --- Figures ----------------------------------------------------------------------------------------------------


def of_figures() -> None:
    """What `plot_traces` shows of the run of the page."""
    names = run_page("figures.md")
    with plots.house_style():
        figure = plots.plot_traces(names["z"], inputs=names["inputs"])
    figure.savefig(DOCS / "images" / "figures.png", dpi=DPI)


PAGES = {
    "yinyang": yinyang,
    "mnist": mnist,
    "study": study_over_chips,
    "pytorch": from_pytorch,
    "nir": from_nir,
    "figures": of_figures,
}


def main() -> None:
    """Make the pictures of the named pages, or of all."""
    for name in sys.argv[1:] or PAGES:
        PAGES[name]()


if __name__ == "__main__":
    main()

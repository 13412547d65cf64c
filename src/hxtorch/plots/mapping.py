"""Figure of a mapped network on the chip."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import ListedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from hxtorch.mapping import MappingReport
from hxtorch.plots import style
from hxtorch.twin.places.coordinates import COLUMNS, HEMISPHERES

_COLOURS = (*style.SERIES, style.MODEL, style.CHIP_FAST, style.INPUT)


def plot_mapping(report: MappingReport, run: int = 0, *, figure: Figure | None = None) -> Figure:
    """The chip under one run of a mapped network.

    Circuits in the colour of their layer, synapses in the colour of the population that they hear, and the
    use of every resource.
    """
    if not 0 <= run < len(report.runs):
        raise ValueError(f"There is no run {run}: the network takes {len(report.runs)}, counted from 0.")
    shown = report.runs[run]
    names = shown.names
    colours = [_COLOURS[i % len(_COLOURS)] for i in range(len(names))]
    palette = ListedColormap([(0.5, 0.5, 0.5, 0.06), *(to_rgba(colour) for colour in colours)])
    with style.house_style():
        figure = style.new_figure(8.2, 5.6, figure)
        grid = figure.add_gridspec(4, 2, width_ratios=(2.6, 1.0), height_ratios=(6, 0.7, 0.7, 6))
        owner = shown.owner.reshape(HEMISPHERES, COLUMNS)
        pictures = (shown.source[0][::-1], owner[:1], owner[1:], shown.source[1])
        labels = ("synapse row, top", "top", "bottom", "synapse row, bottom")
        for row, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
            axes = figure.add_subplot(grid[row, 0])
            axes.imshow(picture + 1, cmap=palette, vmin=0, vmax=len(names), aspect="auto", interpolation="nearest")
            axes.grid(visible=False)
            axes.tick_params(labelbottom=row == 3)
            rows = picture.shape[0]
            if rows == 1:
                axes.set_yticks([0], [label])
            else:
                ticks = np.array([0, 64, 128, 192, 255])
                axes.set_yticks(255 - ticks if row == 0 else ticks, ticks)
                axes.set_ylabel(label)
        axes.set_xlabel("column")
        bars = figure.add_subplot(grid[:, 1])
        resources = shown.resources[::-1]
        share = [item.used / item.available for item in resources]
        bars.barh(range(len(resources)), share, color=style.CHIP, height=0.55)
        bars.set_yticks(
            range(len(resources)), [f"{item.name}\n{item.used} of {item.available}" for item in resources]
        )
        bars.set_xlim(0, 1)
        bars.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        bars.grid(visible=False, axis="y")
        bars.set_title("use of the chip")
        figure.legend(
            handles=[Patch(color=colour, label=name) for colour, name in zip(colours, names, strict=True)],
            loc="outside lower left",
            ncols=3,
        )
    return figure

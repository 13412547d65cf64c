"""How handles look in a notebook."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from hxtorch._html import Series, details, facts, lines, note, raster, table
from hxtorch.twin.places.coordinates import CYCLES_PER_US

MOST_NEURONS = 5
"""Of so many neurons the traces are drawn; rasters show ten times as many."""

_SPIKES = ("spikes",)
_LABELS = {"current": "synaptic current", "membrane_cadc": "membrane (CADC)"}


def handle_html(name: str, tensors: Mapping[str, Tensor | None]) -> str:
    """A table of the tensors of a handle, and a drawing of each: first batch entry, first neurons."""
    rows = [
        (key, "empty", "", "")
        if value is None
        else (key, " × ".join(map(str, value.shape)), str(value.dtype).removeprefix("torch."), _range(key, value))
        for key, value in tensors.items()
    ]
    below = table(rows, ("tensor", "shape", "type", "values"))
    if all(value is None for value in tensors.values()):
        return facts(name, {}, below + note("Filled by hxtorch.snn.run(experiment, steps)."))
    for key, value in tensors.items():
        picture = "" if value is None else tensor_html(key, value)
        if picture:
            below += details(key, picture, open=key in ("spikes", "membrane_cadc"))
    return facts(name, {}, below)


def tensor_html(name: str, value: Tensor, dt: float | None = None) -> str:
    """Drawing of an observable: (time, batch, neuron), or (2, samples, ..., batch) of the MADC; "" if neither.

    Time is in steps, or in µs if `dt` (s) is given.
    """
    array = value.detach().cpu().numpy()
    if name.endswith("_madc"):
        if array.ndim < 3 or not array.size:
            return ""
        times, codes = array[0, ..., 0] / CYCLES_PER_US, array[1, ..., 0]
        columns = [(times, codes)] if times.ndim == 1 else list(zip(times.T, codes.T, strict=True))
        return lines([Series(x, y) for x, y in columns], "time / µs", "MADC / LSB")
    if array.ndim != 3 or not array.size:
        return ""
    scale, label = (1.0, "time / steps") if dt is None else (dt * 1e6, "time / µs")
    if name in _SPIKES:
        events = array[:, 0, : 10 * MOST_NEURONS]
        rows = [np.flatnonzero(column) * scale for column in events.T]
        more = note(f"The first {len(rows)} of {array.shape[2]} neurons.") if len(rows) < array.shape[2] else ""
        return raster(rows, events.shape[0] * scale, "neuron", x_label=label) + more
    steps = np.arange(array.shape[0]) * scale
    shown = array[:, 0, :MOST_NEURONS].T
    y_label = _LABELS.get(name, name.replace("_", " "))
    return lines([Series(steps, y, f"neuron {i}") for i, y in enumerate(shown)], label, y_label)


def _range(name: str, value: Tensor) -> str:
    if name.endswith("_madc") and value.shape[0] == 2:
        value = value[1]  # the codes, without their times
    if not value.numel():
        return "none"
    low, high = value.detach().aminmax()
    return f"{low.item():.4g} … {high.item():.4g}"

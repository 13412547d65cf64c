"""HTML and SVG of notebooks: well-formed, escaped, and showing what they were given."""

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import hxtorch.snn as hxsnn
from hxtorch import _html, calibration
from hxtorch.twin import Die, VirtualChip


def parse(fragment):
    """The elements of a fragment; raises if it is not well-formed."""
    return ElementTree.fromstring(f"<root>{fragment}</root>")


def svg_tags(root, tag):
    return list(root.iter(f"{{http://www.w3.org/2000/svg}}{tag}"))


def test_texts_are_escaped():
    bad = "<script>alert('x')</script> & more"
    for fragment in (
        _html.table([(bad,)], (bad,)),
        _html.facts(bad, {bad: bad}),
        _html.note(bad),
        _html.details(bad, ""),
        _html.lines([_html.Series([0, 1], [0, 1], bad)], bad, bad),
        _html.raster([[1]], 2, bad),
        _html.strip([[1]], title=bad),
    ):
        assert "<script" not in fragment
        assert bad in "".join(parse(fragment).itertext()).replace("\n", "") or "script" in fragment


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=30),
    st.booleans(),
)
def test_any_values_can_be_drawn(values, log):
    root = parse(_html.lines([_html.Series(range(len(values)), values)], "x", "y", log=log))
    good = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
    if not good:
        assert "nothing recorded" in "".join(root.itertext())
        return
    (line,) = svg_tags(root, "polyline")
    points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
    assert len(points) == len(good)
    for x, y in points:
        assert 0 <= x <= 480 and 0 <= y <= 160


def test_lines_are_where_their_values_say():
    root = parse(_html.lines([_html.Series([0, 10], [5, 7], "a", dashed=True)], "time", "level"))
    (line,) = svg_tags(root, "polyline")
    (x0, y0), (x1, y1) = (tuple(map(float, p.split(","))) for p in line.get("points").split())
    assert x0 < x1 and y0 > y1  # later is to the right, higher is up
    assert line.get("stroke-dasharray")
    texts = ["".join(text.itertext()) for text in svg_tags(root, "text")]
    assert {"time", "level", "5", "7"} <= set(texts)


def test_rasters_and_strips():
    root = parse(_html.raster([[1, 2], [], [3]], 10, "neuron"))
    marks = svg_tags(root, "path")[-1].get("d")
    assert marks.count("M") == 3
    root = parse(_html.strip([[1.0, -2.0], [0.0, 2.0]]))
    shown = [(r.get("fill"), r.get("fill-opacity")) for r in svg_tags(root, "rect")]
    assert shown == [("#D5402B", "0.50"), ("#0072B2", "1.00"), ("#D5402B", "1.00")]


def test_bars_are_as_high_as_their_counts():
    root = parse(_html.bars([0, 1, 2, 4], [4, 0, 2], "weight", "synapses"))
    tops = re.findall(r"M([\d.]+) ([\d.]+)V([\d.]+)H([\d.]+)", svg_tags(root, "path")[-1].get("d"))
    (x0, ground, high, x1), (_, same, low, x2) = (tuple(map(float, bar)) for bar in tops)
    assert ground == same and (ground - high) == pytest.approx(2 * (ground - low), abs=0.2)
    assert x0 < x1 < x2
    assert "nothing recorded" in "".join(parse(_html.bars([0], [], "x", "y")).itertext())


def test_axes_of_epochs_have_whole_numbers_and_logarithms_plain_ones():
    curve = _html.Series([1, 2, 3, 4], [1.0, 0.3, 0.1, 0.01])
    texts = [
        "".join(text.itertext())
        for text in svg_tags(parse(_html.lines([curve], "e", "l", log=True, whole=True)), "text")
    ]
    assert texts == ["1", "2", "3", "4", "0.01", "0.1", "1", "e", "l"]


def test_long_lines_are_thinned():
    text = _html.lines([_html.Series(np.arange(100_000), np.arange(100_000))], "x", "y")
    assert len(text) < 60_000


def test_empty_and_filled_handles():
    empty = hxsnn.NeuronHandle()._repr_html_()
    assert "hxtorch.snn.run" in "".join(parse(empty).itertext())
    torch.manual_seed(0)
    handle = hxsnn.NeuronHandle(
        (torch.rand(20, 2, 3) < 0.2).float(),
        torch.randn(20, 2, 3, requires_grad=True),
        None,
        torch.stack([torch.arange(50.0), torch.full((50,), 300.0)])[:, :, None],
    )
    root = parse(handle._repr_html_())
    text = " ".join(root.itertext())
    assert "20 × 2 × 3" in text and "NeuronHandle" in text and "empty" in text
    assert len(svg_tags(root, "svg")) == 3
    spikes = svg_tags(svg_tags(root, "svg")[0], "path")[-1].get("d").count("M")
    assert spikes == int(handle.spikes[:, 0].sum())


@pytest.mark.parametrize("shape", [(3,), (0, 1, 1), (4, 2)])
def test_odd_tensors_are_described_without_a_drawing(shape):
    root = parse(hxsnn.NeuronHandle(torch.zeros(shape))._repr_html_())
    assert not svg_tags(root, "svg")


def test_a_die_and_a_calibration():
    root = parse(Die.from_seed(3)._repr_html_())
    text = " ".join(root.itertext())
    assert "twin:3" in text and "threshold_code" in text
    assert len(svg_tags(root, "rect")) > 400
    result = calibration.calibrate(VirtualChip(Die.ideal()))
    text = " ".join(parse(result._repr_html_()).itertext())
    assert "twin:ideal" in text and "512 of 512" in text and "threshold" in text


def test_nothing_is_loaded_from_elsewhere():
    for fragment in (Die.from_seed(1)._repr_html_(), hxsnn.NeuronHandle(torch.ones(3, 1, 1))._repr_html_()):
        links = re.findall(r"(?:src|href|url)\s*[=(]", fragment)
        assert not links

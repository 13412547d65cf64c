"""The report of a mapping: numbers, text, page, figure, and `hxtorch map`."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch

import hxtorch.snn as hxsnn
from hxtorch.cli import main
from hxtorch.mapping import MappingError
from hxtorch.plots import plot_mapping

SCRIPT = """
import sys
import torch
import hxtorch.snn as hxsnn
exp = hxsnn.Experiment(mock=True)
size = int(sys.argv[1]) if len(sys.argv) > 1 else 246
syn, lif = hxsnn.Synapse(256, size, exp), hxsnn.Neuron(size, exp)
out, li = hxsnn.Synapse(size, 10, exp), hxsnn.ReadoutNeuron(10, exp)
try:
    for epoch in range(3):
        li(out(lif(syn(hxsnn.NeuronHandle(torch.zeros(5, 1, 256))))))
        hxsnn.run(exp, 5)
except Exception:
    raise SystemExit("the script must not see how it ends")
"""


def called(hidden=246, inputs=256, **options):
    exp = hxsnn.Experiment(mock=True, **options)
    syn, lif = hxsnn.Synapse(inputs, hidden, exp), hxsnn.Neuron(hidden, exp)
    out, li = hxsnn.Synapse(hidden, 10, exp), hxsnn.ReadoutNeuron(10, exp)
    li(out(lif(syn(hxsnn.NeuronHandle(torch.zeros(5, 1, inputs))))))
    return exp


def test_numbers():
    (run,) = called().mapping_report().runs
    uses = {item.name: (item.used, item.available) for item in run.resources}
    assert uses["neuron circuits"] == (512, 512)
    assert uses["synapses"] == (2 * (256 * 246 + 246 * 10), 131072)
    assert uses["labels"] == (502, 512)
    assert uses["event outputs"] == (8, 8)
    hidden, readout = run.layers
    assert (hidden.neurons, hidden.circuits_per_neuron, hidden.columns) == (246, 2, "0-245")
    assert (readout.inputs, readout.available_inputs) == (246, 256)
    assert np.bincount(run.owner + 1).tolist() == [0, 492, 20]
    assert (run.source >= 0).sum() == uses["synapses"][0]
    for item in run.resources:
        assert not item.by_layer or sum(item.by_layer.values()) == item.used


def test_text():
    report = called().mapping_report()
    text = str(report)
    for part in (
        r"Neuron\(246\) +246 +492 \(2 each\) +0-245 +256 of 256",
        r"neuron circuits +512 +512",
        "2 address",
    ):
        assert re.search(part, text), part
    assert repr(report) == "MappingReport(1 run, 512 of 512 circuits)"


def test_runs_of_a_partition():
    report = called(256, 784, partition=True).mapping_report()
    assert [run.resources[0].used for run in report.runs] == [511, 511, 511, 279]
    assert "--- Run 4 of 4" in str(report) and "the spikes of Neuron(256) 73-145 (73)" in str(report)
    with pytest.raises(ValueError, match="no run 4"):
        plot_mapping(report, 4)


def test_page_and_figure():
    report = called().mapping_report()
    page = report._repr_html_()
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ET.fromstring(drawing)
    assert page.count("<svg") == 1 and len(page) < 200_000 and "ReadoutNeuron(10)" in page
    figure = plot_mapping(report)
    assert len(figure.axes) == 5
    picture = figure.axes[1].images[0].get_array()
    assert picture.shape == (1, 256) and set(np.unique(picture)) == {1, 2}


def test_report_needs_a_network():
    exp = hxsnn.Experiment(mock=True)
    with pytest.raises(ValueError, match="nothing to report"):
        exp.mapping_report()
    with pytest.raises(MappingError, match="needs 1812 neuron circuits"):
        called(256, 784).mapping_report()


def test_hxtorch_map(tmp_path, capsys):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    picture = tmp_path / "figures" / "chip.png"
    assert main(["map", "--figure", str(picture), str(script)]) == 0
    assert "ReadoutNeuron(10)" in capsys.readouterr().out
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert main(["map", "--json", "--run", "3", str(script), "100"]) == 0
    (run,) = json.loads(capsys.readouterr().out)
    assert run["layers"][0]["neurons"] == 100
    assert main(["map", "--partition", str(script), "1000"]) == 0
    assert "Run 4 of" in capsys.readouterr().out
    assert main(["map", str(script), "1000"]) == 1
    assert "Does not fit: The network needs" in capsys.readouterr().err
    assert main(["map", "--run", "4", str(script)]) == 1
    assert "no run 4 to map" in capsys.readouterr().err
    assert main(["map", str(tmp_path / "missing.py")]) == 1
    assert "There is no script" in capsys.readouterr().err
    exp = called(4)  # nothing of the command stays behind
    hxsnn.run(exp, 5)

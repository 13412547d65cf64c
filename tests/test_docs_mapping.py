"""The examples of docs/mapping.md run, and the outputs that it shows are what they print."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import torch

import hxtorch.snn as hxsnn
from hxtorch.mapping import MappingError

PAGE = (Path(__file__).parents[1] / "docs" / "mapping.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_examples_run(tmp_path):
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks("python")))
    import runpy

    with redirect_stdout(StringIO()) as printed:
        names = runpy.run_path(str(script))
    shown = blocks("text")[0].removesuffix("...\n")
    assert printed.getvalue().startswith(shown)
    hxsnn.run(names["exp"], 30)
    assert names["z"].spikes.shape == (30, 1, 186)


def test_the_error_is_the_shown_one():
    exp = hxsnn.Experiment(mock=True)
    x = hxsnn.NeuronHandle(torch.zeros(1, 1, 784))
    z = hxsnn.Neuron(256, exp)(hxsnn.Synapse(784, 256, exp)(x))
    hxsnn.ReadoutNeuron(10, exp)(hxsnn.Synapse(256, 10, exp)(z))
    with pytest.raises(MappingError) as error:
        exp.mapping_report()
    assert str(error.value).split() == blocks("text")[1].split()

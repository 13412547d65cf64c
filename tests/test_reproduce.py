"""Trainings of published results: the same numbers after an interruption, and a page made of their files."""

import json
from dataclasses import replace

import pytest
import torch

from hxtorch.cli import main
from hxtorch.reproduce import TASKS, Settings, load_results, reproduce, results_page, train_seed
from hxtorch.reproduce.data import ImagesToSpikes, rotate

SMALL = replace(TASKS["yinyang"].settings, train_size=200, epochs=3, hidden=20)


def test_a_stopped_training_ends_with_the_same_numbers(tmp_path, monkeypatch):
    whole = train_seed(SMALL, 1, mock=True)
    import hxtorch.reproduce.runner as runner

    original, calls = runner.train_epoch, []

    def stopped_in_the_second_epoch(training, on_batch=None):
        calls.append(1)
        if len(calls) == 2:
            torch.rand(7)  # some work of the epoch was done, and is lost
            raise KeyboardInterrupt
        return original(training, on_batch)

    monkeypatch.setattr(runner, "train_epoch", stopped_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        train_seed(SMALL, 1, mock=True, state=tmp_path)
    monkeypatch.undo()
    resumed = train_seed(SMALL, 1, mock=True, state=tmp_path)
    assert resumed.history == whole.history
    for name, value in whole.training.model.state_dict().items():
        assert torch.equal(resumed.training.model.state_dict()[name], value)
    assert train_seed(SMALL, 2, mock=True).history != whole.history


def test_result_file_figure_and_page(tmp_path):
    task = replace(TASKS["yinyang"], settings=SMALL, name="small")
    out = tmp_path / "results"
    result = reproduce(task, seeds=2, mock=True, epochs=1, out=out, state=tmp_path / "state")
    assert result.command == "hxtorch reproduce small --seeds 2 --epochs 1 --mock"
    assert result.mean == pytest.approx(sum(result.values) / 2)
    assert load_results(out) == [replace(result, settings=json.loads(json.dumps(result.settings)))]
    assert (out / "small.png").read_bytes()[1:4] == b"PNG"
    page = results_page(out)
    assert f"{result.mean:.4f} ± {result.std:.4f}" in page
    assert result.command in page
    assert "(mock)" in page
    assert main(["results", str(out)]) == 0
    assert (tmp_path / "results.md").read_text(encoding="utf-8") == page
    (out / "bad.json").write_text("{}")
    with pytest.raises(ValueError, match=r"bad\.json is no file of a result"):
        load_results(out)


def test_the_page_in_the_repository_is_that_of_its_files(request):
    folder = request.config.rootpath / "docs" / "results"
    assert (folder.parent / "results.md").read_text(encoding="utf-8") == results_page(folder)


def test_unknown_names_are_refused(capsys):
    assert main(["reproduce", "nothing"]) == 1
    assert "known: yinyang" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no data set 'x'"):
        train_seed(Settings(data="x", epochs=1), 0, mock=True)


def test_bright_pixels_spike_early_and_dark_ones_never():
    images = torch.tensor([[[1.0, 0.5], [0.25, 0.1]]])
    spikes = ImagesToSpikes(20, 1.7e-6)(images)
    assert spikes.shape == (20, 1, 4)
    # t = 8 µs ln(x / (x - 0.2)): 1.79, 4.09 and 12.9 µs in bins of 1.7 µs
    assert spikes.nonzero()[:, [0, 2]].tolist() == [[1, 0], [2, 1], [7, 2]]


def test_rotation_turns_about_the_centre():
    torch.manual_seed(0)
    images = torch.zeros(5, 15, 15)
    images[:, 7, 7] = 1
    torch.testing.assert_close(rotate(images, 15.0)[:, 7, 7], torch.ones(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(rotate(images, 0.0), images, atol=1e-4, rtol=0)

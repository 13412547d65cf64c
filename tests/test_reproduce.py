"""Trainings of published results: the same numbers after an interruption, and a page made of their files."""

import json
import multiprocessing
import os
import signal
import time
from dataclasses import replace

import pytest
import torch

import hxtorch
from hxtorch.cli import main
from hxtorch.reproduce import TASKS, Settings, load_results, reproduce, results_page, train_seed
from hxtorch.reproduce.data import ImagesToSpikes, load_data, rotate
from hxtorch.reproduce.first_spike import FirstSpikeNetwork, FirstSpikeScores
from hxtorch.reproduce.results import missing, save_result
from hxtorch.reproduce.training import build, limit_gradient, predict, train_batch

SMALL = replace(TASKS["yinyang"].settings, train_size=200, epochs=3, hidden=20, averaging=0.9)


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


def test_the_average_of_the_weights_is_tested_and_kept():
    torch.manual_seed(0)
    training = build(SMALL, load_data(SMALL), mock=True)
    weight = training.model.network.linear_h.weight
    expected = weight.detach().clone()
    for number, chosen in enumerate(torch.arange(200).split(50)):
        train_batch(training, chosen)
        forgotten = min(0.9, (number + 1) / (number + 11))
        expected = forgotten * expected + (1 - forgotten) * weight.detach()
    last = weight.detach().clone()
    assert not torch.allclose(last, expected, rtol=1e-3)
    points = training.data.test[0][:100]
    tested, _ = predict(training, points)
    assert torch.equal(weight, last)
    training.average.adopt()
    torch.testing.assert_close(weight.detach(), expected)
    training.model.eval()
    torch.testing.assert_close(training.model(points).detach(), tested)
    with pytest.raises(ValueError, match="decay of the average"):
        build(replace(SMALL, averaging=1.0), training.data, mock=True)


def train_in_the_loop(state):
    """What the process does that is killed; torch's threads are 1, as a fresh process computes the same then."""
    torch.set_num_threads(1)
    if multiprocessing.parent_process() is not None:  # where the tests run in the background it would be ignored
        signal.signal(signal.SIGINT, signal.default_int_handler)
    hxtorch.init_hardware(3)
    try:
        return train_seed(replace(SMALL, epochs=12), 1, state=state)
    finally:
        hxtorch.release_hardware()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The training that nobody kills."""
    return train_in_the_loop(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_training_ends_with_the_same_numbers(tmp_path, sent, whole):
    state = tmp_path / "killed"
    process = multiprocessing.get_context("spawn").Process(target=train_in_the_loop, args=(state,))
    process.start()
    end = time.monotonic() + 120
    while not list(state.glob("*.pt")) and time.monotonic() < end:  # one epoch is finished
        time.sleep(0.005)
    os.kill(process.pid, sent)
    process.join(60)
    assert process.exitcode != 0  # it had not come to its end
    (checkpoint,) = state.glob("*.pt")
    kept = torch.load(checkpoint, weights_only=True)["extra"]["history"]["test_accuracy"]
    assert 1 <= len(kept) < 12
    resumed = train_in_the_loop(state)
    assert resumed.history == whole.history
    assert resumed.history["test_accuracy"][: len(kept)] == kept  # no epoch is lost
    for name, value in whole.training.model.state_dict().items():
        assert torch.equal(resumed.training.model.state_dict()[name], value)


def test_checkpoints_of_other_code_are_not_gone_on_from(tmp_path, monkeypatch, capsys):
    small = replace(SMALL, epochs=1)
    train_seed(small, 1, mock=True, state=tmp_path)
    monkeypatch.setattr("hxtorch.reproduce.runner.code_version", lambda: "0" * 12)
    monkeypatch.setattr("hxtorch.snn.training.checkpoint.code_version", lambda: "0" * 12)
    train_seed(small, 1, mock=True, state=tmp_path)
    assert "Checkpoints of other code" in capsys.readouterr().err
    assert len(list(tmp_path.glob("*.pt"))) == 2


def test_seeds_in_parallel_reach_the_same(tmp_path):
    task = replace(TASKS["yinyang"], settings=replace(SMALL, epochs=1), name="small")
    one, two = (
        reproduce(task, seeds=2, mock=True, jobs=jobs, out=tmp_path / str(jobs), state=tmp_path / f"state{jobs}")
        for jobs in (1, 2)
    )
    assert one.values == two.values
    assert one.seeds == [0, 1]


def test_result_file_figure_and_page(tmp_path):
    task = replace(TASKS["yinyang"], settings=SMALL, name="small")
    out = tmp_path / "results"
    result = reproduce(task, seeds=2, mock=True, epochs=1, out=out, state=tmp_path / "state")
    assert result.command == "hxtorch reproduce small --seeds 2 --epochs 1 --mock"
    assert result.mean == pytest.approx(sum(result.values) / 2)
    assert result.seconds > 0 and result.cpu_seconds > 0
    assert result.calibration == 0  # there is no chip
    assert load_results(out) == [replace(result, settings=json.loads(json.dumps(result.settings)))]
    assert (out / "small.png").read_bytes()[1:4] == b"PNG"
    page = results_page(out)
    assert f"{result.mean:.4f} ± {result.std:.4f}" in page
    assert result.command in page
    assert f"{result.seconds:.0f} s, CPU {result.cpu_seconds:.0f} s" in page
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
    assert main(["reproduce", "nothing"]) == 2
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


def test_first_spikes_decide_and_their_gradient_moves_them():
    """The score of a class rises when its spike comes earlier: so weights into it have a gradient upwards."""
    spikes = torch.zeros(10, 2, 3, requires_grad=True)
    with torch.no_grad():
        spikes[[4, 6], 0, 0] = 1
        spikes[2, 0, 1] = 1
        spikes[9, 1, 2] = 1
    scores = FirstSpikeScores(1e-6, 2e-6, 10e-6)(spikes)
    torch.testing.assert_close(scores, torch.tensor([[-2.0, -1.0, -5.0], [-5.0, -5.0, -4.5]]))
    scores.sum().backward()
    expected = torch.zeros(10, 2, 3)
    expected[[4, 2, 9], [0, 0, 1], [0, 1, 2]] = 1 / 2e-6
    torch.testing.assert_close(spikes.grad, expected)


def test_first_spike_network_learns_in_mock_mode():
    settings = replace(TASKS["yinyang-first-spike"].settings, epochs=3, train_size=2000)
    trained = train_seed(settings, 0, mock=True)
    losses = trained.history["train_loss"]
    assert losses[0] > losses[1] > losses[2]
    silent = FirstSpikeNetwork(2, 3, 2, True, 1e-6, 6e-6, 6e-6, (0.0, 0.0), (0.0, 0.0), 60.0, 1)
    silent(torch.ones(10, 4, 2))
    silent.wake(0.5, 0.3)
    assert (silent.linear_h.weight == 0.5).all() and (silent.linear_o.weight == 0.5).all()


def test_a_goal_may_be_the_difference_to_a_control(tmp_path):
    task = replace(TASKS["yinyang"], settings=replace(SMALL, epochs=1), name="with", goal=0.1, control="without")
    result = reproduce(task, seeds=1, mock=True, out=tmp_path, state=tmp_path / "state")
    assert result.control == "without"
    with pytest.raises(FileNotFoundError, match="hxtorch reproduce without"):
        missing(result, tmp_path)
    assert "| `without` +0.100 |" in results_page(tmp_path)
    save_result(replace(result, name="without", mean=result.mean - 0.125, control="", goal=0.0), tmp_path)
    assert missing(result, tmp_path) == pytest.approx(-0.025)
    assert f"| {result.mean:.4f} (+0.1250) |" in results_page(tmp_path)
    assert missing(replace(result, control="", goal=1.0), tmp_path) == pytest.approx(1 - result.mean)


def test_sizes_take_the_first_samples():
    whole = load_data(Settings(data="yinyang", epochs=1))
    some = load_data(Settings(data="yinyang", epochs=1, train_size=7, test_size=5))
    assert len(whole.train[1]) == 5000 and len(whole.test[1]) == 1000
    for part, all_of_it, size in ((some.train, whole.train, 7), (some.test, whole.test, 5)):
        assert torch.equal(part[0], all_of_it[0][:size]) and torch.equal(part[1], all_of_it[1][:size])


def test_settings_are_chosen_by_samples_held_out_of_those_to_train_with():
    whole = load_data(Settings(data="yinyang", epochs=1))
    held = load_data(Settings(data="yinyang", epochs=1, validation=600, train_size=4300))
    for place in (0, 1):
        assert torch.equal(held.test[place], whole.train[place][-600:])
        assert torch.equal(held.train[place], whole.train[place][:4300])
    assert len(load_data(Settings(data="yinyang", epochs=1, validation=600)).train[1]) == 4400


def test_gradients_are_limited_to_multiples_of_their_median():
    weight = torch.zeros(2, 3, requires_grad=True)
    limit_gradient(weight, 2.0)  # nothing was learnt yet
    weight.grad = torch.tensor([[1.0, -2.0, 0.0], [3.0, -100.0, 4.0]])  # the median of 1, 2, 3, 4, 100 is 3
    limit_gradient(weight, 2.0)
    assert weight.grad.tolist() == [[1.0, -2.0, 0.0], [3.0, -6.0, 4.0]]
    weight.grad.zero_()
    limit_gradient(weight, 2.0)
    assert not weight.grad.any()

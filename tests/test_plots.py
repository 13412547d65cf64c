"""Figures hold the data that they are given, and change no setting of the user."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import hxtorch.snn as hxsnn
from hxtorch import plots
from hxtorch.calibration import calibrate
from hxtorch.plots import live, style, traces
from hxtorch.twin import Die, VirtualChip

INPUTS = torch.zeros(50, 1, 1)
INPUTS[[10, 15, 20, 30]] = 1


@pytest.fixture(autouse=True)
def _headless_and_unchanged():
    plt.switch_backend("agg")
    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before
    plt.close("all")


def test_a_notebook_shows_figures_where_pyplot_was_never_used():
    figure = plots.plot_curves({"loss": [1.0, 0.5]})
    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.fixture
def emulated():
    generator = torch.Generator().manual_seed(0)
    spikes = torch.zeros(50, 1, 1)
    spikes[32] = 1
    cadc = (-48 + torch.randn(50, 1, 1, generator=generator)).requires_grad_()
    time = torch.arange(1470) * 4.25
    madc = torch.stack([time, 305 + torch.randn(1470, generator=generator)])[:, :, None]
    return hxsnn.NeuronHandle(spikes, cadc, None, madc)


@pytest.fixture
def displayed(monkeypatch):
    shown = []
    monkeypatch.setattr(live, "_in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", shown.append)
    return shown


def labels(figure):
    return [axes.get_ylabel() for axes in figure.axes]


def test_emulation_shows_both_converters(emulated):
    figure = plots.plot_emulation(INPUTS, emulated)
    assert isinstance(figure, Figure)
    raster, cadc, madc = figure.axes
    assert labels(figure)[1:] == ["CADC / LSB", "MADC / LSB"]
    assert cadc.get_ylim() == traces.CADC_LIMITS == (-60, 0)
    assert madc.get_ylim() == traces.MADC_LIMITS == (250, 550)
    assert madc.get_xlabel() == "time / µs"
    assert cadc.get_xlim() == (0, 50)
    np.testing.assert_allclose(cadc.lines[0].get_ydata(), emulated.membrane_cadc.detach().numpy()[:, 0, 0])
    assert madc.lines[0].get_xdata()[-1] == pytest.approx(1469 * 4.25 / 125)
    drawn = [[line[0, 0] for line in rows.get_segments()] for rows in raster.collections]
    assert drawn == [pytest.approx([10, 15, 20, 30]), pytest.approx([32])]


def test_emulation_without_madc_has_one_panel_less(emulated):
    emulated.membrane_madc = None
    assert labels(plots.plot_emulation(INPUTS, emulated))[1:] == ["CADC / LSB"]


def test_time_step_scales_the_axis(emulated):
    figure = plots.plot_emulation(INPUTS, emulated, dt=2e-6)
    assert figure.axes[1].get_xlim() == pytest.approx((0, 100))
    assert figure.axes[1].lines[0].get_xdata()[1] == pytest.approx(2)


@pytest.mark.parametrize("plot", [plots.plot_emulation, plots.plot_simulation])
def test_an_empty_handle_is_refused(plot):
    with pytest.raises(ValueError, match="no membrane_cadc"):
        plot(INPUTS, hxsnn.NeuronHandle())


def test_simulation(emulated):
    figure = plots.plot_simulation(INPUTS, emulated)
    assert figure.axes[1].get_ylim() == traces.MODEL_LIMITS == (60, 140)


def test_alignment_draws_every_run_and_the_mean():
    runs = [np.full(50, value) for value in (0.1, 0.3)]
    figure = plots.plot_alignment(INPUTS, runs, np.zeros(50))
    (axes,) = figure.axes
    assert axes.get_ylim() == traces.ALIGNED_LIMITS == (-0.2, 0.6)
    shown = {line.get_label(): line.get_ydata() for line in axes.lines}
    np.testing.assert_allclose(shown["chip, mean of 2 runs"], 0.2)
    np.testing.assert_allclose(shown["model"], 0)


def test_targets():
    figure = plots.plot_targets(torch.rand(100, 1, 3))
    assert len(figure.axes[0].lines) == 3


def test_training_follows_the_epochs():
    targets = torch.zeros(100, 1, 3)
    training = plots.TrainingPlot((torch.rand(100, 1, 128) < 0.03).float(), targets, epochs=2)
    loss_axes = training.figure.axes[0]
    assert loss_axes.get_yscale() == "log"
    training.update(0.4, targets + 0.5)
    assert not training.finished
    training.update(2e-5, torch.full_like(targets, 0.25).requires_grad_())
    assert training.finished
    assert loss_axes.lines[0].get_ydata() == pytest.approx([0.4, 2e-5])
    assert loss_axes.get_ylim()[0] == pytest.approx(1e-5)
    panels = [axes for axes in training.figure.axes if axes.get_ylabel().startswith("readout")]
    for panel in panels:
        np.testing.assert_allclose(panel.lines[0].get_ydata(), 0.25)
    assert len(panels) == 3
    live.png(training.figure)


@pytest.mark.parametrize("loss", [0.0, float("nan"), float("inf")])
def test_training_survives_odd_losses(loss):
    training = plots.TrainingPlot(torch.ones(10, 1, 2), torch.zeros(10, 1, 1), epochs=1)
    training.update(loss, torch.zeros(10, 1, 1))
    live.png(training.figure)


def test_a_given_figure_is_used(emulated):
    figure = plt.figure()
    assert plots.plot_emulation(INPUTS, emulated, figure=figure) is figure
    assert plots.plot_targets(torch.rand(10, 1, 2), figure=figure) is figure
    assert len(figure.axes) == 1


def test_functions_leave_pyplot_alone(emulated):
    plots.plot_emulation(INPUTS, emulated)
    assert not plt.get_fignums()


# --- All figures ---------------------------------------------------------------------------------------------


def test_traces_show_what_was_recorded(emulated):
    figure = plots.plot_traces(emulated, inputs=INPUTS, model=torch.zeros(50, 1, 1))
    raster, cadc, madc = figure.axes
    assert labels(figure)[1:] == ["membrane / LSB", "MADC / LSB"]
    assert [text.get_text() for text in raster.get_yticklabels()] == ["input", "output"]
    assert [line.get_linestyle() for line in cadc.lines] == ["-", "--"]
    assert madc.get_xlabel() == "time / µs"
    emulated.membrane_madc = emulated.membrane_cadc = None
    assert len(plots.plot_traces(emulated).axes) == 1
    with pytest.raises(ValueError, match="neither"):
        plots.plot_traces(hxsnn.NeuronHandle())


def test_traces_of_several_neurons():
    handle = hxsnn.NeuronHandle(torch.ones(20, 2, 4), torch.rand(20, 2, 4))
    model = hxsnn.NeuronHandle(membrane_cadc=torch.zeros(20, 2, 4))
    figure = plots.plot_traces(handle, model=model, neurons=[1, 3], batch=1, unit="threshold")
    _, cadc = figure.axes
    assert [line.get_label() for line in cadc.lines[::2]] == ["neuron 1", "neuron 3"]
    np.testing.assert_allclose(cadc.lines[2].get_ydata(), handle.membrane_cadc[:, 1, 3])
    assert cadc.get_ylabel() == "membrane / threshold"


def test_two_neurons_on_the_madc():
    madc = torch.rand(2, 100, 2, 1)
    figure = plots.plot_traces(hxsnn.NeuronHandle(torch.zeros(9, 1, 2), None, None, madc))
    assert len(figure.axes[1].lines) == 2


def test_raster_and_rate():
    spikes = torch.zeros(10, 2, 4)
    spikes[3, 1, :2] = 1
    figure = plots.plot_raster(spikes, batch=1, dt=2e-6)
    top, bottom = figure.axes
    np.testing.assert_allclose(top.lines[0].get_xydata(), [[6, 0], [6, 1]])
    assert bottom.get_ylim()[1] == pytest.approx(0.5 / 2e-6 / 1e3 * 1.1)
    with pytest.raises(ValueError, match="expected"):
        plots.plot_raster(torch.zeros(3, 3))


def test_weights_are_those_of_the_chip():
    synapse = hxsnn.Synapse(3, 2, hxsnn.Experiment(mock=True))
    synapse.weight.data = torch.tensor([[1.4, -200.0, 63.0], [0.0, 2.6, -1.0]])
    matrix, histogram, _ = plots.plot_weights(synapse).axes
    assert matrix.images[0].get_array().tolist() == [[1, -63, 63], [0, 3, -1]]
    assert histogram.get_title(loc="left") == "33.3% at ±63"
    with pytest.raises(ValueError, match="expected"):
        plots.plot_weights(torch.zeros(3))


def test_die_and_calibration():
    die = Die.from_seed(3)
    figure = plots.plot_die(die)
    assert any(
        axes.images and np.allclose(axes.images[0].get_array(), die.leak_code.reshape(2, 256))
        for axes in figure.axes
    )
    result = calibrate(VirtualChip(Die.ideal()))
    result.success["leak"][[5, 300]] = False
    figure = plots.plot_calibration(result)
    assert figure.axes[-1].lines[0].get_xydata().tolist() == [[5, 0], [44, 1]]
    assert any(axes.get_title(loc="left") == "leak: 2 off" for axes in figure.axes)


def test_curves(displayed):
    curves = plots.TrainingCurves({"train_loss": [1.0]})
    curves.update(train_loss=0.1, test_loss=0.5, accuracy=0.9)
    loss, accuracy = curves.figure.axes
    assert loss.get_yscale() == "log" and accuracy.get_yscale() == "linear"
    assert [line.get_label() for line in loss.lines] == ["train", "test"]
    assert loss.lines[0].get_ydata().tolist() == [1.0, 0.1]
    assert len(displayed) == 1
    curves.show()
    assert len(displayed) == 2
    with pytest.raises(ValueError, match="nothing to draw"):
        plots.plot_curves({})


def contrast(colour, background):
    """Contrast of two colours as defined by WCAG 2."""

    def luminance(colour):
        parts = np.array(mpl.colors.to_rgb(colour))
        linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    dark, light = sorted((luminance(colour), luminance(background)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("background", [style.LIGHT, style.DARK])
def test_lines_are_readable_on_both_backgrounds(background):
    for colour in (style.CHIP, style.CHIP_FAST, style.MODEL, style.INPUT, style.SPIKE, *style.SERIES):
        assert contrast(colour, background) >= 3, (colour, background)


def test_themes(emulated):
    with plots.theme("dark"):
        dark = plots.plot_traces(emulated)
    light = plots.plot_traces(emulated)
    for figure, background in ((dark, style.DARK), (light, style.LIGHT)):
        axes = figure.axes[1]
        assert mpl.colors.same_color(figure.get_facecolor(), background)
        assert contrast(axes.yaxis.label.get_color(), background) > 7
        assert contrast(axes.get_yticklabels()[0].get_color(), background) > 7
    with pytest.raises(ValueError, match="no theme"), plots.theme("pink"):
        pass


# --- Live figures -------------------------------------------------------------------------------------------


def test_live_shows_nothing_outside_of_a_notebook():
    assert not plots.LiveFigure(Figure()).show(force=True)


def test_live_draws_a_small_part_of_the_time(displayed, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(live, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def slow_png(figure):
        now[0] += 0.5  # s
        return b"\x89PNG\r\n\x1a\n"

    monkeypatch.setattr(live, "png", slow_png)
    figure = plots.LiveFigure(Figure(), share=0.1)
    for _ in range(1000):
        now[0] += 0.02  # 20 s of work
        figure.show()
    assert 3 <= len(displayed) <= 5
    assert now[0] - 20 <= 0.11 * now[0] + 0.5
    assert figure.show(force=True)


@pytest.mark.parametrize("share", [0, -1, 2])
def test_live_refuses_impossible_shares(share):
    with pytest.raises(ValueError, match="share"):
        plots.LiveFigure(Figure(), share=share)


# --- The helpers of the introduction ------------------------------------------------------------------------


@pytest.fixture
def intro_plots():
    folder = Path(__file__).parents[1] / "docs" / "tutorials" / "_static" / "tutorial"
    spec = importlib.util.spec_from_file_location("intro_plots", folder / "hxsnn_intro_plots.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_helpers_open_one_pyplot_figure_each(intro_plots, emulated):
    assert intro_plots.plot_compare_traces(INPUTS, emulated) is None
    assert intro_plots.plot_mock(INPUTS, emulated) is None
    assert intro_plots.plot_scaled_trace(INPUTS, [np.zeros(50)] * 10, np.zeros(50)) is None
    assert intro_plots.plot_targets(torch.rand(100, 1, 3)) is None
    assert len(plt.get_fignums()) == 4


def test_training_helper_works_after_its_figure_is_closed(intro_plots, displayed):
    targets = torch.zeros(100, 1, 3)
    update = intro_plots.plot_training(torch.ones(100, 1, 128), targets, 3)
    plt.close()
    assert not plt.get_fignums()
    for _ in range(3):
        update(0.4, hxsnn.ReadoutNeuronHandle(targets))
    assert 2 <= len(displayed) <= 3  # the first, the last, and the one between if drawing is quick

"""The report of an experiment: what it holds, and how it looks in a real browser."""

import re
import shutil
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
import torch

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch import calibration
from hxtorch.connection import require_chip
from hxtorch.snn.report import report_html
from hxtorch.twin import DEFAULT_CHIP_SEED, VirtualChip

STEPS = 60
HISTORY = {"loss": [1.0, 0.5, 0.1], "test accuracy": [0.3, 0.7, 0.9]}


@pytest.fixture(scope="module")
def ran():
    """An experiment with two layers that ran on the chip."""
    torch.manual_seed(0)
    hxtorch.init_hardware()
    experiment = hxsnn.Experiment()
    experiment.default_execution_instance.calibration = calibration.nightly("spiking", require_chip())
    synapse = hxsnn.Synapse(8, 12, experiment)
    synapse.weight.data = torch.randn(12, 8) * 40
    neurons = hxsnn.Neuron(12, experiment, enable_madc_recording=True, record_neuron_id=0)
    second = hxsnn.Synapse(12, 3, experiment)
    second.weight.data = torch.randn(3, 12) * 40
    readout = hxsnn.ReadoutNeuron(3, experiment)
    inputs = (torch.rand(STEPS, 2, 8) < 0.1).float()
    z = neurons(synapse(hxsnn.NeuronHandle(inputs)))
    readout(second(z))
    hxsnn.run(experiment, STEPS)
    yield experiment
    hxtorch.release_hardware()


class Checker(HTMLParser):
    """Collects sections and complains about tags that are not closed in order."""

    VOID = ("meta", "br", "hr", "img")

    def __init__(self):
        super().__init__()
        self.open, self.sections, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag == "section":
            self.sections.append(dict(attrs)["id"])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def checked(text):
    checker = Checker()
    checker.feed(text)
    assert not checker.open
    return checker


def test_all_sections_are_there_and_nothing_is_loaded(ran, tmp_path):
    path = ran.report(tmp_path / "run.html", title="A <network>", training=HISTORY)
    assert [item.name for item in tmp_path.iterdir()] == ["run.html"]
    text = path.read_text(encoding="utf-8")
    checker = checked(text)
    assert checker.sections == [
        "summary", "warnings", "network", "mapping", "chip", "calibration", "recordings", "weights", "training",
    ]  # fmt: skip
    assert "<title>A &lt;network&gt;</title>" in text
    for name, value in checker.attributes:
        if name in ("src", "href"):
            assert value.startswith("#"), value
    assert not re.search(r"url\(|@import|<script|<link", text)
    met = 512 - calibration.nightly("spiking", VirtualChip()).failed.size
    for part in (
        f"twin:{DEFAULT_CHIP_SEED}",
        f"{met} of 512",
        "time / µs",
        "MADC / LSB",
        "8 → 12",
        "input of module 0",
        "loss: first 1, last 0.1, 3 epochs",
        "test accuracy: first 0.3, last 0.9, 3 epochs",
    ):
        assert part in text, part
    assert len(text) < 2_000_000


def test_mock_mode_has_no_chip():
    experiment = hxsnn.Experiment(mock=True)
    with pytest.raises(ValueError, match="nothing to report"):
        experiment.report("never.html")
    synapse, neuron = hxsnn.Synapse(2, 1, experiment), hxsnn.Neuron(1, experiment)
    neuron(synapse(hxsnn.NeuronHandle(torch.zeros(9, 1, 2))))
    hxsnn.run(experiment, 9)
    text = report_html(experiment)
    assert checked(text).sections == ["summary", "warnings", "network", "recordings", "weights"]
    assert "in mock mode" in text
    assert "100% of the neurons fired no spike" in text


def test_a_report_needs_what_ran_but_no_experiment(ran):
    stands_for_it = SimpleNamespace(mock=False, dt=ran.dt, last_run=ran.last_run, plans=ran.plans)
    without_time = re.compile("<footer>.*</footer>")
    texts = [without_time.sub("", report_html(item)) for item in (ran, stands_for_it)]
    assert texts[0] == texts[1]


def test_warnings_name_what_is_wrong(ran):
    synapse = ran.last_run.modules[0].module
    before = synapse.weight.data.clone()
    synapse.weight.data = torch.full_like(before, 200.0)
    try:
        assert "100% of the weights are at the chip" in report_html(ran)
    finally:
        synapse.weight.data = before


def test_a_report_keeps_no_gradients(ran):
    for item in ran.last_run.modules:
        for tensor in item.recorded.values():
            assert not tensor.requires_grad


def test_experiments_show_themselves(ran):
    text = ran._repr_html_()
    checked(text)
    assert "Experiment" in text and f"twin:{DEFAULT_CHIP_SEED}" in text and "Neuron" in text
    assert "not run yet" in hxsnn.Experiment(mock=True)._repr_html_()


# --- In a browser --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium (extra [dev])")
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(driver)
    with webdriver.Chrome(options, service) as chrome:
        yield chrome


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_the_report_in_a_browser(ran, tmp_path, browser, width, height):
    path = ran.report(tmp_path / "run.html", title="Two layers", training=HISTORY)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True},
    )
    browser.get_log("performance")
    browser.get(path.as_uri())
    assert browser.title == "Two layers"
    # nothing sticks out to the side, every drawing has a size, and every link leads somewhere
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('svg')].filter(e => e.checkVisibility())"
        ".map(e => [e.getBoundingClientRect().width, e.getBoundingClientRect().height])"
    )
    assert len(sizes) >= 8
    assert all(100 < w <= width and h > 5 for w, h in sizes)
    assert browser.execute_script(
        "return [...document.querySelectorAll('nav a')].every(a => document.querySelector(a.getAttribute('href')))"
    )
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    requests = re.findall(
        r'"url":"(http[^"]*)"', " ".join(entry["message"] for entry in browser.get_log("performance"))
    )
    assert not requests


def test_the_report_in_a_dark_browser(ran, tmp_path, browser):
    path = ran.report(tmp_path / "run.html")
    for scheme, lightest in (("dark", 80), ("light", None)):
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        browser.get(path.as_uri())
        colours = browser.execute_script(
            "const s = getComputedStyle(document.body); const t = getComputedStyle(document.querySelector('td'));"
            "return [s.backgroundColor, s.color, t.color]"
        )
        back, ink, cell = (sum(map(int, re.findall(r"\d+", colour)[:3])) / 3 for colour in colours)
        assert (back < 80) == (lightest is not None)
        assert abs(back - ink) > 150 and abs(back - cell) > 150

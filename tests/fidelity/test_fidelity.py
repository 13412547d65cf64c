"""The fidelity table: bands hold on the standard chip, rows tell good chips from bad ones, and nothing peeks."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hxtorch.fidelity
from hxtorch.cli import main
from hxtorch.fidelity import MARKS, PROTOCOLS, Row, RowResult, StepRow, compare_steps, measure
from hxtorch.fidelity.bench import ALL, CalibratedBench, Settings, cadc_course, fit_exponential, volleys
from hxtorch.fidelity.figures import write_figures
from hxtorch.fidelity.report import markdown
from hxtorch.twin import Die, Noise, Program, Recording, VirtualChip
from hxtorch.twin.chip import DEFAULT_CHIP_SEED

ROWS = [row for protocol in PROTOCOLS for row in protocol.rows]


class Door:
    """All that a measurement may use of a chip."""

    def __init__(self, chip: VirtualChip) -> None:
        self.__chip = chip
        self.identifier = chip.identifier
        self.nominal = chip.nominal

    def run(self, program: Program, trial_seed: int = 0) -> Recording:
        assert not program.record.trace.size, "internal states are not for measurements"
        return self.__chip.run(program, trial_seed)


@pytest.fixture(scope="module")
def standard():
    return measure([Door(VirtualChip(Die.from_seed(DEFAULT_CHIP_SEED)))], progress=False)


def test_all_rows_of_the_standard_chip_lie_in_their_bands(standard):
    assert [(row.row.name, row.value, row.row.band) for row in standard.failed] == []
    assert standard.whole_chips == 1


def test_nothing_looks_into_the_die():
    for path in Path(hxtorch.fidelity.__file__).parent.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        for forbidden in (".die", "from_seed", ".parameters(", "circuit_parameters", "record.trace"):
            assert forbidden not in text, f"{path.name}: {forbidden}"


def test_rows_are_complete_and_unique():
    assert len({row.name for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row.mark in MARKS and row.published and row.source and row.low < row.high
    assert len({protocol.name for protocol in PROTOCOLS}) == len(PROTOCOLS)
    assert all(protocol.how for protocol in PROTOCOLS)


def bad_rows(die=None, noise=None, only=()):
    chip = VirtualChip(die or Die.from_seed(DEFAULT_CHIP_SEED), noise)
    return {row.row.name for row in measure([chip], only, progress=False).failed}


@pytest.mark.parametrize(
    ("noise", "missed"),
    [
        (Noise(membrane=0.0), "autocorrelation at 3.4 µs"),
        (Noise(madc=3.0), "silent membrane on the MADC"),
        (Noise(run_offset=3.0), "baseline from run to run"),
        (Noise(threshold=1.0), "interval jitter at 6 µs"),
        (Noise(spike_loss=0.05), "spikes lost at low load"),
        (Noise(cadc_phase=0.0), "CADC phase of a run, spread"),
    ],
)
def test_a_chip_with_other_noise_is_found_out(noise, missed):
    assert missed in bad_rows(noise=noise, only=(missed,))


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        (lambda die: replace(die, identifier="a", leak_code=3 * die.leak_code), "v_leak: spread within a quadrant"),
        (lambda die: die.without("leak_conductance"), "i_bias_leak: spread within a quadrant"),
        (lambda die: die.without("synapse", "driver", "capmem_error"), "PSP spread over neurons at 288"),
        (
            lambda die: replace(die, identifier="b", reset_time=2 * die.reset_time),
            "reset time constant, calibrated",
        ),
        (lambda die: die.without("cadc_channel"), "CADC channel offsets, uncalibrated"),
        (
            lambda die: replace(die, identifier="c", tau_inh=die.tau_exc),
            "correlation i_bias_tau_exc, i_bias_tau_inh",
        ),
    ],
)
def test_another_chip_is_found_out(change, missed):
    assert missed in bad_rows(die=change(Die.from_seed(DEFAULT_CHIP_SEED)), only=(missed,))


def test_the_noise_differs_between_chips_and_is_reproducible():
    chips = [VirtualChip(Die.from_seed(seed)) for seed in (1, 1)]
    only = ["silent membrane on the CADC"]
    first, second = (measure(chips, only, progress=False).results["silent"][0].values for _ in range(2))
    assert np.array_equal(first, second) and first[0] != first[1]


STEP_ROWS = (
    "PSP per weight, default*", "interval jitter*", "reset time*", "f-I*", "threshold distance, default*",
    "ten uncalibrated*", "CADC: reset edge*",
)  # fmt: skip


def test_half_the_step_changes_no_row_beyond_its_noise():
    """The noise of a row is what other trial seeds give; for half the step the samples fall otherwise, too."""
    die = Die.from_seed(DEFAULT_CHIP_SEED)

    names = []

    def values(step, seed):
        rows = measure([VirtualChip(die, step=step)], STEP_ROWS, trial_seed=seed, progress=False).rows
        names[:] = [row.row.name for row in rows]
        return np.array([row.value for row in rows])

    full = np.array([values(0.25, seed) for seed in range(4)])
    half = np.array([values(0.125, seed) for seed in range(4)])
    spread = np.sqrt((full.var(axis=0, ddof=1) + half.var(axis=0, ddof=1)) / 4)
    resolution = 0.004 * np.abs(full.mean(axis=0))  # a few rows hardly have any noise
    moved = np.abs(full.mean(axis=0) - half.mean(axis=0))
    assert {names[i]: moved[i] for i in np.flatnonzero(moved > 5 * spread + resolution)} == {}


# --- Verdicts, tools and the command ------------------------------------------------------------------------


ROW = Row("a", "LSB", "1", "CUBE66", "M", 0.0, 1.0)


@pytest.mark.parametrize(("inside", "verdict"), [(10, "pass"), (9, "pass"), (8, "fail")])
def test_a_row_passes_with_nine_of_ten_chips(inside, verdict):
    result = RowResult(ROW, np.array([0.5] * inside + [2.0] * (10 - inside)))
    assert result.passed == inside and result.verdict == verdict


def test_a_row_without_a_number_fails():
    assert RowResult(ROW, np.array([np.nan])).verdict == "fail"


def test_mean_and_spread_over_chips():
    result = RowResult(ROW, np.array([1.0, 2.0, 4.0]))
    assert result.value == pytest.approx(7 / 3) and result.spread == pytest.approx(np.sqrt(7 / 3))


@pytest.mark.parametrize("tau", [0.05, 0.19, 1.8, 9.0])
def test_fit_of_an_exponential(tau):
    time = np.linspace(0, 5, 300)
    noise = np.random.default_rng(0).normal(0, 0.2, time.size)
    found, base, amplitude = fit_exponential(time, 30 + 100 * np.exp(-time / tau) + noise, 0.01, 50.0)
    assert found == pytest.approx(tau, rel=0.02)
    assert base == pytest.approx(30, abs=1.0) and amplitude == pytest.approx(100, abs=2.0)


def test_volleys_reach_every_circuit_with_their_total_weight():
    """On a die without any deviation, double weight is double deflection, and the signs are right."""
    die = Die.from_seed(0)
    names = [name for name in vars(die) if name not in ("identifier", "nominal", "capmem_seed")]
    bench = CalibratedBench(VirtualChip(die.without(*names), replace(Noise.off(), cadc_phase=1.0)))
    recording = bench.run(Settings(), 60.0, entries=60, stimulus=volleys([60, -60, 120], repeats=20), cadc=ALL)
    grid = np.arange(0.0, 58.1, 1.0)
    up, down, twice = (cadc_course(recording, grid, slice(i, None, 3))[28:32].mean(axis=0) for i in range(3))
    rest = cadc_course(recording, grid)[:18].mean(axis=0)
    assert np.ptp(up) < 1.5
    assert np.all(up > rest) and np.all(down < rest)
    assert np.mean(twice - rest) == pytest.approx(2 * np.mean(up - rest), rel=0.05)


def test_json_of_the_command(capsys):
    code = main(["fidelity", "--seeds", "1", "--rows", "MADC s*", "cadc period*", "--json"])
    out = json.loads(capsys.readouterr().out)
    assert code == 0 and out["chips"] == ["twin:1"]
    rows = {row["name"]: row for row in out["rows"]}
    rate = rows["MADC sample rate"]
    assert rate["value"] == pytest.approx(500 / 17) and rate["verdict"] == "pass" and rate["mark"] == "D"
    assert rate["band"] == [29.4, 29.42] and rate["published"] == "29.41" and "HALDLS" in rate["source"]


def test_page_and_figures(standard, tmp_path):
    paths = write_figures(standard, tmp_path)
    text = markdown(standard, {group: path.name for group, path in paths.items()})
    assert f"{len(ROWS)} of {len(ROWS)} rows pass" in text
    for row in ROWS:
        assert f"| {row.name}" in text
    pictures = sorted(tmp_path.iterdir())
    assert len(pictures) == 7 and all(picture.stat().st_size > 5000 for picture in pictures)
    for picture in pictures:
        assert picture.suffix == ".png" and f"({picture.name})" in text


def test_page_of_the_command(tmp_path, capsys):
    page = tmp_path / "fidelity.md"
    code = main(["fidelity", "--seeds", "1", "2", "--rows", "MADC s*", "--markdown", str(page)])
    text, out = page.read_text(encoding="utf-8"), capsys.readouterr().out
    assert code == 0 and "5 of 5 rows pass" in out and "5 of 5 rows pass" in text
    assert "| MADC sample rate / MS/s | 29.41 (D) | HALDLS" in text and "2/2" in text
    assert "(images/fidelity_overview.png)" in text and (tmp_path / "images" / "fidelity_overview.png").is_file()
    assert not list(tmp_path.rglob("*.part*"))


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [(["--rows", "no such row"], "no such row", 2), (["--markdown", "/nowhere/a.md"], "/nowhere", 1)],
)
def test_the_command_refuses_what_it_cannot_do(arguments, words, code, capsys):
    assert main(["fidelity", "--chips", "1", *arguments]) == code
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--step", "0"], ["--step", "nan"], ["--chips", "0"], ["--seeds", "-1"]])
def test_a_wrong_command_line_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["fidelity", *arguments])
    assert stop.value.code == 2 and arguments[0] in capsys.readouterr().err


# --- The engine's step --------------------------------------------------------------------------------------


def step_row(coarse, fine):
    return StepRow(ROW, np.asarray(coarse, dtype=float), np.asarray(fine, dtype=float))


def test_a_row_changes_if_its_means_differ_by_more_than_their_noise():
    rng = np.random.default_rng(0)
    noise = rng.normal(0.5, 0.05, (2, 3, 4))
    same = step_row(noise[0], noise[1])
    assert same.unchanged and same.spread == pytest.approx(0.05, rel=0.4) and same.in_bands < 0.05
    moved = step_row(noise[0] + 0.2, noise[1])
    assert not moved.unchanged and moved.difference == pytest.approx(0.2, abs=0.06)
    assert moved.in_spreads == pytest.approx(moved.difference / moved.spread)
    # chips differ, and that is no noise
    chips = np.arange(3.0)[:, None]
    assert step_row(noise[0] + chips, noise[1] + chips).spread == pytest.approx(same.spread)


def test_a_row_without_noise_may_move_by_a_hundredth_of_its_band():
    still = np.full((2, 2), 0.5)
    assert step_row(still, still).in_spreads == 0
    assert step_row(still + 0.009, still).unchanged and not step_row(still + 0.011, still).unchanged
    assert step_row(still + 0.011, still).in_spreads == np.inf


def test_steps_of_the_command(tmp_path, capsys):
    page = tmp_path / "fidelity.md"
    code = main([
        "fidelity", "--seeds", "1", "2", "--compare-chips", "1", "--trials", "2", "--compare-step", "0.25",
        "--rows", "MADC s*", "silent membrane, un*", "--markdown", str(page),
    ])  # fmt: skip
    text, out = page.read_text(encoding="utf-8"), capsys.readouterr().out
    assert code == 0 and "9 of 9 rows are the same with steps of 0.5 and 0.25 µs" in out
    assert "## The engine's step" in text and "9 of 9 rows are the same" in text and "chips twin:1. A row" in text
    assert "| autocorrelation at 3.4 µs | 0." in text


def test_compared_chips_are_measured_with_both_steps():
    seen = []

    class Chip(Door):
        def __init__(self, name):
            super().__init__(VirtualChip(Die.from_seed(1)))
            self.name = name

        def run(self, program, trial_seed=0):
            seen.append((self.name, trial_seed))
            return super().run(program, trial_seed)

    rows = compare_steps([(Chip("coarse"), Chip("fine"))], ["MADC sample rate"], trials=2, progress=False)
    assert {name for name, _ in seen} == {"coarse", "fine"}
    assert len({seed for name, seed in seen if name == "fine"}) > 2  # a seed per run, others in another trial
    assert all(row.coarse.shape == row.fine.shape == (1, 2) for row in rows)
    for pairs, trials, words in (([], 2, "no chip"), ([(Chip("a"), Chip("b"))], 1, "two trials")):
        with pytest.raises(ValueError, match=words):
            compare_steps(pairs, ["MADC sample rate"], trials=trials, progress=False)


@pytest.mark.long
def test_half_the_step_changes_no_row_at_all():
    """All rows with half of the step that is the default, on one chip."""
    die = Die.from_seed(DEFAULT_CHIP_SEED)
    pair = VirtualChip(die, step=0.5), VirtualChip(die, step=0.25)
    rows = compare_steps([pair], trials=4, progress=False)
    assert len(rows) == len(ROWS)
    assert {row.row.name: row.difference for row in rows if not row.unchanged} == {}

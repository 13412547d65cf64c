"""Results of the vendor's tool: plain data comes out, and nothing in a file is ever called."""

import contextlib
import io
import os
import pickle
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxtorch.calibration import CalibrationError, CalibrationResult, load, save
from hxtorch.calibration.pickled import Thing, UnreadablePickleError, read_pickle
from hxtorch.calibration.vendor import read_vendor_members

from .vendor_files import TARGET, cadc_result, made, older_layout, some_codes, spiking_result, vendor_modules

CODES = some_codes()


def read(content: bytes, folder: Path, name: str = "chip.pkl") -> CalibrationResult:
    (folder / name).write_bytes(content)
    return load(folder / name)


def has_codes(result: CalibrationResult) -> bool:
    n = result.neurons
    pairs = {
        "syn_exc_i_bias_tau": n.i_bias_tau_exc, "syn_exc_i_shift": n.i_shift_exc,
        "syn_exc_i_bias_gm": n.i_bias_gm_exc, "syn_inh_i_bias_tau": n.i_bias_tau_inh,
        "syn_inh_i_shift": n.i_shift_inh, "syn_inh_i_bias_gm": n.i_bias_gm_inh, "leak_v": n.v_leak,
        "leak_i_bias": n.i_bias_leak, "reset_v": n.v_reset, "reset_i_bias": n.i_bias_reset,
        "threshold_v": n.v_threshold,
    }  # fmt: skip
    return all(np.array_equal(CODES[name], codes) for name, codes in pairs.items())


def test_older_layout(tmp_path: Path) -> None:
    result = read(older_layout(CODES), tmp_path, "setup.npz")
    assert has_codes(result)
    t = result.target
    assert (t.leak, t.reset, t.threshold, t.i_synin_gm) == (80, 75, 150, 500)
    assert (t.tau_mem, t.tau_syn_exc, t.refractory_time) == (pytest.approx(6), pytest.approx(5), 2)
    assert result.common.synapse_dac_bias.tolist() == [990, 1000, 950, 970]
    assert t.synapse_dac_bias == 977.5  # the file says no target: the mean of what was set
    assert result.common.cadc_ramp_slope.tolist() == [389, 379, 348, 359]
    causal = cadc_result()["channel_offset"].reshape(2, 2, 256)[:, 0].reshape(-1)
    assert np.array_equal(result.common.cadc_offset, causal)
    assert result.failed.tolist() == [5]
    assert result.chip_identifier == "vendor:setup"


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_spiking_result_with_units(tmp_path: Path, protocol: int) -> None:
    result = read(spiking_result(CODES, protocol), tmp_path)
    assert has_codes(result)
    t = result.target
    assert (t.tau_mem, t.refractory_time, t.synapse_dac_bias) == (6, 2, 900)
    assert np.all(t.per_circuit("tau_syn_exc") == 5) and np.all(t.per_circuit("tau_syn_inh") == 4)
    assert result.failed.tolist() == [5]


def test_a_vendor_result_can_be_saved_and_read_again(tmp_path: Path) -> None:
    result = read(spiking_result(CODES), tmp_path)
    save(result, tmp_path / "own.pkl")
    again = load(tmp_path / "own.pkl")
    assert has_codes(again) and again.target == result.target and again.failed.tolist() == [5]


REAL = os.environ.get("HXTORCH_VENDOR_DATA")


@pytest.mark.skipif(not REAL, reason="HXTORCH_VENDOR_DATA names no folder with the published calibration")
def test_published_calibration_equals_its_table() -> None:
    folder = Path(str(REAL))
    path = folder / "calix_result_v2_cube66.npz"
    with zipfile.ZipFile(path) as archive:
        vendor = read_vendor_members({n.removesuffix(".npy"): archive.read(n) for n in archive.namelist()})
    table = np.genfromtxt(folder / "measured_calibration_cube66_neurons.csv", delimiter=",", names=True)
    assert set(table.dtype.names) == {"circuit", *vendor.codes}
    assert all(np.array_equal(vendor.codes[name], table[name]) for name in vendor.codes)
    channels = np.genfromtxt(folder / "measured_calibration_cube66_cadc.csv", delimiter=",", names=True)
    assert np.array_equal(vendor.cadc_offset, channels["offset"])
    assert load(path).target.per_circuit("tau_syn_inh")[0] == 6


# --- Hostile files ------------------------------------------------------------------------------------------


class Attack:
    """Pickles that call something."""

    def __init__(self, *reduced: object) -> None:
        self.reduced = reduced

    def __reduce__(self) -> tuple[object, ...]:
        return self.reduced  # type: ignore[return-value]


def in_result(value: object) -> bytes:
    """A result of the right kind with something else inside."""
    with vendor_modules():
        return pickle.dumps(made("calix.spiking", "SpikingCalibResult", {"target": value}), protocol=4)


def calls_through_vendor_class() -> bytes:
    # what the names of a class's module may hide: an attribute of an attribute
    return b"\x80\x04\x8c\x0ccalix.common\x8c\x09os.system\x93\x8c\x04true\x85R."


ATTACKS = [
    (pickle.dumps(Attack(os.system, ("touch attacked",)), protocol=4), "names 'posix.system'|names 'nt.system'"),
    (pickle.dumps(Attack(eval, ("1",)), protocol=3), "names 'builtins.eval'"),
    (in_result(Attack(pytest.fail, ("called",))), "which no calibration result needs"),
    (pickle.dumps(Attack(np.load, ("x", "r", True)), protocol=4), "which no calibration result needs"),
    (pickle.dumps(Attack(bytearray, (10**12,)), protocol=4), "SpikingCalibResult of calix"),
    (calls_through_vendor_class(), "SpikingCalibResult of calix"),
    (pickle.dumps(Attack(os.system, ("touch attacked",)), protocol=0), "pickle of protocol 0 to 2"),
    (pickle.dumps(Attack(os.system, ("touch attacked",)), protocol=2), "protocol 2"),
    (b"\x80\x04P1\n.", "instruction"),
    (b"\x80\x04\x82\x01.", "instruction"),  # a class from the extension registry
    (b"\x80\x04(i__main__\nAttack\n.", "instruction"),
    (b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b".", "ends in the middle"),
    (b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b".", "shorter than it claims"),
    (b"\x80\x04\x8a\xff" + b"\xff" * 255 + b".", "SpikingCalibResult of calix"),
    (b"\x80\x04" + b"]" * 250_000 + b".", "more than 200000 instructions"),
    (b"\x80\x04" + b"(" * 190_000 + b".", "fit together"),
    (b"\x80\x04)" + b"\x85" * 190_000 + b".", "SpikingCalibResult of calix"),  # a very deep tuple
    (b"\x80\x04})" + b"\x85" * 190_000 + b"K\x01s.", "tuple as the key"),
    (b"\x80\x04]\x94h\x00a.", "SpikingCalibResult of calix"),  # a list that holds itself
    (b"\x80\x04." + b"x" * 100, "NoneType|fit together"),
    (b"\x80\x04h\x07.", "refers to a value"),
    (b"\x80", "ends in the middle"),
]


@pytest.mark.parametrize(("content", "reason"), ATTACKS)
def test_hostile_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, reason: str) -> None:
    monkeypatch.chdir(tmp_path)
    begin = time.process_time()
    with pytest.raises(CalibrationError, match=reason) as caught:
        read(content, tmp_path, "stranger.pkl")
    assert time.process_time() - begin < 2  # a fifth of a second without other load
    assert "stranger.pkl" in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["stranger.pkl"]  # nothing was run


def bomb(member: str, size: int) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("neuron.npy", "cadc.npy", "targets.npy"):
            with archive.open(name, "w") as file:
                for _ in range(size // 2**20 if name == member else 0):
                    file.write(bytes(2**20))
    return content.getvalue()


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    content = bomb("cadc.npy", 2**30)
    assert len(content) < 2 * 2**20
    begin = time.process_time()
    with pytest.raises(CalibrationError, match=r"would take 1073741824 bytes"):
        read(content, tmp_path)
    assert time.process_time() - begin < 2  # a fifth of a second without other load


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"targets": {**TARGET, "leak": float("nan")}}, "leak = nan"),
        ({"targets": {**TARGET, "tau_mem": "6 us"}}, "tau_mem is a str"),
        ({"targets": {**TARGET, "leak": [1, 2, 3]}}, "shape"),
        ({"targets": {**TARGET, "leak": 10**400}}, "not a number"),
        ({"targets": {**TARGET, "threshold": np.full(512, 1e9)}}, "out of reach"),
        ({"targets": 5}, "not a set of named values"),
        ({"cadc": {"channel_offset": np.zeros(1000)}}, "channel_offset"),
        ({"cadc": {**cadc_result(), "channel_offset": np.full(1024, np.nan)}}, "channel_offset"),
        ({"cadc": {**cadc_result(), "i_ramp_slope": np.array(["a"] * 4, dtype=object)}}, "no number"),
        ({"neuron": {"neurons": {}}}, "512 circuits"),
        ({"neuron": {"neurons": dict.fromkeys(range(512), b"")}}, "block of bytes"),
    ],
)
def test_results_that_no_chip_has(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(CalibrationError, match=reason):
        read(older_layout(CODES, **changes), tmp_path)


OLDER, TODAY = older_layout(CODES), spiking_result(CODES)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), content=st.sampled_from([OLDER, TODAY]))
def test_mutated_results(data: st.DataObject, content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    mutated = bytearray(content)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, min(len(content) - 1, data.draw(st.sampled_from([300, 10**6])))))
        mutated[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.none() | st.integers(1, len(content)))
    path = tmp_path_factory.getbasetemp() / "mutated"
    path.write_bytes(bytes(mutated[:cut]))
    try:
        result = load(path)
    except CalibrationError as error:
        assert "mutated" in str(error)
    else:
        assert result.neurons.v_leak.shape == (512,)


OPCODES = st.sampled_from([bytes([c]) for c in b"(01NK\x88\x89)]}t\x85\x86\x87laesucRb\x81\x92\x93\x94hqG."])


@settings(max_examples=300, deadline=None)
@given(st.lists(OPCODES | st.binary(max_size=4), max_size=40))
def test_programs_of_any_kind(parts: list[bytes]) -> None:
    with contextlib.suppress(UnreadablePickleError):
        read_pickle(b"\x80\x04" + b"".join(parts) + b".")


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**70), 2**70)
        | st.floats(allow_nan=False)
        | st.text()
        | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
        max_leaves=20,
    ),
    st.sampled_from([3, 4, 5]),
)
def test_plain_values_come_out_as_they_went_in(value: object, protocol: int) -> None:
    assert read_pickle(pickle.dumps(value, protocol=protocol)) == value


def test_objects_stay_parts() -> None:
    with vendor_modules():
        thing = read_pickle(pickle.dumps(made("calix.spiking", "Anything", {"a": 1}), protocol=4))
    assert isinstance(thing, Thing)
    assert (str(thing.kind), thing.arguments, thing.state) == ("calix.spiking.Anything", (), {"a": 1})

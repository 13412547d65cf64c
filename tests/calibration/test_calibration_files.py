"""Calibration files: what is written comes back, and nothing else is taken for a calibration."""

import contextlib
import io
import json
import os
import pickle
import struct
import zipfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hxtorch.calibration import CalibrationError, CalibrationResult, CalibrationTarget, load, save
from hxtorch.calibration.files import _UnfitError, _unpack
from hxtorch.calibration.pickled import UnreadablePickleError
from hxtorch.twin import ConfigError

REFUSED = (_UnfitError, UnreadablePickleError, ConfigError, CalibrationError)


@pytest.fixture(scope="module")
def content(ideal: CalibrationResult, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("calibration") / "ideal.calibration"
    save(ideal, path)
    return path.read_bytes()


def same(a: CalibrationResult, b: CalibrationResult) -> bool:
    def equal(x: object, y: object) -> bool:
        return all(np.array_equal(getattr(x, f.name), getattr(y, f.name)) for f in fields(x))  # type: ignore[arg-type]

    plain = ("target", "chip_identifier", "date", "version")
    return (
        all(getattr(a, name) == getattr(b, name) for name in plain)
        and equal(a.neurons, b.neurons)
        and a.common.refractory_clock_scale == b.common.refractory_clock_scale
        and np.array_equal(a.common.cadc_offset, b.common.cadc_offset)
        and a.options == b.options
        and all(np.array_equal(a.before[k], b.before[k]) for k in a.before | b.before)
        and all(np.array_equal(a.success[k], b.success[k]) for k in a.success | b.success)
        and all(np.array_equal(a.residuals[k], b.residuals[k]) for k in a.residuals | b.residuals)
    )


@pytest.mark.parametrize("name", ["a.calibration", "b.pkl", "c.npz", "d", "e.pbin"])
def test_round_trip_whatever_the_extension(ideal: CalibrationResult, tmp_path: Path, name: str) -> None:
    save(ideal, tmp_path / name)
    assert same(load(tmp_path / name), ideal)
    assert same(load(str(tmp_path / name)), ideal)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_round_trip_of_arrays_and_infinite_residuals(ideal: CalibrationResult, tmp_path: Path) -> None:
    target = CalibrationTarget(leak=np.linspace(60, 100, 512), tau_mem=np.linspace(1.1, 40, 512))
    residual = np.linspace(-1, 1, 512)
    residual[3] = np.inf
    result = replace(ideal, target=target, residuals={**ideal.residuals, "leak": residual})
    save(result, tmp_path / "x")
    assert same(load(tmp_path / "x"), result)
    assert load(tmp_path / "x").failed.size == ideal.failed.size


def test_equal_results_give_equal_files(ideal: CalibrationResult, tmp_path: Path) -> None:
    save(ideal, tmp_path / "a")
    save(ideal, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_failed_save_leaves_the_old_file(
    ideal: CalibrationResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def refuse(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(CalibrationError, match="No space left on device"):
        save(ideal, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_save_into_no_folder(ideal: CalibrationResult, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="nowhere"):
        save(ideal, tmp_path / "nowhere" / "x")


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("a pickle was opened",))


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"hello", "it is a text that begins with 'hello'"),
        ("grüße".encode() * 400, "it is a text that begins with 'grüße"),
        (b"\xfe\xedthis", "unknown kind, beginning with the bytes fe ed 74 68"),
        (b"\x89HDF\r\n\x1a\n", "it is an HDF5 file"),
        (pickle.dumps({}, protocol=1), "pickle of protocol 0 to 2"),
        (pickle.dumps(Bomb()), "pickle"),
        (pickle.dumps(Bomb(), protocol=0), "pickle"),
        (b"PK\x03\x04", "damaged"),
        (zipped(), "without a calibration: header.json is missing"),
        (zipped(**{"data.pkl": pickle.dumps(Bomb())}), "without a calibration"),
        (zipped(**{"header.json": b"[]"}), "does not say that it is of the format"),
        (zipped(**{"header.json": b"{"}), "header cannot be read"),
        (zipped(**{"header.json": b"[" * 60_000}), "header cannot be read"),
        (zipped(**{"header.json": b" " * 3_000_000}), "limit"),
        (bytes(5 * 1024 * 1024), "larger"),
    ],
)
def test_foreign_files(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "foreign.pkl"
    path.write_bytes(data)
    with pytest.raises(CalibrationError, match=reason) as error:
        load(path)
    assert str(path) in str(error.value)
    assert str(error.value).endswith("Calibrate again (hxtorch calibrate -o FILE), or load another file.")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"no calibration file .*missing\.pbin"):
        load(tmp_path / "missing.pbin")
    with pytest.raises(CalibrationError, match=r"cannot be read: it is a folder\. Name a file\.$"):
        load(tmp_path)
    with pytest.raises(CalibrationError, match="cannot be read"):
        load("\0")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CalibrationError, match="no regular file"):
        load(tmp_path / "pipe")


@pytest.mark.parametrize("method", [12, 14, 93, 99])  # bzip2, lzma, zstandard, encrypted
def test_members_compressed_in_other_ways(tmp_path: Path, method: int) -> None:
    # the properties of lzma ask for a dictionary of 4 GiB
    content = bytearray(zipped(**{"header.json": b"\x09\x04\x05\x00]\xff\xff\xff\xff" + b"garbage" * 9}))
    directory = content.rfind(b"PK\x01\x02")
    for place in (8, directory + 10):
        content[place : place + 2] = struct.pack("<H", method)
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(CalibrationError, match=r"'header\.json' is compressed in a way"):
        load(tmp_path / "x")


def rewritten(content: bytes, *, header: dict[str, object] | None = None, **members: bytes | None) -> bytes:
    """The file with other header entries or members (None removes)."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    if header:
        parts["header.json"] = json.dumps({**json.loads(parts["header.json"]), **header}).encode()
    parts |= members  # type: ignore[arg-type]
    return zipped(**{name: data for name, data in parts.items() if data is not None})


def npy(array: np.ndarray, *, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


LEAK = "neurons/v_leak.npy"
BAD_MEMBERS = [
    ({LEAK: None}, "missing"),
    ({LEAK: npy(np.full(511, 600.0))}, "expected"),
    ({LEAK: npy(np.full((2, 256), 600.0))}, "no register"),
    ({LEAK: npy(np.full(512, 600, dtype=np.int64))}, "expected"),
    ({LEAK: npy(np.full(512, 600, dtype=">f8"))}, "no register"),
    ({LEAK: npy(np.full(512, np.nan))}, "not finite"),
    ({LEAK: npy(np.full(512, np.inf))}, "not finite"),
    ({LEAK: npy(np.full(512, 1023.0))}, "register holds"),
    ({LEAK: npy(np.full(512, -1.0))}, "register holds"),
    ({LEAK: npy(np.array([Bomb()] * 4, dtype=object), allow_pickle=True)}, "no register"),
    ({LEAK: npy(np.full(512, 600.0)) + b"more"}, "no register"),
    ({LEAK: npy(np.full(512, 600.0))[:-1]}, "no register"),
    ({LEAK: b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', "}, "damaged"),
    ({LEAK: b"nothing"}, "damaged"),
    ({LEAK: npy(np.zeros(100_000))}, "limit"),
    ({"neurons/colour.npy": npy(np.full(512, 1.0))}, "unknown arrays"),
    ({"notes.txt": b"hello"}, "unknown member"),
    ({"residuals/leak.npy": npy(np.full(512, np.nan))}, "not finite"),
    ({"success/leak.npy": npy(np.ones(512))}, "expected"),
    ({"common/cadc_offset.npy": npy(np.full(512, 200, dtype=np.int64))}, "register holds"),
]
BAD_HEADERS = [
    ({"format_version": 99}, "version 99"),
    ({"format": "other"}, "does not say that it is of the format"),
    ({"calibration_version": "1"}, "calibration_version"),
    ({"calibration_version": True}, "calibration_version"),
    ({"chip_identifier": 7}, "chip_identifier"),
    ({"date": ""}, "date"),
    ({"refractory_clock_scale": [3, 16]}, "clock_scale"),
    ({"refractory_clock_scale": 3}, "clock_scale"),
    ({"refractory_clock_scale": [3.0, [1]]}, "clock_scale"),
    ({"target": {"leak": 80}}, "target"),
    ({"target": None}, "target"),
    ({"options": None}, "options"),
    ({"options": {"gain": "matched"}}, "options"),
    ({"options": {"gain": "loud", "equalize_dac": True, "refine": True, "drivers": True}}, "gain is 'loud'"),
    ({"options": {"gain": "raw", "equalize_dac": 1, "refine": True, "drivers": True}}, "equalize_dac is 1"),
]


@pytest.mark.parametrize(("members", "reason"), BAD_MEMBERS)
def test_members_that_no_calibration_has(
    content: bytes, tmp_path: Path, members: dict[str, bytes | None], reason: str
) -> None:
    (tmp_path / "x").write_bytes(rewritten(content, **members))
    with pytest.raises(CalibrationError, match=reason):
        load(tmp_path / "x")


@pytest.mark.parametrize(("header", "reason"), BAD_HEADERS)
def test_headers_that_no_calibration_has(
    content: bytes, tmp_path: Path, header: dict[str, object], reason: str
) -> None:
    (tmp_path / "x").write_bytes(rewritten(content, header=header))
    with pytest.raises(CalibrationError, match=reason):
        load(tmp_path / "x")


@pytest.mark.parametrize("value", ["80", True, 1e9, float("nan"), 10**400, [80]])
def test_targets_that_no_calibration_has(content: bytes, value: object) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        target = json.loads(archive.read("header.json"))["target"]
    with pytest.raises(REFUSED):
        _unpack(rewritten(content, header={"target": {**target, "leak": value}}))


HOSTILE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@HOSTILE
@given(data=st.data())
def test_truncated_files(content: bytes, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(REFUSED):
        _unpack(content[:end])


@HOSTILE
@given(data=st.data())
def test_mutated_files(ideal: CalibrationResult, content: bytes, data: st.DataObject) -> None:
    mutated = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        result = _unpack(bytes(mutated))
    except REFUSED:
        return
    assert same(result, ideal)  # bytes that carry nothing, such as time stamps in the archive


@HOSTILE
@given(data=st.data())
def test_files_with_parts_cut_out_or_put_in(content: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(content) - 1))
    gone, put = data.draw(st.integers(0, 60)), data.draw(st.binary(max_size=60))
    with contextlib.suppress(*REFUSED):  # what is put in may be ignored, but nothing else may be raised
        result = _unpack(content[:place] + put + content[place + gone :])
        assert result.neurons.v_leak.shape == (512,)


def test_an_archive_that_points_before_its_begin(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content[:200] + content[230:])
    with pytest.raises(CalibrationError, match=r"x is no usable calibration file: the archive is damaged"):
        load(tmp_path / "x")


PLAIN_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ENTRIES = ["format", "format_version", "calibration_version", "chip_identifier", "date", "target"]


@HOSTILE
@given(PLAIN_VALUES, st.sampled_from([*ENTRIES, "refractory_clock_scale"]))
def test_headers_of_any_kind(ideal: CalibrationResult, content: bytes, header: object, name: str) -> None:
    try:
        result = _unpack(rewritten(content, header={name: header}))
    except REFUSED:
        return
    assert np.array_equal(result.neurons.v_leak, ideal.neurons.v_leak)


@HOSTILE
@given(st.binary(max_size=300))
def test_arrays_of_any_bytes(content: bytes, data: bytes) -> None:
    for member in (data, b"\x93NUMPY\x01\x00" + data, b"\x93NUMPY\x01\x00\x80\x00" + data):
        with pytest.raises(REFUSED):
            _unpack(rewritten(content, **{LEAK: member}))

"""Files of all kinds: those of earlier releases are read, and what is written now could be read before."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hxtorch import perceptron, snn
from hxtorch._files.formats import Format, UnfitFileError, names_in
from hxtorch._files.whole import write_whole, written_whole
from hxtorch.calibration import files as calibration_files
from hxtorch.calibration import load
from hxtorch.snn.utils import load_checkpoint, save_checkpoint
from hxtorch.twin import Die

BEFORE = Path(__file__).parent / "before"  # written by release 0.1.0


def contents(content: bytes) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    """Header and arrays, as plain tools read them."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        arrays = {
            name.removesuffix(".npy"): np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
            for name in archive.namelist()
            if name.endswith(".npy")
        }
        if "header.json" in archive.namelist():
            return json.loads(archive.read("header.json")), arrays
    return json.loads(str(arrays.pop("content")[()])), arrays


def assert_alike(one: bytes, other: bytes) -> None:
    """The same header, in whatever order, and bit by bit the same arrays."""
    (header, arrays), (other_header, other_arrays) = contents(one), contents(other)
    assert header == other_header
    assert set(arrays) == set(other_arrays)
    for name, array in arrays.items():
        again = other_arrays[name]
        assert (array.dtype, array.shape, array.strides) == (again.dtype, again.shape, again.strides), name
        assert array.tobytes() == again.tobytes(), name


def test_calibrations(tmp_path: Path) -> None:
    path = BEFORE / "ideal.calibration"
    result = load(path)
    assert result.date == "2026-11-30"
    assert np.array_equal(result.target.leak, np.linspace(60, 100, 512))
    calibration_files.save(result, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    assert calibration_files.dumps(calibration_files.loads(path.read_bytes())) == path.read_bytes()


def test_dies(tmp_path: Path) -> None:
    path = BEFORE / "drawn.die"
    die = Die.load(path)
    assert die.identifier == "drawn"
    assert np.array_equal(die.leak_code, np.linspace(-30, 30, 512))
    assert_alike(die.save(tmp_path / "again").read_bytes(), path.read_bytes())


def test_traces(tmp_path: Path) -> None:
    path = BEFORE / "two_layers.npz"
    x = torch.arange(40.0).reshape(2, 20) % 32
    weights = torch.from_numpy(contents(path.read_bytes())[1]["0.weights"])
    assert weights.T.is_contiguous()  # as it was
    tracer = perceptron.InferenceTracer(tmp_path / "again.npz")
    tracer.start()
    torch.manual_seed(5)  # of the noise
    hidden = perceptron.matmul(x, weights, num_sends=2, mock=True)
    y = perceptron.add(perceptron.converting_relu(hidden, shift=1, mock=True), torch.arange(5.0), mock=True)
    tracer.stop()
    torch.manual_seed(5)
    assert torch.equal(perceptron.inference_trace(x, path), y)
    assert_alike((tmp_path / "again.npz").read_bytes(), path.read_bytes())
    with np.load(tmp_path / "again.npz", allow_pickle=False) as file:
        assert json.loads(str(file["content"][()]))["format"] == "hxtorch inference trace 1"


def trained() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    instance, experiment = snn.ExecutionInstance(), snn.Experiment(mock=True)
    synapse = snn.Synapse(4, 3, experiment)
    model = torch.nn.ModuleList([synapse, snn.LIF(3, experiment, execution_instance=instance)])
    return model, torch.optim.Adam(synapse.parameters(), 1)


@pytest.mark.filterwarnings("ignore:.*was written by other code")
def test_checkpoints(tmp_path: Path) -> None:
    path = BEFORE / "trained.pt"
    model, optimizer = trained()
    held = load_checkpoint(path, model, optimizer, restore_random=True)
    assert held.extra == {"epoch": 4, "losses": [0.5, 0.25]}
    assert held.calibration is not None
    assert calibration_files.dumps(held.calibration) == (BEFORE / "ideal.calibration").read_bytes()
    model[1].execution_instance.calibration = held.calibration
    save_checkpoint(tmp_path / "again.pt", model, optimizer, **held.extra)
    before, again = (torch.load(item, weights_only=True) for item in (path, tmp_path / "again.pt"))
    assert before.pop("code") == held.code
    again.pop("code")
    assert before["optimizer"]["state"][0]["exp_avg"].any()
    assert_equal(before, again)


def assert_equal(one: object, other: object) -> None:
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for name, value in one.items():
            assert_equal(value, other[name])
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other


# --- The formats themselves ---------------------------------------------------------------------------------

PLAIN = Format("test numbers", "number", 4, oldest=2)
NAMED = Format("test numbers", "number", 4, version_key=None, header="about.npy")
VALUES = {"a": [1, 2.5, None], "b": "grüße"}
ARRAYS = {
    "x/y": np.arange(6.0).reshape(2, 3),
    "turned": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
    "part": np.arange(20)[::3],
    "one": np.array(True),
    "none": np.empty((0, 3), np.float32),
}


@pytest.mark.parametrize("format", [PLAIN, NAMED])
def test_what_is_written_comes_back(format: Format) -> None:
    header, arrays = format.loads(format.dumps(VALUES, ARRAYS))
    assert {name: header[name] for name in VALUES} == VALUES
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)
        assert np.array_equal(arrays[name], array)
        arrays[name][...] = 0  # it is no view of the content
    assert arrays["turned"].flags.f_contiguous
    assert format.dumps(VALUES, ARRAYS) == format.dumps(VALUES, ARRAYS)


def changed(**header: object) -> bytes:
    return replace(PLAIN, version_key="other").dumps(header, {})


@pytest.mark.parametrize(
    ("format", "content", "reason"),
    [
        (PLAIN, b"nothing", "damaged and cannot be read .*cut short"),
        (PLAIN, PLAIN.dumps(VALUES, ARRAYS)[:-30], "cut short"),
        (PLAIN, NAMED.dumps({}, {}), r"without a number: header\.json is missing"),
        (NAMED, replace(NAMED, version=3).dumps({}, {}), "not say that it is of the format 'test numbers 4'"),
        (PLAIN, replace(PLAIN, name="cake").dumps({}, {}), "another format"),
        (PLAIN, changed(version=1), "version 1, but this release reads versions 2 to 4"),
        (PLAIN, changed(version=5), "version 5"),
        (PLAIN, changed(version=True), "version True"),
        (replace(PLAIN, oldest=None), changed(version=3), "reads version 4"),
        (replace(PLAIN, largest_array=100), PLAIN.dumps({}, ARRAYS), "'x/y.npy' would take 176 bytes.* of 100"),
        (replace(PLAIN, largest_header=30), PLAIN.dumps({}, ARRAYS), r"'header\.json' would take"),
        (replace(PLAIN, most_members=5), PLAIN.dumps({}, ARRAYS), "too many"),
        (PLAIN, PLAIN.dumps({}, {"a": np.array(["text"])}), r"'a' cannot be read: it is <U4\(1,\) in 16 bytes"),
        (PLAIN, PLAIN.dumps({}, {"a": np.ones(2, ">f8")}), "which no array of numbers is"),
    ],
)  # fmt: skip
def test_what_is_refused(format: Format, content: bytes, reason: str) -> None:
    with pytest.raises(UnfitFileError, match=reason):
        format.loads(content)


def test_objects_are_no_arrays() -> None:
    stream, archive = io.BytesIO(), io.BytesIO()
    np.save(stream, np.array([print], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("header.json", json.dumps(PLAIN.heading({})))
        file.writestr("a.npy", stream.getvalue())
    with pytest.raises(UnfitFileError, match="'a' cannot be read"):
        PLAIN.loads(archive.getvalue())
    assert names_in(archive.getvalue()) == {"header.json", "a.npy"}


@settings(max_examples=100, deadline=None)
@given(place=st.integers(0, 2000), byte=st.integers(0, 255), cut=st.booleans(), named=st.booleans())
def test_damaged_contents_load_or_say_why(place: int, byte: int, cut: bool, named: bool) -> None:
    format = NAMED if named else PLAIN
    content = bytearray(format.dumps(VALUES, ARRAYS))
    content[place % len(content)] = byte
    with contextlib.suppress(UnfitFileError):
        format.loads(bytes(content[: place % len(content)] if cut else content))


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    assert write_whole(str(path), "grüße") == path
    assert path.read_text(encoding="utf-8") == "grüße"
    with pytest.raises(RuntimeError, match="in between"), written_whole(path) as part:
        assert part.parent == tmp_path
        part.write_bytes(b"half")
        assert path.read_text(encoding="utf-8") == "grüße"
        raise RuntimeError("in between")
    assert path.read_text(encoding="utf-8") == "grüße"
    write_whole(path, b"bytes")
    assert path.read_bytes() == b"bytes"
    with pytest.raises(FileNotFoundError), written_whole(path):
        pass  # nothing was written
    assert [item.name for item in tmp_path.iterdir()] == ["a.txt"]
    with pytest.raises(OSError, match="nowhere"):
        write_whole(tmp_path / "nowhere" / "a", b"")

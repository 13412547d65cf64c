"""Dies as files, and what tells two of them apart."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hxtorch.twin import Die
from hxtorch.twin.pattern.file import DieFileError
from hxtorch.twin.pattern.fixed_pattern import EFFECTS


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return Die.from_seed(7).save(tmp_path_factory.mktemp("die") / "seven.die").read_bytes()


def test_round_trip(tmp_path: Path) -> None:
    for die in (Die.from_seed(7), Die.ideal(), Die.from_seed(3).without("synapse")):
        again = Die.load(die.save(tmp_path / "a.die"))
        assert again.identifier == die.identifier and again.nominal == die.nominal
        assert again.capmem_seed == die.capmem_seed
        for name in EFFECTS:
            assert np.array_equal(getattr(again, name), getattr(die, name)), name
    assert [path.name for path in tmp_path.iterdir()] == ["a.die"]


def rewritten(content: bytes, **members: bytes | None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in {*old.namelist(), *members}:
            data = members.get(name, old.read(name) if name in old.namelist() else b"")
            if data is not None:
                new.writestr(name, data)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=array.dtype == object)
    return buffer.getvalue()


def with_header(content: bytes, **changes: object) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        header = json.loads(archive.read("header.json"))
    return rewritten(content, **{"header.json": json.dumps(header | changes).encode()})


def test_files_that_are_no_dies(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.die"
    bad = {
        "cannot be read": content[: len(content) // 2],
        "cannot be read.": pickle.dumps({"a": 1}),
        "missing": rewritten(content, **{"tau_exc.npy": None}),
        "of shape": rewritten(content, **{"tau_exc.npy": npy(np.ones(511))}),
        "not finite": rewritten(content, **{"tau_exc.npy": npy(np.full(512, np.nan))}),
        "cannot be read..": rewritten(content, **{"tau_exc.npy": npy(np.array([print], dtype=object))}),
        "larger than": rewritten(content, **{"tau_exc.npy": npy(np.ones(2**20))}),
        "no die has": rewritten(content, **{"more.npy": npy(np.ones(3))}),
        "version 2": with_header(content, version=2),
        "another format": with_header(content, format="cake"),
        "no finite number": with_header(content, madc_offset=float("nan")),
        "'identifier'": with_header(content, identifier=""),
        "'nominal'": with_header(content, nominal=1),
    }
    for reason, data in bad.items():
        path.write_bytes(data)
        with pytest.raises(DieFileError, match=reason.rstrip(".")) as error:
            Die.load(path)
        assert str(path) in str(error.value)
    with pytest.raises(DieFileError, match="is no file"):
        Die.load(tmp_path / "nothing")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000_000), byte=st.integers(0, 255), cut=st.booleans())
def test_mutated_files_load_or_say_why(content: bytes, tmp_path: Path, place: int, byte: int, cut: bool) -> None:
    data = bytearray(content)
    data[place % len(data)] = byte
    path = tmp_path / "m.die"
    path.write_bytes(bytes(data[: place % len(data)] if cut else data))
    with contextlib.suppress(DieFileError):
        assert isinstance(Die.load(path), Die)


def test_comparison() -> None:
    one, other = Die.family([5, 6])
    alike = one.compare(one)["threshold_code"]
    assert alike.correlation == pytest.approx(1) and alike.difference == 0
    # quadrants of different chips may look alike, single circuits do not
    apart = one.compare(other)["synapse"]
    assert abs(apart.correlation) < 0.02
    assert apart.difference == pytest.approx(np.sqrt(2) * 0.05, rel=0.1)
    assert np.isnan(one.compare(Die.ideal())["gain_exc"].correlation)


def test_summary_tells_the_drawn_spreads() -> None:
    summary = Die.from_seed(5).summary()["leak_code"]
    assert summary.within_quadrants == pytest.approx(34, rel=0.1)  # chip.md 4.2: spread of v_leak within quadrants
    assert summary.total > summary.within_quadrants
    assert np.isnan(Die.from_seed(5).summary()["synapse"].within_quadrants)

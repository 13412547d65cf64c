"""One package under two names."""

import importlib
import importlib.util
import pickle
import sys

import pytest

from hxtorch._alias import install_alias


@pytest.fixture
def alias(monkeypatch, tmp_path):
    """The package `real_name`, also importable as `other_name`."""
    package = tmp_path / "real_name"
    (package / "below").mkdir(parents=True)
    (package / "__init__.py").write_text("class Thing: ...")
    (package / "below" / "__init__.py").touch()
    (package / "below" / "deep.py").write_text("from .. import Thing\nfrom .sibling import number")
    (package / "below" / "sibling.py").write_text("number = 5")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    install_alias("other_name", "real_name")
    yield "other_name"
    for name in [name for name in sys.modules if name.split(".")[0] in ("real_name", "other_name")]:
        del sys.modules[name]


@pytest.mark.parametrize("first", ["real_name", "other_name"])
@pytest.mark.parametrize("below", ["", ".below", ".below.deep", ".below.sibling"])
def test_same_objects_whichever_name_comes_first(alias, first, below):
    module = importlib.import_module(first + below)
    for name in ("real_name", "other_name"):
        assert importlib.import_module(name + below) is module
    assert module.__name__ == module.__spec__.name == "real_name" + below


def test_from_imports(alias):
    from other_name.below.deep import Thing as Same
    from other_name.below.deep import number
    from real_name import Thing

    assert Same is Thing
    assert number == 5


def test_reload_keeps_the_module(alias):
    module = importlib.import_module("other_name.below.sibling")
    assert importlib.reload(module) is module


def test_unknown_submodules(alias):
    assert importlib.util.find_spec("other_name.nonsense") is None
    with pytest.raises(ModuleNotFoundError, match="nonsense"):
        importlib.import_module("other_name.nonsense")


def test_classes_pickle(alias):
    thing = importlib.import_module(alias).Thing
    assert pickle.loads(pickle.dumps(thing)) is thing


def test_installing_twice_changes_nothing(alias):
    count = len(sys.meta_path)
    install_alias("other_name", "real_name")
    assert len(sys.meta_path) == count

"""Every path, name and signature that was there before the files moved to rooms of their own is there still."""

import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SNAPSHOT = json.loads((HERE / "snapshot.json").read_text(encoding="utf-8"))

# Names inside of the package that no page and no interface of the three generations knows, whose signature had to
# change: path and name -> why.
_SETTINGS = "takes the settings of a run, no longer the experiment"
_KERNEL = "a kernel: took 13 arguments, now named tuples"
_ARRAYS = "a private name for an array: they stand in `hxtorch.shapes`, by what they hold"
_DYNAMICS = "takes the noun `Dynamics`, no longer its parts one by one"
CHANGED: dict[str, str] = {
    "hxtorch.calibration.measure.Bench": "the one bench, which takes settings and what to record",
    "hxtorch.calibration.measure.Stimulus": "that of the one bench; a regular train of events is a Train",
    "hxtorch.snn.chip_plan.PlanCache": _SETTINGS,
    "hxtorch.snn.chip_plan.make_plan": _SETTINGS,
    "hxtorch.snn.chip_run.execute": _SETTINGS,
    "hxtorch.mapping.place": "the order that is the default has a field more",
    "hxtorch.mapping.placement.place": "the order that is the default has a field more",
    "hxtorch.snn.copies.E": "a type variable that is no longer needed",
    "hxtorch.snn.copies.P": "a type variable that is no longer needed",
    "hxtorch.snn.functional.kernels.backward.propagate": _KERNEL,
    "hxtorch.snn.functional.kernels.backward.propagate_lanes": _KERNEL,
    "hxtorch.snn.functional.kernels.eventprop.adjoint_lanes": _KERNEL,
    "hxtorch.snn.functional.kernels.forward.integrate_lanes": _KERNEL,
    "hxtorch.snn.functional.kernels.eventprop.F32": "a type alias that stands in one place now",
    "hxtorch.snn.functional.packing.options_of": _DYNAMICS,
    "hxtorch.snn.functional.packing.values_of": _DYNAMICS,
    "hxtorch.twin.chip.T": "a type variable that went with the class that needs it",
    "hxtorch.twin.config.ByteArray": _ARRAYS,
    "hxtorch.twin.config.FloatArray": _ARRAYS,
    "hxtorch.twin.config.IntArray": _ARRAYS,
    "hxtorch.twin.engine.run_entries": "a kernel: took 14 arguments, now named tuples",
    "hxtorch.twin.random.lane_normal": "a kernel without a door for Python that no kernel called",
}


def described_now():
    spec = importlib.util.spec_from_file_location("make_snapshot", HERE / "make_snapshot.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.described


described = described_now()


def agrees(old, new):
    """Whether calls that were right are right: the same parameters in their order; new ones have a default."""
    if old is None or new is None:
        return True
    catch_all = ("VAR_POSITIONAL", "VAR_KEYWORD")
    before = [p for p in old if p[1] not in catch_all]
    now = {p[0]: p for p in new}
    fixed = [p for p in new if p[1] not in catch_all and p[1] != "KEYWORD_ONLY"]
    positional = [p for p in before if p[1] != "KEYWORD_ONLY"]
    same = all(
        p == now.get(p[0]) or (p[1] == "KEYWORD_ONLY" and p[0] in now and p[2] == now[p[0]][2]) for p in before
    )
    names = {p[0] for p in before}
    added_have_defaults = all(p[2] is not None for p in new if p[0] not in names and p[1] not in catch_all)
    in_order = [p[0] for p in fixed][: len(positional)] == [p[0] for p in positional]
    kept_catch_all = all(p[1] in [q[1] for q in new] for p in old if p[1] in catch_all)
    return same and added_have_defaults and in_order and kept_catch_all


def differences(path, name, old, new):
    if "class" in old:
        if "class" not in new:
            yield f"{path}.{name} is no class"
            return
        if not agrees(old["class"], new["class"]):
            yield f"{path}.{name}: {old['class']} -> {new['class']}"
        for member, was in old["members"].items():
            if member not in new["members"]:
                yield f"{path}.{name}.{member} is gone"
            elif isinstance(was, list) and not agrees(was, new["members"][member]):
                yield f"{path}.{name}.{member}: {was} -> {new['members'][member]}"
    elif "callable" in old and not agrees(old["callable"], new.get("callable")):
        yield f"{path}.{name}: {old['callable']} -> {new.get('callable')}"


@pytest.mark.parametrize("path", SNAPSHOT)
def test_names_and_signatures_stay(path):
    module = importlib.import_module(path)
    found = []
    for name, old in SNAPSHOT[path].items():
        if f"{path}.{name}" in CHANGED:
            continue
        if not hasattr(module, name):
            found.append(f"{path}.{name} is gone")
        else:
            found += differences(path, name, old, described(getattr(module, name)))
    assert not found, "\n".join(found)


def test_what_may_change_was_there():
    for name in CHANGED:
        path = next(path for path in sorted(SNAPSHOT, key=len, reverse=True) if name.startswith(path + "."))
        assert name.removeprefix(path + ".") in SNAPSHOT[path]


def test_old_paths_are_attributes_of_their_package():
    """`hxtorch.snn.parameter.HXParameter` after `import hxtorch.snn` alone, also under the name `spiking`."""
    names = ("experiment", "parameter", "handle", "observables", "graph", "functional", "modules", "backend")
    code = f"import hxtorch.snn as one, hxtorch.spiking as two\nfor n in {names}: getattr(one, n), getattr(two, n)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_old_paths_of_the_twin_are_attributes():
    names = [path.split(".")[2] for path in SNAPSHOT if path.startswith("hxtorch.twin.")]
    assert len(names) > 30
    code = f"import hxtorch.twin\nfor n in {names}: getattr(hxtorch.twin, n)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_changed_signature_is_seen():
    old = [["a", "POSITIONAL_OR_KEYWORD", None], ["b", "KEYWORD_ONLY", "1"]]
    assert agrees(old, old)
    assert agrees(old, [*old, ["c", "KEYWORD_ONLY", "2"]])
    assert not agrees(old, old[:1])
    assert not agrees(old, [["x", "POSITIONAL_OR_KEYWORD", None], *old[1:]])
    assert not agrees(old, [*old, ["c", "KEYWORD_ONLY", None]])
    assert not agrees(old, [["c", "POSITIONAL_OR_KEYWORD", "3"], *old])
    assert not agrees(old, [old[0], ["b", "KEYWORD_ONLY", "2"]])

"""Deep copies of networks: what belongs to them, and what they share with the original.

A network that holds its experiment is copied with it, and with the execution instances of its modules. Modules
alone refer to an experiment, but do not hold it: their copies stay in it, on the same instances. As it is not known
beforehand whether somebody else holds the experiment, copied modules are noted in the memo of the copy and move to
the copied experiment as soon as there is one.
"""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

Memo = dict[Any, Any]  # ids of originals -> copies; _MODULES -> the copied modules
M = TypeVar("M", bound=nn.Module)
H = TypeVar("H")  # an experiment or an execution instance

_MODULES = "modules of hxtorch"
_REFERENCES = ("experiment", "execution_instance")
_CONSTANT = ("calibration_read",)  # compared by identity with what an instance has loaded, and never changed


def copy_module(module: M, memo: Memo) -> M:
    """A copy in the same experiment, or in its copy if that belongs to what is copied."""
    result = type(module).__new__(type(module))
    memo[id(module)] = result
    # torch refuses to pickle parametrized modules, but copies them
    custom = type(module).__getstate__ is not object.__getstate__ and not is_parametrized(module)
    state: Any = vars(module)
    if custom:
        state = module.__getstate__()  # type: ignore[no-untyped-call]
    kept: dict[str, Any] = {}
    if isinstance(state, dict):
        state = dict(state)
        kept = {name: state.pop(name) for name in (*_REFERENCES, *_CONSTANT) if name in state}
        if "_last_state" in state:
            state["_last_state"] = None  # the copy was in no run
    result.__setstate__(copy.deepcopy(state, memo))  # type: ignore[no-untyped-call]
    vars(result).update(kept)
    memo.setdefault(_MODULES, []).append(result)
    _settle(result, memo)
    return result


def copy_experiment(experiment: H, memo: Memo, fresh: dict[str, Any]) -> H:
    """A copy with the same settings, which has run nothing; `fresh` are attributes that are not taken over."""
    return _copy_holder(experiment, memo, fresh, {})


def copy_instance(instance: H, memo: Memo, fresh: dict[str, Any]) -> H:
    """Another instance with the same settings and calibration; `fresh` are attributes that are not taken over."""
    shared = {
        name: value
        for name, value in vars(instance).items()
        if name in ("calibration", "made_calibration") or name.startswith("injection_")
    }
    return _copy_holder(instance, memo, fresh, shared)


def _copy_holder(original: H, memo: Memo, fresh: dict[str, Any], shared: dict[str, Any]) -> H:
    """A copy of what modules refer to: attributes are copied, but for those that are `fresh` or `shared`."""
    result = type(original).__new__(type(original))
    memo[id(original)] = result
    state = {name: value for name, value in vars(original).items() if name not in fresh and name not in shared}
    vars(result).update(copy.deepcopy(state, memo) | shared | fresh)
    for module in memo.get(_MODULES, []):
        _settle(module, memo)
    return result


def _settle(module: nn.Module, memo: Memo) -> None:
    """Let a copied module refer to what was copied of what it referred to."""
    own = vars(module)
    experiment, instance = own.get("experiment"), own.get("execution_instance")
    if experiment is not None and id(experiment) in memo:
        own["experiment"] = memo[id(experiment)]
        if instance is not None:
            own["execution_instance"] = copy.deepcopy(instance, memo)
    elif instance is not None and id(instance) in memo:
        own["execution_instance"] = memo[id(instance)]

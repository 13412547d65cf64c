"""Checkpoints: everything that a training needs to go on, with the chip that it ran on."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hxtorch._files.formats import Format, UnfitFileError
from hxtorch._files.whole import written_whole
from hxtorch.connection import connected_chip
from hxtorch.snn.alignment.align import align
from hxtorch.snn.alignment.probe import calibration_of
from hxtorch.snn.alignment.weights import set_weight_scale, weight_scale
from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.modules import Neuron, Synapse
from hxtorch.snn.parameters.parameter import on_cpu
from hxtorch.snn.training.code_version import code_version

if TYPE_CHECKING:
    from hxtorch.calibration import CalibrationResult

_FORMAT = Format("hxtorch checkpoint", "checkpoint", 2, version_key=None)


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds beside the states that were loaded.

    * `chip`: identifier of the chip of the training; None for mock mode.
    * `code`: `code_version` of the code that trained.
    * `calibration`: that of the network at the time; None if it had none.
    * `extra`: what was given to `save_checkpoint`, for example the epoch.
    """

    chip: str | None
    code: str
    calibration: CalibrationResult | None
    extra: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(
    path: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
    **extra: Any,
) -> None:
    """Save weights, alignment, optimiser, scheduler, torch's random state, the names of chip and code, the
    calibration.

    `extra` holds further plain values (numbers, texts, lists, dictionaries, tensors). The file appears whole
    or not at all.
    """
    chip = connected_chip()
    instances = _instances(model)
    used = next((found for found in map(calibration_of, instances) if found is not None), None)
    content = {
        "model": model.state_dict(),
        "scales": _scales(model),
        "optimizer": None if optimizer is None else optimizer.state_dict(),
        "scheduler": None if scheduler is None else scheduler.state_dict(),
        "random": torch.get_rng_state(),
        "code": code_version(),
        "chip": chip.identifier if chip is not None and instances else None,
        "calibration": None if used is None else _as_bytes(used),
        "extra": extra,
    }
    with written_whole(path) as part:
        torch.save(_FORMAT.heading(content), part)


def load_checkpoint(
    path: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
    *,
    restore_random: bool = False,
) -> Checkpoint:
    """Load what `save_checkpoint` saved into `model` and, if given, optimiser and scheduler.

    With `restore_random` torch's random numbers go on where they were, as for resuming. On another chip than
    that of the training the weights are loaded all the same, with a warning: its neurons differ, so align
    the network with it and train for a few steps, or call `load_and_realign`. A checkpoint of other code warns,
    too: the same numbers will not come out. A file that is no checkpoint: ValueError; it is read without
    executing anything in it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no checkpoint {path}.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises various types for damaged files
        raise ValueError(f"{path} is no checkpoint, or it is damaged: {error}") from error
    try:
        content = _FORMAT.checked(content)
    except UnfitFileError as error:
        raise ValueError(f"{path} is no checkpoint of this version: {error}.") from error
    model.load_state_dict(content["model"])
    _set_scales(model, content["scales"])
    for part, name in ((optimizer, "optimizer"), (scheduler, "scheduler")):
        if part is not None:
            if content[name] is None:
                raise ValueError(f"{path} holds no state of the {name}. Save it with save_checkpoint(..., {name}).")
            part.load_state_dict(content[name])
    if restore_random:
        torch.set_rng_state(content["random"])
    chip = connected_chip()
    if content["chip"] is not None and chip is not None and chip.identifier != content["chip"]:
        warnings.warn(
            f"The checkpoint was trained on chip {content['chip']!r}, but {chip.identifier!r} is connected. Its "
            "neurons differ: call hxtorch.snn.utils.align(model, inputs), or load it with load_and_realign, and "
            "train for some steps in the loop.",
            UserWarning,
            stacklevel=2,
        )
    if content["code"] != code_version():
        warnings.warn(
            f"{path} was written by other code ({content['code']}, this is {code_version()}): a training that goes "
            "on from it ends with other numbers than one that runs in a piece.",
            UserWarning,
            stacklevel=2,
        )
    held = content["calibration"]
    return Checkpoint(
        content["chip"], content["code"], None if held is None else _from_bytes(held), content["extra"]
    )


def load_and_realign(
    path: str | Path,
    model: nn.Module,
    inputs: Any,
    optimizer: torch.optim.Optimizer | None = None,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
) -> Checkpoint:
    """Load a checkpoint, and align the network with the connected chip if the training had another one.

    `inputs` is any batch that ``model(inputs)`` runs. Everything else as in `load_checkpoint`.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The checkpoint was trained on chip", UserWarning)
        held = load_checkpoint(path, model, optimizer, scheduler)
    chip = connected_chip()
    if chip is not None and chip.identifier != held.chip:
        align(model, inputs)
    return held


def _instances(model: nn.Module) -> list[ExecutionInstance]:
    found = [module.execution_instance for module in model.modules() if isinstance(module, Neuron)]
    return [item for item in dict.fromkeys(found) if isinstance(item, ExecutionInstance)]


def _scales(model: nn.Module) -> dict[str, Any]:
    scales: dict[str, Any] = {}
    for name, module in model.named_modules():
        if isinstance(module, Synapse) and "scale" in getattr(module.weight_transform, "keywords", {}):
            scales[name] = weight_scale(module)
        elif isinstance(module, Neuron):
            scales[name] = {"trace_scale": module.trace_scale, "cadc_time_shift": module.cadc_time_shift}
    return scales


def _set_scales(model: nn.Module, scales: dict[str, Any]) -> None:
    modules = dict(model.named_modules())
    for name, value in scales.items():
        module = modules.get(name)
        if isinstance(module, Synapse):
            set_weight_scale(module, float(value))
        elif isinstance(module, Neuron):
            module.trace_scale = on_cpu(value["trace_scale"], torch.float32)
            module.cadc_time_shift = int(value["cadc_time_shift"])


def _as_bytes(result: CalibrationResult) -> Tensor:
    from hxtorch.calibration.files import dumps  # which mock mode never needs

    return torch.frombuffer(bytearray(dumps(result)), dtype=torch.uint8)


def _from_bytes(data: Tensor) -> CalibrationResult:
    from hxtorch.calibration.files import loads

    return loads(data.numpy().tobytes())

"""Parameters with two faces: the value the model computes with and the value the chip is set to.

Values are numbers or tensors. Time constants are in seconds on both faces; potentials are in CADC LSB on
the chip and in any unit in the model.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Value = float | Tensor
SetOnChip = Callable[[Any, Any, Any], None]  # (chip, coordinates, hardware value)


def on_cpu(value: float | Sequence[float] | NDArray[Any] | Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """`value` as a tensor on the CPU, whatever torch's default device is."""
    return torch.as_tensor(value, dtype=dtype, device="cpu")


def as_value(value: float | Sequence[float] | NDArray[Any] | Tensor) -> Value:
    """A number stays a number; sequences and numpy arrays become tensors."""
    if isinstance(value, np.generic):
        return value.item()  # type: ignore[no-any-return]
    if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str):
        # A setting: on the device "meta" it would be lost, unlike weights, which are loaded later.
        return on_cpu(value) if torch.get_default_device().type == "meta" else torch.as_tensor(value)
    if isinstance(value, Tensor) or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    raise TypeError(f"A parameter value must be a number or a tensor, got {value!r} ({type(value).__name__}).")


class HXBaseParameter(nn.Module):
    """What all parameters share. `model_value` can be trained; `hardware_value` goes to the chip."""

    def __init__(self, model_value: float | Sequence[float] | NDArray[Any] | Tensor) -> None:
        super().__init__()
        self._set_on_chip: SetOnChip | None = None
        self._store_model(as_value(model_value))

    def __setattr__(self, name: str, value: Any) -> None:
        # nn.Module registers an assigned nn.Parameter under the attribute's name, past the property.
        if name in ("model_value", "hardware_value"):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def model_value(self) -> Value:
        """Value in the model; a `torch.nn.Parameter` once the parameter is trainable."""
        return self._model  # type: ignore[return-value]

    @model_value.setter
    def model_value(self, value: Value) -> None:
        self._store_model(as_value(value))

    @property
    @abstractmethod
    def hardware_value(self) -> Value:
        """Value on the chip."""

    @hardware_value.setter
    def hardware_value(self, value: Value) -> None:
        raise NotImplementedError

    def with_hardware_value(self, value: Value) -> Self:
        """A parameter like this one with another hardware value.

        A loaded calibration uses it, so that one parameter object given to several modules stays as it is.
        A trainable model value is shared with the original, hence an optimizer keeps its hold on it.
        """
        other = copy.copy(self)
        for registry in ("_parameters", "_buffers"):  # nn.Module keeps values there; a plain copy shares them
            other.__dict__[registry] = self.__dict__[registry].copy()
        other.hardware_value = value
        return other

    def is_trainable(self) -> bool:
        """Whether the model value is a `torch.nn.Parameter`."""
        return isinstance(self._model, nn.Parameter)

    def make_trainable(self, set_on_chip_func: SetOnChip | None = None) -> Self:
        """Turn the model value into a `torch.nn.Parameter` and return self.

        Before every run on the chip, `set_on_chip_func(chip, coordinates, hardware_value)` writes the value to the
        registers of the neurons: `chip` is a `hxtorch.snn.morphology.registers.NeuronBlock`, `coordinates` lists
        the neurons' places. Without it, a value that has changed lets the chip be calibrated anew.
        """
        self._set_on_chip = set_on_chip_func
        if not self.is_trainable():
            value = torch.as_tensor(self._model).detach()
            self._store_model(nn.Parameter(value if value.is_floating_point() else value.float()))
        return self

    @property
    def has_chip_function(self) -> bool:
        """Whether `make_trainable` was given a function that writes the value to the chip."""
        return self._set_on_chip is not None

    def set_on_chip(self, chip: Any, coordinates: Any) -> None:
        """Write the hardware value with the function given to `make_trainable`; without one: ValueError."""
        if self._set_on_chip is None:
            raise ValueError(
                f"{type(self).__name__} has no function that writes it to the chip. "
                "Give one to make_trainable(set_on_chip_func=...)."
            )
        self._set_on_chip(chip, coordinates, self.hardware_value)

    def _store_model(self, value: Value) -> None:
        current = self._parameters.get("_model")
        if current is not None and not isinstance(value, nn.Parameter):
            new = torch.as_tensor(value, dtype=current.dtype, device=current.device).detach()
            # One number for all keeps the shape: runs before may still send their gradients here.
            current.data = (new.reshape(()).expand(current.shape) if new.numel() == 1 else new).clone()
            return
        if hasattr(self, "_model"):
            del self._model
        if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
            # A buffer follows `.to(device)`. It is not part of the state dict: it is a setting, not a state.
            self.register_buffer("_model", value, persistent=False)
        else:
            self._model: Value | nn.Module = value

    def __str__(self) -> str:
        return (
            f"{type(self).__name__}(at ({id(self)}), hardware_value={self.hardware_value}, "
            f"model_value={self.model_value}, trainable={self.is_trainable()})"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({show(self.model_value)})"


class HXParameter(HXBaseParameter):
    """One value for the model and the chip. `model_value` is read-only; `hardware_value` sets both."""

    @property
    def model_value(self) -> Value:
        """Value in the model, equal to the value on the chip."""
        return self._model  # type: ignore[return-value]

    @model_value.setter
    def model_value(self, value: Value) -> None:
        raise AttributeError(
            "The model_value of an HXParameter is read-only. Set hardware_value to change both, "
            "or use MixedHXModelParameter for different values."
        )

    @property
    def hardware_value(self) -> Value:
        """Value on the chip."""
        value = self.model_value
        return value.detach() if isinstance(value, Tensor) else value

    @hardware_value.setter
    def hardware_value(self, value: Value) -> None:
        self._store_model(as_value(value))


class MixedHXModelParameter(HXBaseParameter):
    """Independent values for the model (first) and the chip (second)."""

    def __init__(
        self,
        model_value: float | Sequence[float] | NDArray[Any] | Tensor,
        hardware_value: float | Sequence[float] | NDArray[Any] | Tensor,
    ) -> None:
        super().__init__(model_value)
        self._hardware = as_value(hardware_value)

    @property
    def hardware_value(self) -> Value:
        """Value on the chip."""
        return self._hardware

    @hardware_value.setter
    def hardware_value(self, value: Value) -> None:
        self._hardware = as_value(value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({show(self.model_value)}, {show(self.hardware_value)})"


class HXTransformedModelParameter(HXBaseParameter):
    """The chip's value follows the model's: ``hardware_value = func(model_value)``."""

    def __init__(
        self, model_value: float | Sequence[float] | NDArray[Any] | Tensor, func: Callable[[Any], Any]
    ) -> None:
        super().__init__(model_value)
        self.func = func

    @property
    def hardware_value(self) -> Value:
        """``func(model_value)``."""
        value = self.model_value
        return as_value(self.func(value.detach() if isinstance(value, Tensor) else value))

    @hardware_value.setter
    def hardware_value(self, value: Value) -> None:
        """Without effect: the model value alone decides, also when a calibration is loaded."""


class ModelParameter(HXBaseParameter):
    """A parameter of the model alone; `hardware_value` mirrors `model_value`."""

    @property
    def hardware_value(self) -> Value:
        """The model value."""
        value = self.model_value
        return value.detach() if isinstance(value, Tensor) else value

    @hardware_value.setter
    def hardware_value(self, value: Value) -> None:
        """Without effect: there is nothing on the chip."""


def as_parameter(value: float | Sequence[float] | NDArray[Any] | Tensor | HXBaseParameter) -> HXBaseParameter:
    """Numbers, arrays and tensors become an `HXParameter`; parameter objects stay what they are."""
    return value if isinstance(value, HXBaseParameter) else HXParameter(value)


def show(value: Value) -> str:
    """Short text of a value: the number itself, or the range of a tensor."""
    if not isinstance(value, Tensor):
        return f"{value:g}"
    if value.is_meta:
        return f"<{', '.join(map(str, value.shape))}: without values>"
    if value.numel() == 1:
        return f"{value.item():g}"
    low, high = value.detach().aminmax()
    return f"<{', '.join(map(str, value.shape))}: {low.item():g}..{high.item():g}>"

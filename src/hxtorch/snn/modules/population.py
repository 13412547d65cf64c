"""Populations of neurons: parameters, what is recorded, and the way of chip data to the model."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxtorch.snn import functional as F
from hxtorch.snn.graph.contract import HardwareData, Host
from hxtorch.snn.handles.handle import Handle, SynapseHandle
from hxtorch.snn.modules.base import HXModule
from hxtorch.snn.modules.masks import all_pass, mask_of
from hxtorch.snn.modules.recording import Recording, RecordingOption, TraceValue
from hxtorch.snn.modules.signatures import (
    POPULATION,
    Parameter,
    PlaceOptions,
    PopulationOptions,
    RecordingOptions,
    described_by,
)
from hxtorch.snn.morphology.registers import NeuronBlock
from hxtorch.snn.parameters.parameter import HXBaseParameter, HXParameter, Value, as_parameter, show
from hxtorch.snn.parameters.parameter_set import DESCRIPTIONS, ParameterSet
from hxtorch.snn.parameters.table import ModelUse, check_parameter, chip_range_report
from hxtorch.snn.recording.changes import State, same
from hxtorch.snn.recording.observables import HardwareObservables
from hxtorch.snn.recording.readout_source import ReadoutSource
from hxtorch.snn.refusals import positive_int, warn_user
from hxtorch.twin.places.coordinates import LogicalNeuronOnDLS, circuits_of

if TYPE_CHECKING:  # needed with a chip alone
    from hxtorch.calibration import CalibrationResult, CalibrationTarget

__all__ = ["Parameter", "Population", "TraceValue", "check_extra_params"]


class Population(HXModule):
    """Neurons with parameters; the base of all neuron modules.

    Every parameter is an attribute that holds a parameter object (`params` lists them). A number or tensor
    assigned to it becomes an `HXParameter`. `hxparams` are values of `hxtorch.snn.parameters.table`; what they
    leave out has the default of that table. Unknown names: TypeError.
    """

    input_field = "graded_spikes"
    remembers = True
    is_population = True
    resumes: bool | None = None  # whether it goes on from the step before, in loops; None: a trial tells
    found_to_resume: tuple[tuple[object, ...], bool] | None = None  # the situation of that trial, and its answer
    model_use: ModelUse | None = None  # the parameters in the equations of the model; None: equations of its own
    read_params_from_calibration = True  # whether hardware values follow a loaded calibration
    calibrated_circuits: NDArray[np.int64] | None = None  # whose targets the parameters have taken over

    enable_spike_recording = RecordingOption[bool]()
    enable_cadc_recording = RecordingOption[bool]()
    enable_cadc_recording_placement_in_dram = RecordingOption[bool]()
    cadc_readout_source = RecordingOption[ReadoutSource]()
    enable_madc_recording = RecordingOption[bool]()
    record_neuron_id = RecordingOption[int | tuple[int, int] | None]()
    madc_readout_source = RecordingOption[ReadoutSource]()
    trace_offset = RecordingOption[TraceValue]()
    trace_scale = RecordingOption[TraceValue]()
    cadc_time_shift = RecordingOption[int]()
    shift_cadc_to_first = RecordingOption[bool]()
    interpolation_mode = RecordingOption[str]()

    @described_by(POPULATION)
    def __init__(
        self, size: int, experiment: Host | None, *settings: Any, **options: Unpack[PopulationOptions]
    ) -> None:
        values = POPULATION.bind(type(self), settings, options)
        place = {name: values.pop(name) for name in PlaceOptions.__annotations__}
        recorded = {name: values.pop(name) for name in RecordingOptions.__annotations__}
        check_extra_params(type(self), values)
        super().__init__(experiment, place["execution_instance"], place["chip_coordinate"])
        self.size = positive_int("size", size)
        given = {**self.default_params(), **values}
        self.assign({name: as_parameter(value) for name, value in given.items() if value is not None})
        self.recording = Recording(self.size, **recorded)
        self.placement_constraint = _checked_places(place["placement_constraint"], self.size)
        self.neuron_structure = place["neuron_structure"]
        self._mask: Tensor | None = None
        self.calibration_read: CalibrationResult | None = None  # that whose targets these are
        self.parameter_set.check_holdoff()
        self._warn_outside_chip_range()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in DESCRIPTIONS:
            self.assign({name: as_parameter(value)})
        else:
            super().__setattr__(name, value)

    def assign(self, parameters: Mapping[str, HXBaseParameter]) -> None:
        """Take parameters in the place of those with the same names; unusable values: ValueError."""
        for name, parameter in parameters.items():
            check_parameter(name, parameter, self.size)
            self.add_module(name, parameter)

    @property
    def parameter_set(self) -> ParameterSet:
        """The parameters as they are now, with their owner."""
        known = {name: item for name, item in self.params.items() if name in DESCRIPTIONS}
        return ParameterSet(self.short_name, self.size, **known)

    @classmethod
    def default_params(cls) -> dict[str, Any]:
        """Values of parameters that the constructor is not given."""
        return {name: info.default for name, info in DESCRIPTIONS.items()}

    @property
    def mask(self) -> Tensor:
        """Which neurons (size,) pass their spikes on, as bool. Others fire, but nobody hears of it.

        Lists, arrays and tensors of any type can be assigned: what is not zero passes. They are copied, and
        reading gives a copy: assign to change it, None to let all pass. It is a setting of the user, that no run
        changes and that is not part of a `state_dict`; `BatchDropout` has a mask of its own.
        """
        return all_pass(self.size, "cpu") if self._mask is None else self._mask.clone()

    @mask.setter
    def mask(self, value: Any) -> None:
        # Its tensor is never changed in place, but replaced: whoever holds it has the mask of that run.
        self._mask = None if value is None else mask_of(value, self.size)

    @property
    def masks_neurons(self) -> bool:
        """Whether a mask was set."""
        return self._mask is not None

    def exec_forward(self, inputs: tuple[Handle, ...], output: Handle, hw_map: HardwareData) -> None:
        """Compute the module and fill `output`; spikes that the `mask` holds back are zero."""
        super().exec_forward(inputs, output, hw_map)
        self.mask_output(output)

    def masked(self, values: Tensor) -> Tensor:
        """`values` (..., size) with those of masked neurons set to zero."""
        return values if self._mask is None else values * self._mask.to(values)

    def mask_output(self, output: Handle) -> None:
        """Set the spikes of masked neurons in a handle to zero."""
        spikes = output.peek("spikes") if self._mask is not None and "spikes" in output.names() else None
        if spikes is not None:
            output.put(spikes=F.CarriedSpikes(self.masked(F.carried(spikes).values())))

    @property
    def configures_itself(self) -> bool:
        """Whether registers of these neurons are set by `configure_hw_entity` or a parameter's own function."""
        return type(self).configure_hw_entity is not Population.configure_hw_entity or any(
            item.has_chip_function for item in self.params.values()
        )

    def configure_hw_entity(self, neuron_id: int, neuron_block: NeuronBlock, coord: LogicalNeuronOnDLS) -> Any:
        """Set registers of one neuron before a run on the chip, after those of calibration and placement.

        Called for every neuron of the module (`neuron_id` counts from 0) with the registers of all circuits and the
        place of the neuron. Does nothing unless overridden: override it to set more, or something else.
        """
        return neuron_block

    def chip_state(self) -> State:
        """Values on the chip, what is recorded, and the mask."""
        return {
            "parameters": tuple(item.hardware_value for item in self.params.values()),
            "recording": self.recording.on_chip,
            "mask": (self._mask,),
        }

    def calib_changed_since_last_run(self) -> bool:
        """Whether the values on the chip differ from those of the last run on it; True before the first one."""
        now = self.chip_state()["parameters"]
        return self._last_state is None or not same(now, self._last_state["parameters"])

    def params_from_calibration(self, target: CalibrationTarget, neurons: Iterable[Any]) -> None:
        """Take over what a calibration aimed at, for neurons at these places, as hardware values."""
        from hxtorch.snn.targets.targets import (
            taken_over,  # imports the calibration, which mock mode never needs
        )

        self.assign(taken_over(self.parameter_set, target, self._places(neurons))[0])

    def calibration_from_params(self, target: CalibrationTarget, neurons: Iterable[Any]) -> CalibrationTarget:
        """`target` with the hardware values of these neurons at their places, one for every neuron."""
        from hxtorch.snn.targets.targets import target_of

        return target_of([(self.parameter_set, self._places(neurons))], target)

    def _places(self, neurons: Iterable[Any]) -> NDArray[np.int64]:
        places = [circuits_of(place)[0] for place in neurons]
        if len(places) != self.size:
            raise ValueError(f"There are {len(places)} places for {self.size} neurons. Give one for each.")
        return np.asarray(places, dtype=np.int64)

    @property
    def short_name(self) -> str:
        """Class and size, as errors and warnings name these neurons: ``Neuron(3)``."""
        return f"{type(self).__name__}({self.size})"

    @property
    def params(self) -> dict[str, HXBaseParameter]:
        """The parameters of these neurons by name."""
        return {name: item for name, item in self._modules.items() if isinstance(item, HXBaseParameter)}

    def params_dict(self) -> dict[str, HXBaseParameter]:
        """The parameters of the neurons by name, as a new dict."""
        return dict(self.params)

    def has_trainable_params(self) -> bool:
        """Whether the model value of a parameter is trained, see `HXBaseParameter.make_trainable`."""
        return any(item.is_trainable() for item in self.params.values())

    @property
    def input_size(self) -> int:
        """`size`."""
        return self.size

    @property
    def output_size(self) -> int:
        """`size`."""
        return self.size

    def model(self, name: str, like: Tensor) -> Value:
        """Model value of a parameter as an operand for `like`: a number, or a tensor of its dtype and device.

        Of a value with one row per synaptic input (excitatory, inhibitory) the model uses the mean.
        """
        value = self.params[name].model_value
        if not isinstance(value, Tensor):
            return value
        # A copy: what backward needs of it must not change with the parameter.
        value = value.to(like, copy=torch.is_grad_enabled())
        return value.mean(0) if value.ndim == 2 else value

    def summed_input(self, inputs: tuple[SynapseHandle, ...]) -> Tensor:
        """Sum of the graded spikes (T, B, size) of all inputs; unequal shapes: ValueError."""
        return self._summed([handle.graded_spikes for handle in inputs])

    def input_of(self, inputs: tuple[SynapseHandle, ...]) -> F.Carried:
        """`summed_input`, on its way from the synapses: that of a single one need not be in memory."""
        given = [handle.peek("graded_spikes") for handle in inputs]
        if len(given) == 1 and given[0] is not None:
            return F.carried(given[0])
        return F.Carried(self._summed([None if item is None else F.carried(item).values() for item in given]))

    def _summed(self, given: Sequence[Tensor | None]) -> Tensor:
        tensors = [tensor for tensor in given if tensor is not None]
        shapes = {tuple(tensor.shape) for tensor in tensors}
        if len(tensors) < len(given) or len(shapes) != 1:
            raise ValueError(
                f"The inputs of {self} have the shapes {sorted(shapes)}, expected graded spikes of one shape "
                f"(time, batch, {self.size})."
            )
        return sum(tensors[1:], start=tensors[0])

    def process_cadc(self, hw_data: HardwareObservables, runtime: float) -> Tensor | None:
        """The CADC trace on the time grid, shifted, offset and scaled; None if there is none."""
        return self.recording.cadc_trace(hw_data, runtime, self.dt)

    def process_spikes(self, hw_data: HardwareObservables, runtime: float) -> Tensor | None:
        """The spikes on the time grid; None if there are none."""
        return None if hw_data.spikes is None else hw_data.spikes.to_dense(runtime, self.dt)

    def process_madc(self, hw_data: HardwareObservables) -> Tensor | None:
        """The MADC samples (2, samples, B); None if there are none."""
        return None if hw_data.madc is None else hw_data.madc.to_raw()

    @property
    def dt(self) -> float:
        """Time step of the experiment, in seconds."""
        if self.experiment is None:
            raise RuntimeError(f"{type(self).__name__} has no experiment. Give it one at construction.")
        return self.experiment.dt

    def _warn_outside_chip_range(self) -> None:
        instance = self.execution_instance
        if instance is None or getattr(instance, "calibration", None) is not None:  # that decides
            return
        report = chip_range_report(self.params)
        if report:
            warn_user(
                f"{type(self).__name__} asks for values outside of the range of reliable calibration: "
                f"{'; '.join(report)}. For values of the model alone use MixedHXModelParameter."
            )

    def extra_repr(self) -> str:
        """Size and all parameters that differ from their defaults, as `print` shows them."""
        parts = [f"size={self.size}"]
        for name, item in self.params.items():
            if self._is_default(name, item):
                continue
            plain = type(item) is HXParameter
            parts.append(f"{name}={show(item.model_value) if plain else repr(item)}")
        return ", ".join(parts)

    def default_of(self, name: str) -> Any:
        """Default of a parameter of these neurons."""
        return DESCRIPTIONS[name].default

    def _is_default(self, name: str, item: HXBaseParameter) -> bool:
        given = self.default_of(name)
        if given is None or item.is_trainable():
            return False
        default = as_parameter(given)
        values = (item.model_value, item.hardware_value)
        if type(item) is not type(default) or any(isinstance(v, Tensor) and v.is_meta for v in values):
            return False
        return same(values, (default.model_value, default.hardware_value))

    def __repr__(self) -> str:
        # The parameters are submodules; torch's own text would give each a line.
        return f"{type(self).__name__}({self.extra_repr()})"


def check_extra_params(module: type, extra: Mapping[str, Any]) -> None:
    """TypeError for a keyword that is no parameter of neurons, with the closest valid name."""
    for name in extra:
        if name in DESCRIPTIONS:
            continue
        signatures = [inspect.signature(kind).parameters for kind in (module, Population)]
        valid = sorted({*DESCRIPTIONS}.union(*signatures) - {"extra_params", "hxparams"})
        close = difflib.get_close_matches(name, valid, n=1)
        hint = f"Did you mean '{close[0]}'?" if close else f"Valid are {', '.join(valid)}."
        raise TypeError(f"{module.__name__} got an unexpected keyword argument '{name}'. {hint}")


def _checked_places(given: Sequence[Any] | None, size: int) -> Sequence[Any] | None:
    if given is not None and len(given) != size:
        raise ValueError(
            "The number of neurons in logical neurons in `placement_constraint` does not equal the "
            f"`size` of the module. It has {len(given)} entries for {size} neurons."
        )
    for place in given if given is not None else ():
        circuits_of(place)  # refuses what is no place
    return given

"""The arguments of neurons' constructors: each name, type and default stands once.

A constructor takes ``(size, experiment, *settings, **options)`` and hands them to its `Constructor`, which knows
the order of positional arguments that scripts use. `described_by` shows the arguments to `help` and editors.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict, TypeVar

from numpy.typing import NDArray
from torch import Tensor

from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.modules.recording import RECORDING_OPTIONS, TraceValue
from hxtorch.snn.parameters.parameter import HXBaseParameter
from hxtorch.snn.parameters.parameter_set import DESCRIPTIONS
from hxtorch.snn.recording.readout_source import ReadoutSource

Parameter = float | Sequence[float] | NDArray[Any] | Tensor | HXBaseParameter
F = TypeVar("F", bound=Callable[..., None])


class PlaceOptions(TypedDict, total=False):
    """Where neurons run."""

    execution_instance: ExecutionInstance | None
    chip_coordinate: Any
    placement_constraint: Sequence[Any] | None
    neuron_structure: Any


class RecordingOptions(TypedDict, total=False):
    """What is recorded of them, see `hxtorch.snn.modules.recording.Recording`."""

    enable_spike_recording: bool
    enable_cadc_recording: bool
    enable_cadc_recording_placement_in_dram: bool
    cadc_readout_source: ReadoutSource
    enable_madc_recording: bool
    record_neuron_id: int | tuple[int, int] | None
    madc_readout_source: ReadoutSource
    trace_offset: TraceValue
    trace_scale: TraceValue
    cadc_time_shift: int
    shift_cadc_to_first: bool
    interpolation_mode: str


class ParameterOptions(TypedDict, total=False):
    """Their parameters, see `hxtorch.snn.parameters.parameter_set.ParameterSet`."""

    leak: Parameter
    reset: Parameter
    threshold: Parameter
    tau_mem: Parameter
    tau_syn: Parameter
    i_synin_gm: Parameter
    membrane_capacitance: Parameter | None
    refractory_time: Parameter
    synapse_dac_bias: Parameter
    holdoff_time: Parameter
    exponential_slope: Parameter
    exponential_threshold: Parameter
    subthreshold_adaptation_strength: Parameter
    spike_triggered_adaptation_increment: Parameter
    clock_scale_adaptation_pulse: Parameter
    tau_adap: Parameter
    leak_adaptation: Parameter | None
    e_coba_reversal: Parameter | None
    e_coba_reference: Parameter | None


class PopulationOptions(PlaceOptions, RecordingOptions, ParameterOptions, total=False):
    """All arguments of a population beside size and experiment."""


class NeuronOptions(PopulationOptions, total=False):
    """Those of neurons with a surrogate gradient."""

    method: str
    alpha: float


class TermOptions(NeuronOptions, total=False):
    """Those of neurons whose terms can be chosen."""

    leaky: bool
    fire: bool
    exponential: bool
    subthreshold_adaptation: bool
    spike_triggered_adaptation: bool


@dataclass(frozen=True)
class Constructor:
    """Names of arguments: `positional` in their order, `keyword` ones, and others by keyword in the end (`rest`).

    `defaults` are those that differ from the usual ones.
    """

    positional: tuple[str, ...]
    keyword: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    rest: str = "extra_params"

    def default(self, name: str) -> Any:
        """Default of an argument."""
        return self.defaults[name] if name in self.defaults else _DEFAULTS[name]

    def bind(self, module: type, settings: tuple[Any, ...], options: Mapping[str, Any]) -> dict[str, Any]:
        """All arguments by name, with their defaults; TypeError if there are too many or one is given twice."""
        if len(settings) > len(self.positional):
            raise TypeError(
                f"{module.__name__} takes at most {len(self.positional) + 2} arguments by position, got "
                f"{len(settings) + 2}. Give the others by keyword."
            )
        given = dict(zip(self.positional, settings))
        twice = [name for name in given if name in options]
        if twice:
            raise TypeError(f"{module.__name__} got multiple values for argument '{twice[0]}'.")
        usual = {name: self.default(name) for name in (*self.positional, *self.keyword)}
        return {**usual, **given, **options}

    @property
    def signature(self) -> inspect.Signature:
        """As it is shown to users."""
        kinds = inspect.Parameter
        either = kinds.POSITIONAL_OR_KEYWORD
        shown = [kinds(name, either) for name in ("self", "size", "experiment")]
        shown += [kinds(name, either, default=self.default(name)) for name in self.positional]
        shown += [kinds(name, kinds.KEYWORD_ONLY, default=self.default(name)) for name in self.keyword]
        return inspect.Signature([*shown, kinds(self.rest, kinds.VAR_KEYWORD)])


def described_by(constructor: Constructor) -> Callable[[F], F]:
    """Let `help` and editors see the arguments that a constructor takes."""

    def describe(function: F) -> F:
        function.__signature__ = constructor.signature  # type: ignore[attr-defined]
        return function

    return describe


_DEFAULTS: Mapping[str, Any] = {
    **{name: told.default for name, told in DESCRIPTIONS.items()},
    **RECORDING_OPTIONS,
    **dict.fromkeys(PlaceOptions.__annotations__),
    "method": "superspike",
    "alpha": 50.0,
    **dict.fromkeys(set(TermOptions.__annotations__) - set(NeuronOptions.__annotations__), True),
}

_FIRING = (
    "leak",
    "reset",
    "threshold",
    "tau_mem",
    "tau_syn",
    "i_synin_gm",
    "membrane_capacitance",
    "refractory_time",
    "synapse_dac_bias",
    "holdoff_time",
    "method",
    "alpha",
)
_OF_FIRING_ALONE = (
    "reset",
    "threshold",
    "refractory_time",
    "holdoff_time",
    "method",
    "alpha",
    "enable_spike_recording",
)
_SOURCES = ("cadc_readout_source", "madc_readout_source")
_ADAPTING = (
    "exponential_slope",
    "exponential_threshold",
    "subthreshold_adaptation_strength",
    "spike_triggered_adaptation_increment",
    "clock_scale_adaptation_pulse",
    "tau_adap",
    "leak_adaptation",
)
_TERMS = ("leaky", "fire", "exponential", "subthreshold_adaptation", "spike_triggered_adaptation")
_PLACE = ("execution_instance", "chip_coordinate")


def _recorded(*without: str) -> tuple[str, ...]:
    """The options of a recording, with those of the placement where scripts give them."""
    names = [name for name in RECORDING_OPTIONS if name not in without]
    names.insert(names.index("trace_offset"), "placement_constraint")
    return (*names, "neuron_structure")


def _of_readout(names: tuple[str, ...]) -> tuple[str, ...]:
    """Without what belongs to firing."""
    return tuple(name for name in names if name not in _OF_FIRING_ALONE)


_MODEL_CAPACITANCE = {"membrane_capacitance": None}
_recording = _recorded(*_SOURCES)

POPULATION = Constructor(_PLACE, _recorded(), rest="hxparams")
NEURON = Constructor((*_FIRING, "execution_instance", *_recording), ("chip_coordinate",))
READOUT_NEURON = Constructor(
    _of_readout((*_FIRING, "execution_instance", *_recording)), ("chip_coordinate", "method", "alpha")
)
AELIF_NEURON = Constructor((*_FIRING, *_ADAPTING, *_PLACE, *_recorded(), *_TERMS), defaults=_MODEL_CAPACITANCE)
LIF_NEURON = Constructor((*_FIRING, *_PLACE, *_recording), defaults=_MODEL_CAPACITANCE)
LI_NEURON = Constructor(_of_readout((*_FIRING, *_PLACE, *_recording)), defaults=_MODEL_CAPACITANCE)

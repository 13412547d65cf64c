"""The virtual chip: one die with its fixed pattern, temporal noise, and the engine that runs programs on it."""

from typing import TYPE_CHECKING

from hxtorch._alias import moved_modules_of
from hxtorch._kernels.threads import get_num_threads, set_num_threads
from hxtorch._moved import MOVED
from hxtorch.twin import coupling, die_file, fit, inference, membranes, plasticity  # noqa: F401  # older paths
from hxtorch.twin.chip import DEFAULT_CHIP_SEED, Chip, VirtualChip
from hxtorch.twin.conformance import RecordingError, check_chip, checked
from hxtorch.twin.die import Die
from hxtorch.twin.pattern.noise import Noise
from hxtorch.twin.program import (
    CadcSamples,
    InputEvents,
    MadcSamples,
    Program,
    ProgramError,
    Record,
    Recording,
    SentEvents,
    Spikes,
    Trace,
)
from hxtorch.twin.program.config import (
    ChipConfig,
    CommonConfig,
    ConfigError,
    NeuronConfig,
    PlasticityConfig,
    ReadoutSource,
    RoutingConfig,
    RowMode,
)

__all__ = [
    "DEFAULT_CHIP_SEED",
    "CadcSamples",
    "Chip",
    "ChipConfig",
    "CommonConfig",
    "ConfigError",
    "Die",
    "InputEvents",
    "MadcSamples",
    "NeuronConfig",
    "Noise",
    "PlasticityConfig",
    "Program",
    "ProgramError",
    "ReadoutSource",
    "Record",
    "Recording",
    "RecordingError",
    "RoutingConfig",
    "RowMode",
    "SentEvents",
    "Spikes",
    "Trace",
    "VirtualChip",
    "check_chip",
    "checked",
    "get_num_threads",
    "set_num_threads",
]

if not TYPE_CHECKING:  # a type checker would take any name for a module
    __getattr__ = moved_modules_of(__name__, MOVED)

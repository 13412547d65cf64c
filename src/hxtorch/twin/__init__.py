"""The virtual chip: one die with its fixed pattern, temporal noise, and the engine that runs programs on it."""

from hxtorch.twin.chip import DEFAULT_CHIP_SEED, Chip, VirtualChip
from hxtorch.twin.config import (
    ChipConfig,
    CommonConfig,
    ConfigError,
    NeuronConfig,
    PlasticityConfig,
    ReadoutSource,
    RoutingConfig,
    RowMode,
)
from hxtorch.twin.conformance import RecordingError, check_chip, run_checked
from hxtorch.twin.die import Die
from hxtorch.twin.noise import Noise
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
from hxtorch.twin.threads import get_num_threads, set_num_threads

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
    "get_num_threads",
    "run_checked",
    "set_num_threads",
]

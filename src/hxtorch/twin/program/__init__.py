"""What a chip is told and what it returns: registers, programs and recordings."""

from hxtorch.twin.program.program import (
    TRACE_STATES,
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

__all__ = [
    "TRACE_STATES",
    "CadcSamples",
    "InputEvents",
    "MadcSamples",
    "Program",
    "ProgramError",
    "Record",
    "Recording",
    "SentEvents",
    "Spikes",
    "Trace",
]

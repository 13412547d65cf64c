"""The time loop and its kernels: emulates batch entries step by step. Numbers only: no codes, no die."""

from hxtorch.twin.engine.arguments import Scratch, SpikeBuffer, blocks_are_independent, scratch
from hxtorch.twin.engine.board import Board, Stimulus
from hxtorch.twin.engine.loop import run_entries

__all__ = ["Board", "Scratch", "SpikeBuffer", "Stimulus", "blocks_are_independent", "run_entries", "scratch"]

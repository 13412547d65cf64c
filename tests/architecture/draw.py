"""Writes the drawings of docs/architecture.md anew: `python tests/architecture/draw.py`, about ten seconds."""

import sys
import tempfile
import warnings
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "journeys")]
from house import drawing
from page import write

from journeys import drawings, recorded

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    write("floors", drawing())
    for name, lines in drawings(recorded(tempfile.mkdtemp())).items():
        write(name, lines)

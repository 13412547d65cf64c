"""The references of the twin's bench (`tests/twin/bench.py`) serve the mapping too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "twin"))

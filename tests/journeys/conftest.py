"""The recorder of journeys, and the page that shows them, are importable in these tests."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "architecture")]

"""The recorder of journeys is importable in these tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

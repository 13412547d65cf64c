"""The helpers of the twin's tests, and those that read registers back, are importable here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "twin"))
sys.path.insert(0, str(Path(__file__).parent))

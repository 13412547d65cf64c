"""How long `import hxtorch.snn` takes beyond torch's own import, in fresh interpreters: the smallest of five."""

from __future__ import annotations

import subprocess
import sys

RUNS = 5


def seconds(module: str) -> float:
    """Smallest of `RUNS` measured import times."""
    code = f"import time; begin = time.perf_counter(); import {module}; print(time.perf_counter() - begin)"
    return min(float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(RUNS))


def main() -> None:
    """Measure and print."""
    torch, snn, door = (seconds(name) for name in ("torch", "hxtorch.snn", "hxtorch"))
    print(f"torch {torch:.2f} s, hxtorch.snn {snn:.2f} s (+{snn - torch:.2f} s), hxtorch alone {door:.2f} s")


if __name__ == "__main__":
    main()

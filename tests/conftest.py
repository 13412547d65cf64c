"""Settings that hold for all tests, and what the processes of a run share so that no work is done twice."""

from __future__ import annotations

import gc
import os
import random
import sys
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]

# --- Before torch is loaded, also in the processes that tests start ------------------------------------------

# Several tests run at a time: threads of torch that wait for each other sleep, instead of keeping a processor busy.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Where Python must not write compiled files beside its sources, each of fifty processes would compile all of torch.
# They share a folder in the cache of pytest instead.
if sys.dont_write_bytecode:
    folder = ROOT / ".pytest_cache" / "bytecode"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(folder)
    sys.dont_write_bytecode = False

# --- Chance --------------------------------------------------------------------------------------------------

# A run must not pass or fail by chance. Who looks for new examples says HYPOTHESIS_PROFILE=person.
settings.register_profile("gate", derandomize=True, print_blob=True, deadline=None)
settings.register_profile("person", deadline=None)  # a busy machine is no failure
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "gate")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Random numbers of a test do not depend on the tests before it, which differ from run to run."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


# --- What is shared ------------------------------------------------------------------------------------------


def pytest_collection_finish() -> None:
    """What was imported lives until the end: the garbage collector need not look through it at every test."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run, the same for all of its workers."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

"""Importing does nothing but import."""

import ast
import os
import subprocess
import sys

CODE = """
import sys, threading
import numpy, numba, torch

events = []


def watch(name, args):
    written = name == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    if written or name in ("os.mkdir", "os.remove", "os.rename"):
        events.append(str(args[0]))
    elif name in ("subprocess.Popen", "os.system", "os.fork", "socket.connect", "exec"):
        events.append(name) if name != "exec" else None


def state():
    return threading.active_count(), torch.get_num_threads(), torch.random.get_rng_state().tolist(), (
        numpy.random.get_state()[1].tolist()), torch.get_default_dtype(), sys.getrecursionlimit()


before = state()
sys.addaudithook(watch)
import hxtorch.snn

print([sorted(set(events)), before == state(), [n for n in ("matplotlib", "nir", "scipy") if n in sys.modules]])
"""


def test_importing_starts_and_changes_nothing(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    command = [sys.executable, "-W", "error", "-c", CODE]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=tmp_path)
    events, unchanged, loaded = ast.literal_eval(done.stdout)
    assert [
        event for event in events if not event.startswith(str(tmp_path / "kernels"))
    ] == []  # machine code alone
    assert unchanged and loaded == []
    assert done.stderr == ""

"""Settings that hold for all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# A person who runs the tests gets new examples every time; a gate must not pass or fail by chance.
settings.register_profile("gate", derandomize=True, print_blob=True, deadline=None)
settings.register_profile("person", deadline=None)  # a busy machine is no failure
settings.load_profile("person")
if os.environ.get("CI"):
    settings.load_profile("gate")

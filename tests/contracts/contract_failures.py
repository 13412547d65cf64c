"""Running the tests of a contract on something faulty: which of them fail, and what they say."""

from __future__ import annotations

import pytest


def failures(contract):
    """Messages of the failing tests of a contract by name; anything but an AssertionError is an error here, too."""
    found = {}
    for name in dir(contract):
        if name.startswith("test_"):
            try:
                getattr(contract(), name)()
            except AssertionError as error:
                found[name] = str(error)
    return found


def require_failure(contract, test, *words):
    """The test named `test` fails, with a sentence that holds these words."""
    with pytest.raises(AssertionError) as error:
        getattr(contract(), test)()
    message = str(error.value)
    for word in words:
        assert word in message, message
    assert message.endswith(".") and len(message) < 600, message

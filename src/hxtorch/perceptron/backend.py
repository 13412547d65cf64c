"""What the operations need of a chip when they do not run in mock mode."""

from __future__ import annotations

from typing import NoReturn

from hxtorch.connection import connected_chip


def require_connection() -> None:
    """RuntimeError without a connection."""
    if connected_chip() is None:
        raise RuntimeError(
            "No connection allocated. Call hxtorch.init_hardware() first, or use mock=True to simulate."
        )


def require_mac_chip() -> NoReturn:
    """RuntimeError without a connection, NotImplementedError with one: no chip here has this mode."""
    require_connection()
    raise NotImplementedError(
        "The virtual chip emulates spiking networks; it has no multiply-accumulate mode. Use mock=True, with "
        "hxtorch.perceptron.set_mock_parameter(hxtorch.perceptron.MockParameter(noise_std=..., gain=...)) "
        "for the gain and noise of your chip."
    )

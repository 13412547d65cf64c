"""How an experiment wants its networks to run on the chip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # mock mode needs neither
    from hxtorch.mapping import Mapping, Network


@dataclass(frozen=True)
class ChipSettings:
    """Settings of a run.

    * `dt`: time step of inputs and observables, in seconds.
    * `partition`: spread a network that exceeds the chip over several runs.
    * `route`: places and routes a network; None is `hxtorch.mapping.map_network`.
    * `wait`: between batch entries, in cycles of 8 ns.
    """

    dt: float
    partition: bool = False
    route: Callable[[Network], Mapping] | None = None
    wait: int = 0

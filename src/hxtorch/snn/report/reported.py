"""What a report reads of an experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hxtorch.snn.chip.plan import PlanCache
    from hxtorch.snn.graph.last_run import LastRun


class Reported(Protocol):
    """Something that ran a network: an experiment, or what stands for one."""

    @property
    def mock(self) -> bool:
        """Whether the model ran alone, without a chip."""
        ...

    @property
    def dt(self) -> float:
        """Time step in s."""
        ...

    @property
    def last_run(self) -> LastRun | None:
        """What ran last; None if nothing did."""
        ...

    @property
    def plans(self) -> PlanCache:
        """How networks were laid on the chip; not read in mock mode."""
        ...

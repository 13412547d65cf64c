"""How a calibration is done, apart from what it aims at."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

from hxtorch.calibration.errors import CalibrationError

Gain = Literal["matched", "raw"]
GAINS: tuple[Gain, ...] = get_args(Gain)


@dataclass(frozen=True)
class CalibrationOptions:
    """Choices of a calibration.

    * `gain`: "matched" tunes every synaptic input to the response that the median excitatory input of the chip
      gives at the target's `i_synin_gm`; with an array as the target, every circuit to its own share of that.
      "raw" writes the target's codes as they are.
    * `equalize_dac`: tune the synapse DAC's bias of the quadrants to equal charges.
    * `drivers`: equalize the synapse drivers with short-term plasticity by their offsets.
    * `refine`: repeat CADC and potentials at the end, when all other cells have their values.
    """

    gain: Gain = "matched"
    equalize_dac: bool = True
    refine: bool = True
    drivers: bool = True

    def __post_init__(self) -> None:
        if self.gain not in GAINS:
            raise CalibrationError(f"The option gain is {self.gain!r}. Known: {', '.join(GAINS)}.")
        for item in fields(self):
            value = getattr(self, item.name)
            if type(item.default) is bool and type(value) is not bool:
                raise CalibrationError(f"The option {item.name} is {value!r}, but it is True or False.")

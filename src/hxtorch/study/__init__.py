"""How networks fare on many chips, with faults, without calibration, with more noise.

A `Condition` says what is different; `conditions` makes lists of them; `study` evaluates a function under each,
in parallel, and returns a `Study` with its table and figure. `hxtorch.reproduce.studies` holds such functions
for published trainings; any other function works too.

    >>> from hxtorch import study
    >>> wanted = study.conditions(chip=[1, 2], decalibration=[0.0, 0.2])
    >>> len(wanted)
    4
"""

from hxtorch.study.conditions import Condition, conditions
from hxtorch.study.damage import damaged, decalibrated
from hxtorch.study.run import Study, study
from hxtorch.study.setup import connected, prepare

__all__ = ["Condition", "Study", "conditions", "connected", "damaged", "decalibrated", "prepare", "study"]

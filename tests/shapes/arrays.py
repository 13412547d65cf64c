"""Arrays of other shapes or types than those of their names are refused."""

import numpy as np
from checked import refused  # first

from hxtorch.snn.recording.observables import CADCHandle
from hxtorch.twin import CadcSamples, InputEvents, Spikes

numbers = np.arange(3)
assert not refused(lambda: Spikes(numbers, numbers, numbers))
assert refused(lambda: Spikes(numbers, numbers, numbers[:2]))
assert refused(lambda: Spikes(numbers, numbers, numbers.astype(float)))
assert refused(lambda: InputEvents(numbers, numbers[:2], numbers, numbers))
time, count, codes = np.zeros((2, 2, 5)), np.zeros((2, 2), np.int64), np.zeros((2, 5, 3), np.uint8)
assert not refused(lambda: CadcSamples(numbers, time, count, codes))
assert refused(lambda: CadcSamples(numbers, time, count, codes[:, :, :2]))
assert refused(lambda: CadcSamples(numbers, time, count[:1], codes))
assert refused(lambda: CADCHandle(codes, time, count, numbers[:2]))

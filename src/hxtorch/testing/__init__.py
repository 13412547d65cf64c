"""Contracts with which a neuron model or a chip of your own is tested, with pytest or unittest.

A contract is a mixin: a class of tests derives from it, says how the thing under test is made, and inherits what
has to hold of every one. Knobs are attributes of the class.

```python
from hxtorch.testing import NeuronContract


class TestMyNeuron(NeuronContract):
    def make_neuron(self, size, experiment):
        return MyNeuron(size, experiment, threshold=100)
```

Needs no test framework: every method ``test_*`` can be called, and raises AssertionError with what is wrong.
"""

from hxtorch.testing.chip import ChipContract
from hxtorch.testing.neuron import NeuronContract

__all__ = ["ChipContract", "NeuronContract"]

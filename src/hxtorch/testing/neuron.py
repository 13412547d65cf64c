"""The contract of a neuron model: what experiments, synapses, loops and training rely on."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

import hxtorch.snn as hxsnn
from hxtorch.snn.handles.handle import Handle
from hxtorch.snn.modules import HXBaseExperimentModule, Population
from hxtorch.testing.checks import require
from hxtorch.testing.neuron_gradients import NeuronGradients


class NeuronContract(NeuronGradients):
    """What holds of every neuron model. Derive a class of tests from it and define `make_neuron`.

    Knobs, as attributes of the class:

    * `size`, `batch`, `steps`, `dt` (s): of the runs.
    * `weak`, `strong`: inputs between 0 and this number stay below the threshold, or make neurons fire.
    * `spikes`: whether the neurons fire at all.
    * `smooth`: whether membrane and current have the gradients of the equations. Neurons with gradients of
      spikes alone have not.
    * `rest`: membrane without input; None is the parameter `leak`, or where it starts if there is none.
      `rest_tolerance`: how far it may go from there.
    * `parameters`: names of those whose gradients are looked at; None: all that the class names in `model_use`.
    * `takes_hw_data`: whether `forward_func` can show the data of a chip.
    * `adds_inputs`: whether the neurons hear the sum of several synapses.
    * `loops`: whether they may hear their own spikes.
    * `random_in_training`: whether they draw random numbers in training; then all but one test use ``eval()``.
    * `tolerance`: of values, relative to the largest one.
    * `slope_tolerance`: of gradients against finite differences. Raise it where surrogate gradients reach the
      membrane below the threshold, too, which no difference sees.

    Neurons that need a synapse of their own override `connect`.
    """

    def test_has_what_a_neuron_needs(self) -> None:
        """A size, an experiment, handles that name what it shows, and equations of its own."""
        experiment = hxsnn.Experiment(mock=True, dt=self.dt)
        for size in (self.size, self.size + 2):
            neuron = self.make(experiment, size)
            for name in ("size", "input_size", "output_size"):
                found = getattr(neuron, name, None)
                require(found == size, f"{name} of the neurons is {found}, but make_neuron was asked for {size}.")
            require(neuron.experiment is experiment, "The neurons do not belong to the experiment they were given.")
            kind = neuron.output_type
            require(
                isinstance(kind, type) and issubclass(kind, Handle), f"output_type is {kind!r}, not a handle class."
            )
            fields = {"membrane_cadc", *(("spikes",) if self.spikes else ())}
            missing = fields - set(kind.names())
            require(not missing, f"output_type {kind.__name__} has no {', '.join(sorted(missing))}.")
            require(
                getattr(type(neuron), "forward_func", None) is not HXBaseExperimentModule.forward_func,
                f"{type(neuron).__name__} has no forward_func: define what the neurons compute.",
            )

    def test_refuses_other_shapes(self) -> None:
        """Inputs for another number of neurons, and without a batch, are a ValueError."""
        neuron = self.make()
        wrong = torch.zeros(self.steps, self.batch, self.size + 1)
        for x in (wrong, wrong[..., : self.size][:, 0]):
            try:
                self.observe(neuron, x)
            except ValueError:
                continue
            except Exception as error:
                raise AssertionError(
                    f"An input of shape {tuple(x.shape)} is a {type(error).__name__}, expected ValueError: {error}."
                ) from error
            raise AssertionError(f"An input of shape {tuple(x.shape)} was taken by {neuron}, expected ValueError.")

    def test_training_and_evaluation(self) -> None:
        """``train()`` and ``eval()`` work, and an evaluation gives the same every time."""
        neuron, x = self.make(), self.input(self.strong)
        neuron.eval()
        require(not neuron.training, "eval() leaves `training` True.")
        evaluated = self.observe(neuron, x)
        self.require_close(self.observe(neuron, x), evaluated, "Evaluated twice")
        neuron.train()
        trained = self.observe(neuron, x)
        require(neuron.training, "A run switches `training` off.")
        if self.random_in_training:
            require(trained.keys() == evaluated.keys(), "Training and evaluation show different observables.")
        else:
            self.require_close(trained, evaluated, "In training and evaluation")

    def test_state_dict(self) -> None:
        """Trained parameters come back from a `state_dict`, and with them everything that the neurons show."""
        x = self.input(self.strong)
        trained, fresh = (self._trainable() for _ in range(2))
        if not list(trained.parameters()):
            return
        self._disturb(list(trained.parameters()))
        expected = self.observe(trained, x)
        try:
            fresh.load_state_dict(trained.state_dict())
        except RuntimeError as error:
            raise AssertionError(f"A state_dict of these neurons does not load: {error}.") from error
        self.require_close(self.observe(fresh, x), expected, "After load_state_dict")

    def test_deepcopy(self) -> None:
        """A copy computes the same, and training it leaves the original alone."""
        x, neuron = self.input(self.strong), self._trainable()
        before = {name: tensor.detach().clone() for name, tensor in self.observe(neuron, x).items()}
        copy = deepcopy(neuron)
        self.require_close(self.observe(copy, x), before, "A deep copy")
        self._disturb(list(copy.parameters()))
        self.require_close(self.observe(neuron, x), before, "After the parameters of a deep copy have changed")

    def test_mask(self) -> None:
        """The spikes of neurons that `mask` holds back are 0, those of the others are what they were."""
        if not self.spikes:
            return
        neuron, x = self.make(), self.input(self.strong)
        expected = self.observe(neuron, x)["spikes"].detach() * (torch.arange(self.size) > 0)
        neuron.mask = [0] + [1] * (self.size - 1)
        self.require_close({"spikes": self.observe(neuron, x)["spikes"]}, {"spikes": expected}, "With a mask")

    def _trainable(self) -> Population:
        neuron = self.make()
        for parameter in self.checked_parameters(neuron).values():
            parameter.make_trainable()
        return neuron

    def _disturb(self, parameters: list[Tensor]) -> None:
        with torch.no_grad():
            for parameter in parameters:
                parameter.mul_(0.97)

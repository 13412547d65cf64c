"""The contract of neurons finds planted faults, each in the test that is meant for it, and says what is wrong."""

from __future__ import annotations

import pytest
import torch
from contract_failures import failures, require_failure

import hxtorch.snn as hxsnn
from hxtorch.snn import functional as F
from hxtorch.snn.modules import HXBaseExperimentModule, Population
from hxtorch.snn.recording.observables import neuron_data
from hxtorch.testing import NeuronContract


class Good(hxsnn.Neuron):
    """The equations of `Neuron`, and a place for faults before and behind them."""

    def forward_func(self, *input, hw_data=None):
        x = self.before(self.summed_input(input))
        spikes, cadc, madc = neuron_data(self.recorded(hw_data))
        states = F.integrate(x, *self.equations(x), measured=F.Measured(cadc, spikes), dt=self.dt)
        shown = self.behind({"spikes": states.spikes, "membrane_cadc": states.membrane, "current": states.current})
        return hxsnn.NeuronHandle(membrane_madc=madc, **shown)

    def before(self, x):
        return x

    def recorded(self, hw_data):
        return hw_data

    def behind(self, shown):
        return shown


class WithoutEquations(Population):
    output_type = hxsnn.NeuronHandle


class OneTooMany(Good):
    def __init__(self, size, experiment):
        super().__init__(size + 1, experiment)


class Elsewhere(Good):
    def __init__(self, size, experiment):
        super().__init__(size, hxsnn.Experiment(mock=True))


class Scaled(torch.autograd.Function):
    """Passes values on, and half more gradient."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return 1.5 * grad


class WrongGradient(Good):
    def before(self, x):
        return Scaled.apply(x)


class DetachedLeak(Good):
    def model(self, name, like):
        value = super().model(name, like)
        return value.detach() if name == "leak" and isinstance(value, torch.Tensor) else value


class NoGradientOfSpikes(Good):
    def behind(self, shown):
        return shown | {"spikes": shown["spikes"].detach()}


class NanGradient(Good):
    def behind(self, shown):
        spikes = shown["spikes"]
        return shown | {"spikes": spikes + 0 * torch.sqrt(spikes * 0)}


class KeepsItsMembrane(Good):
    left = 0.0

    def behind(self, shown):
        membrane = shown["membrane_cadc"] + 0.01 * self.left
        self.left = float(membrane.detach()[-1].mean())
        return shown | {"membrane_cadc": membrane}


class OneBuffer(Good):
    memory = None

    def behind(self, shown):
        current = shown["current"]
        if self.memory is None or self.memory.shape != current.shape or self.memory.dtype != current.dtype:
            self.memory = torch.empty_like(current)
        with torch.no_grad():
            self.memory.copy_(current)
        return shown | {"current": self.memory}


class BatchShifted(Good):
    """Every entry gets the output of the same place, whoever is there: a table by number of the entry."""

    def before(self, x):
        return x * torch.linspace(1, 2, x.shape[1]).to(x)[:, None]


class BatchNormed(Good):
    def before(self, x):
        return x - 0.2 * x.mean(1, keepdim=True)


class BatchFirst(Good):
    def behind(self, shown):
        return shown | {"membrane_cadc": shown["membrane_cadc"].swapaxes(0, 1)}


class OneStepMore(Good):
    def behind(self, shown):
        return {name: torch.cat([tensor, tensor[-1:]]) for name, tensor in shown.items()}


class WithoutMembrane(Good):
    def behind(self, shown):
        return shown | {"membrane_cadc": None}


class SinglePrecision(Good):
    def behind(self, shown):
        return {name: tensor.float() for name, tensor in shown.items()}


class GradedSpikes(Good):
    def behind(self, shown):
        return shown | {"spikes": shown["spikes"] * 0.5}


class LooksAhead(Good):
    def before(self, x):
        return torch.cat([x[1:], torch.zeros_like(x[:1])])


class MindsTheLength(Good):
    def before(self, x):
        return x * (1.0 if len(x) > 15 else 0.5)


class FiresAtOnce(Good):
    """The input of a step reaches the membrane, and the spikes, in the same step."""

    def before(self, x):
        return torch.cat([x[1:], torch.zeros_like(x[:1])])

    def behind(self, shown):
        current = shown["current"]
        return shown | {"current": torch.cat([torch.zeros_like(current[:1]), current[:-1]])}


class GradientFromLater(Good):
    def before(self, x):
        later = x.flip(0)
        return x + 0.1 * (later - later.detach())


class Drifts(Good):
    def before(self, x):
        return x + 0.5


class NeverFires(Good):
    def before(self, x):
        return x * 0.05


class IgnoresTheChip(Good):
    def recorded(self, hw_data):
        return None


class CopiesTheChip(Good):
    """Shows what the chip recorded, and forgets the gradient."""

    def forward_func(self, *input, hw_data=None):
        handle = super().forward_func(*input, hw_data=hw_data)
        if hw_data is not None:
            handle.put(spikes=hw_data.spikes[: len(handle.spikes)])
        return handle


class TakesOneInput(Good):
    def summed_input(self, inputs):
        return inputs[0].graded_spikes


class RandomInEvaluation(Good):
    def behind(self, shown):
        return shown | {"membrane_cadc": shown["membrane_cadc"] + torch.rand(())}


class HalfInTraining(Good):
    def before(self, x):
        return x * (0.5 if self.training else 1.0)


class AnySize(Good):
    input_size = None

    def summed_input(self, inputs):
        return super().summed_input(inputs)[..., : self.size]


class CopiesAreTheSame(Good):
    def __deepcopy__(self, memo):
        return self


class DictOfNothing(Good):
    def state_dict(self, *args, **kwargs):
        return {}


class ForgetsItsMask(Good):
    def exec_forward(self, inputs, output, hw_map):
        HXBaseExperimentModule.exec_forward(self, inputs, output, hw_map)


class SaysItGoesOn(Good):
    """Says that it could go on from any step, but gradients need all of them."""

    resumes = True

    def __init__(self, size, experiment):
        super().__init__(size, experiment, alpha=0.05)  # a surrogate gradient that reaches far

    def before(self, x):
        total = x.cumsum(0)
        return x + 0.5 * (total - total.detach())


def contract(kind, **knobs):
    def make_neuron(self, size, experiment):
        return kind(size, experiment)

    return type("Contract", (NeuronContract,), {"make_neuron": make_neuron, **knobs})


class TestGoodNeuron(contract(Good)):
    """The neuron that the faulty ones derive from has no fault."""


FAULTS = [
    (WithoutEquations, "test_has_what_a_neuron_needs", ["WithoutEquations has no forward_func"]),
    (OneTooMany, "test_has_what_a_neuron_needs", ["size of the neurons is 4", "asked for 3"]),
    (Elsewhere, "test_has_what_a_neuron_needs", ["do not belong to the experiment"]),
    (WrongGradient, "test_gradient_of_the_input", ["gradient of the input", "finite difference"]),
    (DetachedLeak, "test_gradients_of_parameters", ["gradient of leak", "is 0", "finite difference"]),
    (NoGradientOfSpikes, "test_gradients_pass_spikes", ["spikes has no gradient"]),
    (NanGradient, "test_gradients_pass_spikes", ["gradient of spikes holds NaN"]),
    (KeepsItsMembrane, "test_no_state_between_runs", ["same input", "membrane_cadc is", "expected"]),
    (OneBuffer, "test_handles_stay_what_they_were", ["wrote to earlier observables: current"]),
    (BatchShifted, "test_order_of_the_batch", ["permuted batch entries"]),
    (BatchNormed, "test_batch_entries_are_independent", ["Batch entry 0 alone and in the batch"]),
    (BatchFirst, "test_shapes", ["membrane_cadc has shape (4, 20, 3)", "(time, batch, neuron)"]),
    (OneStepMore, "test_shapes", ["has shape (21, 4, 3)"]),
    (WithoutMembrane, "test_shapes", ["holds no membrane_cadc"]),
    (SinglePrecision, "test_dtype_and_device", ["torch.float32", "for an input of torch.float64"]),
    (GradedSpikes, "test_shapes", ["spikes hold 0 to 0.5"]),
    (LooksAhead, "test_no_lookahead", ["earlier rows"]),
    (MindsTheLength, "test_no_lookahead", ["no input from step"]),
    (FiresAtOnce, "test_no_lookahead", ["With other input from step", "spikes of the step"]),
    (GradientFromLater, "test_gradients_do_not_come_from_the_past", ["gradient at later inputs"]),
    (Drifts, "test_silence_is_rest", ["Without input the membrane goes", "away from 80"]),
    (NeverFires, "test_fires_upon_strong_input_alone", ["strength 40 makes no neuron fire", "`strong`"]),
    (IgnoresTheChip, "test_shows_the_data_of_the_chip", ["With data of the chip"]),
    (CopiesTheChip, "test_gradients_beside_a_chip", ["With data of the chip, spikes has no gradient"]),
    (TakesOneInput, "test_several_inputs_add_up", ["Two inputs instead of their sum"]),
    (SaysItGoesOn, "test_in_a_loop", ["gradient of the weights of a loop"]),
    (RandomInEvaluation, "test_training_and_evaluation", ["Evaluated twice"]),
    (HalfInTraining, "test_training_and_evaluation", ["In training and evaluation"]),
    (AnySize, "test_refuses_other_shapes", ["(20, 4, 4)", "expected ValueError"]),
    (CopiesAreTheSame, "test_deepcopy", ["deep copy have changed"]),
    (DictOfNothing, "test_state_dict", ["does not load"]),
    (ForgetsItsMask, "test_mask", ["With a mask"]),
]


@pytest.mark.parametrize(("kind", "test", "words"), FAULTS, ids=lambda item: getattr(item, "__name__", None))
def test_planted_faults_are_found(kind, test, words):
    require_failure(contract(kind), test, *words)


def test_faults_of_one_thing_fail_few_tests():
    """A contract that fails everywhere would say nothing: each test looks at its subject."""
    assert set(failures(contract(CopiesTheChip))) == {"test_gradients_beside_a_chip"}
    assert set(failures(contract(TakesOneInput))) <= {"test_several_inputs_add_up", "test_in_a_loop"}


def test_knobs_that_declare_less():
    """What a neuron says that it cannot do is not asked of it."""
    assert not failures(contract(TakesOneInput, adds_inputs=False, loops=False))
    contract(HalfInTraining, random_in_training=True)().test_training_and_evaluation()
    contract(Drifts, rest_tolerance=50.0)().test_silence_is_rest()
    with pytest.raises(AssertionError, match="has no parameters"):
        contract(Good, parameters=("leek",))().test_gradients_of_parameters()


def test_a_contract_without_a_neuron_says_what_to_define():
    with pytest.raises(NotImplementedError, match="Define make_neuron in Contract"):
        type("Contract", (NeuronContract,), {})().test_shapes()
    require_failure(
        contract(lambda size, experiment: torch.nn.Linear(size, size)), "test_shapes", "Linear", "Population"
    )

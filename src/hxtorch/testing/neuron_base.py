"""Knobs of the contract of neurons, and ways to run a neuron under test."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

import hxtorch.snn as hxsnn
from hxtorch.snn.handles.handle import Handle
from hxtorch.snn.modules import Population
from hxtorch.snn.parameters.parameter import HXBaseParameter
from hxtorch.snn.recording.observables import NeuronData, ReadoutData
from hxtorch.testing.checks import require

Observables = dict[str, Tensor]


class NeuronBase:
    """What the tests of `NeuronContract` share; its knobs are described there."""

    size: ClassVar[int] = 3
    batch: ClassVar[int] = 4
    steps: ClassVar[int] = 20
    dt: ClassVar[float] = 1e-6
    weak: ClassVar[float] = 4.0
    strong: ClassVar[float] = 40.0
    spikes: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    rest: ClassVar[float | None] = None
    rest_tolerance: ClassVar[float] = 1e-3
    parameters: ClassVar[tuple[str, ...] | None] = None
    takes_hw_data: ClassVar[bool] = True
    adds_inputs: ClassVar[bool] = True
    loops: ClassVar[bool] = True
    random_in_training: ClassVar[bool] = False
    tolerance: ClassVar[float] = 1e-4
    slope_tolerance: ClassVar[float] = 1e-4

    def make_neuron(self, size: int, experiment: hxsnn.Experiment) -> Population:
        """The neurons under test, `size` of them; called several times by every test."""
        raise NotImplementedError(
            f"Define make_neuron in {type(self).__name__}: it returns the neurons under test."
        )

    def connect(self, neuron: Population, x: Tensor) -> Handle:
        """The handle with which `neuron` hears the input `x` (T, B, size)."""
        return hxsnn.SynapseHandle(x)

    # --- Ways to run ---------------------------------------------------------------------------------------------

    def make(self, experiment: hxsnn.Experiment | None = None, size: int | None = None) -> Population:
        """Neurons in an experiment without chip; those that draw random numbers in training do not train."""
        made = self.make_neuron(
            self.size if size is None else size,
            hxsnn.Experiment(mock=True, dt=self.dt) if experiment is None else experiment,
        )
        require(
            isinstance(made, Population),
            f"make_neuron returned {type(made).__name__}, but neurons derive from hxtorch.snn.modules.Population.",
        )
        return made.eval() if self.random_in_training else made

    def input(self, strength: float, steps: int | None = None, seed: int = 0, dtype: Any = torch.float32) -> Tensor:
        """Random input (T, B, size) between 0 and `strength`, the same in every call."""
        draw = torch.Generator("cpu").manual_seed(seed)
        shape = (self.steps if steps is None else steps, self.batch, self.size)
        return (strength * torch.rand(shape, generator=draw, dtype=torch.float64, device="cpu")).to(dtype)

    def handle(self, neuron: Population, x: Tensor) -> Handle:
        """The filled handle of `neuron` for the input `x`."""
        output = neuron(self.connect(neuron, x))
        hxsnn.run(experiment_of(neuron), None)
        return output  # type: ignore[no-any-return]

    def observe(self, neuron: Population, x: Tensor) -> Observables:
        """What `neuron` shows of the input `x`, by name; samples of the MADC are left out."""
        return observables(self.handle(neuron, x))

    def hardware_data(self, neuron: Population, x: Tensor, seed: int = 3) -> NeuronData | ReadoutData:
        """What a chip might have recorded: near the membrane of the model, with one row more than the input."""
        draw = torch.Generator("cpu").manual_seed(seed)
        membrane = self.observe(neuron, x)["membrane_cadc"].detach()
        membrane = torch.cat([membrane, membrane[-1:]])
        low, high = membrane.aminmax()
        spikes, noise = (torch.rand(membrane.shape, generator=draw, device="cpu").to(x) for _ in range(2))
        cadc = membrane + 0.2 * (high - low) * (noise - 0.5)
        madc = torch.rand((2, 7, x.shape[1]), generator=draw, device="cpu").to(x)
        return NeuronData((spikes < 0.2).to(x), cadc, madc) if self.spikes else ReadoutData(cadc, madc)

    def checked_parameters(self, neuron: Population) -> dict[str, HXBaseParameter]:
        """Parameters of the neurons whose gradients are looked at, by name."""
        known, names = neuron.params, self.parameters
        if names is None:
            use = neuron.model_use
            names = () if use is None else (*use.decaying, *use.factors, *use.others)
        missing = set(names) - set(known)
        require(not missing, f"{neuron} has no parameters {sorted(missing)}. Name others in `parameters`.")
        return {name: known[name] for name in names}

    def require_close(self, found: Observables, expected: Observables, what: str) -> None:
        """AssertionError if observables differ by more than `tolerance` of their size."""
        require(found.keys() == expected.keys(), f"{what}: observables are {sorted(found)} and {sorted(expected)}.")
        for name, tensor in expected.items():
            require_close(found[name], tensor, self.tolerance, f"{what}: {name}")


def experiment_of(neuron: Population) -> hxsnn.Experiment:
    """The experiment of neurons under test; AssertionError if they have none."""
    experiment = neuron.experiment
    if not isinstance(experiment, hxsnn.Experiment):
        raise AssertionError(f"{neuron} has no experiment: hand it on to the constructor of Population.")
    return experiment


def observables(handle: Handle) -> Observables:
    """The tensors that a handle holds, but samples of the MADC."""
    return {name: getattr(handle, name) for name in handle.names() if handle.holds(name) and "madc" not in name}


def require_close(found: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    """AssertionError if two tensors differ by more than `tolerance` of the largest number in the second one."""
    require(
        found.shape == expected.shape,
        f"{what} has shape {tuple(found.shape)}, expected {tuple(expected.shape)}.",
    )
    if not expected.numel():
        return
    apart = (found.detach().double() - expected.detach().double()).abs()
    limit = tolerance * max(float(expected.detach().abs().max()), 1e-30)
    worst = int(apart.nan_to_num(torch.inf).argmax())
    place = tuple(int(i) for i in torch.unravel_index(torch.tensor(worst), apart.shape))
    require(
        bool((apart <= limit).all()),
        f"{what} is {found.flatten()[worst]:.6g} at {place}, expected {expected.flatten()[worst]:.6g}.",
    )


def weights_like(tensor: Tensor, seed: int = 7) -> Tensor:
    """Random weights of a loss, so that a fault in any entry of a gradient shows."""
    draw = torch.Generator("cpu").manual_seed(seed)
    return torch.rand(tensor.shape, generator=draw, dtype=torch.float64, device="cpu").to(tensor) + 0.5


def loss_of(shown: Observables, names: tuple[str, ...] | None = None) -> Tensor:
    """A number that depends on all entries of observables that have gradients, or of those with these `names`."""
    chosen = [tensor for name, tensor in shown.items() if names is None or name in names]
    total = sum((weights_like(tensor) * tensor).sum() for tensor in chosen if tensor.requires_grad)
    require(isinstance(total, Tensor), f"None of {', '.join(names or shown)} has a gradient.")
    assert isinstance(total, Tensor)
    return total

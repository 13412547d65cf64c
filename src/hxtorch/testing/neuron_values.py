"""What a neuron model computes: shapes, rest, spikes, and what its output may depend on."""

from __future__ import annotations

import torch

import hxtorch.snn as hxsnn
from hxtorch.snn import functional as F
from hxtorch.snn.modules import Population
from hxtorch.testing.checks import require
from hxtorch.testing.neuron_base import NeuronBase, Observables, experiment_of, loss_of, observables, require_close


class NeuronValues(NeuronBase):
    """Tests of values."""

    def test_shapes(self) -> None:
        """Every observable is (time, batch, neuron), also for one step and one batch entry; spikes are 0 or 1."""
        neuron = self.make()
        for shape in ((self.steps, self.batch, self.size), (1, 1, self.size), (self.steps + 5, 2, self.size)):
            x = self.input(self.strong, max(shape[0], 1))[:, : shape[1]]
            shown = self.observe(neuron, x)
            wanted = ("spikes", "membrane_cadc") if self.spikes else ("membrane_cadc",)
            for name in wanted:
                require(
                    name in shown, f"The handle of {neuron} holds no {name}, only {', '.join(shown) or 'nothing'}."
                )
            for name, tensor in shown.items():
                require(
                    tuple(tensor.shape) == shape,
                    f"{name} has shape {tuple(tensor.shape)}, expected (time, batch, neuron), here {shape}.",
                )
                require(bool(tensor.isfinite().all()), f"{name} holds NaN or infinite values.")
            self._require_binary(shown)

    def _require_binary(self, shown: Observables) -> None:
        if not self.spikes:
            require("spikes" not in shown, "The neuron has spikes. Set `spikes = True` in the contract.")
            return
        spikes = shown["spikes"].detach()
        require(
            bool(((spikes == 0) | (spikes == 1)).all()),
            f"spikes hold {spikes.min():g} to {spikes.max():g}, not 0 and 1.",
        )

    def test_dtype_and_device(self) -> None:
        """Observables have the dtype and device of the input, also without gradients."""
        devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
        for device in devices:
            for dtype in (torch.float32, torch.float64):
                neuron = self.make().to(device)
                x = self.input(self.weak, dtype=dtype).to(device)
                with torch.no_grad():
                    shown = self.observe(neuron, x)
                for name, tensor in shown.items():
                    require(
                        tensor.dtype == dtype and tensor.device.type == device,
                        f"{name} is {tensor.dtype} on {tensor.device.type} for an input of {dtype} on {device}.",
                    )

    def test_fires_upon_strong_input_alone(self) -> None:
        """The input of strength `weak` stays below the threshold, that of strength `strong` makes neurons fire."""
        if not self.spikes:
            return
        neuron = self.make()
        weak, strong = (
            self.observe(neuron, self.input(strength))["spikes"].sum() for strength in (self.weak, self.strong)
        )
        require(weak == 0, f"Input of strength {self.weak:g} makes the neurons fire. Choose `weak` lower.")
        require(strong > 0, f"Input of strength {self.strong:g} makes no neuron fire. Choose `strong` higher.")

    def test_silence_is_rest(self) -> None:
        """Without input the membrane stays at its rest, from the first step on."""
        neuron = self.make()
        membrane = self.observe(neuron, self.input(0.0))["membrane_cadc"].detach()
        rest = self.rest
        if rest is None and "leak" in neuron.params:
            rest = neuron.params["leak"].model_value  # type: ignore[assignment]
        expected = membrane[:1].expand_as(membrane) if rest is None else torch.as_tensor(rest).expand_as(membrane)
        away = float((membrane - expected).abs().max())
        require(
            away <= self.rest_tolerance,
            f"Without input the membrane goes {away:g} away from {'where it starts' if rest is None else rest}.",
        )

    def test_no_lookahead(self) -> None:
        """What comes later changes nothing of earlier rows, and neither does the length of the sequence.

        Spikes of a step do not depend on the input of the same step, either: a loop relies on it.
        """
        neuron, x = self.make(), self.input(self.strong)
        whole = self.observe(neuron, x)
        for begin in (1, self.steps // 2, self.steps - 1):
            later = torch.cat([x[:begin], self.input(2 * self.strong, seed=1)[begin:]])
            for changed, how in (
                (self.observe(neuron, later), "other input"),
                (self.observe(neuron, x[:begin]), "no input"),
            ):
                for name, tensor in whole.items():
                    rows = begin + (name == "spikes" and neuron.remembers and how == "other input")
                    self.require_close(
                        {name: changed[name][:rows]},
                        {name: tensor[:rows]},
                        f"With {how} from step {begin} on, earlier rows (or spikes of the step) change",
                    )

    # --- What a run leaves behind, and the batch -----------------------------------------------------------------

    def test_no_state_between_runs(self) -> None:
        """The same input gives the same output, whatever ran in between."""
        neuron, x = self.make(), self.input(self.strong)
        first = {name: tensor.detach().clone() for name, tensor in self.observe(neuron, x).items()}
        self.require_close(self.observe(neuron, x), first, "Run twice with the same input")
        self.observe(neuron, self.input(3 * self.strong, self.steps + 7, seed=2))
        self.observe(neuron, self.input(self.weak, 1, seed=3)[:, :1])
        self.require_close(self.observe(neuron, x), first, "Run again after other inputs")
        self.require_close(self.observe(self.make(), x), first, "Run in fresh neurons, made in the same way")

    def test_handles_stay_what_they_were(self) -> None:
        """A later run writes neither to earlier observables, nor to the input."""
        neuron, x = self.make(), self.input(self.strong)
        given = x.clone()
        shown = self.observe(neuron, x)
        kept = {name: tensor.detach().clone() for name, tensor in shown.items()}
        self.observe(neuron, self.input(self.strong, seed=2))
        require(torch.equal(given, x), "A run wrote to its input.")
        self.require_close(shown, kept, "A later run wrote to earlier observables")

    def test_order_of_the_batch(self) -> None:
        """Permuted batch entries give permuted outputs."""
        neuron, x = self.make(), self.input(self.strong)
        shown = self.observe(neuron, x)
        order = torch.arange(self.batch).roll(1)
        expected = {name: tensor[:, order] for name, tensor in shown.items()}
        self.require_close(self.observe(neuron, x[:, order]), expected, "With permuted batch entries")

    def test_batch_entries_are_independent(self) -> None:
        """An entry alone gives what it gives in the batch, and so do neurons with other inputs beside them."""
        neuron, x = self.make(), self.input(self.strong)
        shown = self.observe(neuron, x)
        for entry in (0, self.batch - 1):
            expected = {name: tensor[:, entry : entry + 1] for name, tensor in shown.items()}
            alone = self.observe(neuron, x[:, entry : entry + 1])
            self.require_close(alone, expected, f"Batch entry {entry} alone and in the batch")

    # --- Inputs, loops, and data of the chip ---------------------------------------------------------------------

    def test_several_inputs_add_up(self) -> None:
        """Neurons that hear two synapses hear their sum."""
        if not self.adds_inputs:
            return
        neuron, (x, y) = self.make(), (self.input(self.strong / 2, seed=seed) for seed in (0, 1))
        together = neuron(self.connect(neuron, x), self.connect(neuron, y))
        hxsnn.run(experiment_of(neuron), None)
        self.require_close(observables(together), self.observe(neuron, x + y), "Two inputs instead of their sum")

    def test_in_a_loop(self) -> None:
        """In a loop the neurons hear their spikes in the step in which they fire, in values and gradients.

        So each row depends on earlier ones alone, and the loop gives what is reached by computing the neurons again
        and again with their own spikes, once for each step. A class that says of itself that it goes on from the
        step before (`Population.resumes`) is held to it.
        """
        if not (self.spikes and self.loops):
            return
        neuron, x = self.make(), self.input(self.strong)
        experiment = experiment_of(neuron)
        synapse = hxsnn.Synapse(self.size, self.size, experiment)
        draw = torch.Generator("cpu").manual_seed(5)
        weight = (torch.rand(synapse.weight.shape, generator=draw, device="cpu") - 0.5) * self.strong
        synapse.weight.data.copy_(weight)
        loop = neuron(self.connect(neuron, x), synapse(neuron.output_handle))
        hxsnn.run(experiment, None)
        shown, weight = self.observe(neuron, x), weight.requires_grad_()
        for _ in x:
            shown = self.observe(neuron, x + torch.nn.functional.linear(shown["spikes"], weight))
        names = ("spikes", "membrane_cadc")
        looped = {name: getattr(loop, name) for name in names}
        unrolled = {name: shown[name] for name in names}
        self.require_close(looped, unrolled, "In a loop, and computed with the loop's spikes as input")
        (found,) = torch.autograd.grad(loss_of(looped), synapse.weight)
        (expected,) = torch.autograd.grad(loss_of(unrolled), weight)
        require_close(found, expected, 10 * self.tolerance, "The gradient of the weights of a loop")

    def test_shows_the_data_of_the_chip(self) -> None:
        """What a chip recorded takes the place of spikes and membrane."""
        if not self.takes_hw_data:
            return
        neuron, x = self.make(), self.input(self.strong)
        data = self.hardware_data(neuron, x)
        shown = self.with_hardware_data(neuron, x, data)
        expected = {"membrane_cadc": data.cadc, "membrane_madc": data.madc}
        if self.spikes:
            expected["spikes"] = data.spikes
        for name, tensor in expected.items():
            assert tensor is not None
            require(name in shown, f"With data of the chip, the handle holds no {name}.")
            rows = tensor if name == "membrane_madc" else tensor[: self.steps]
            require_close(shown[name], rows, 1e-6, f"With data of the chip: {name}")

    def with_hardware_data(self, neuron: Population, x: torch.Tensor, data: object) -> Observables:
        """What the neurons show beside a chip that recorded `data`."""
        given = self.connect(neuron, x)
        if not given.holds("graded_spikes"):  # of a synapse, which a run of its own computes
            hxsnn.run(experiment_of(neuron), None)
        try:
            handle = neuron.func((given,), hw_data=data)
        except TypeError as error:
            raise AssertionError(f"forward_func does not take the data of a chip: {error}.") from error
        return {name: getattr(handle, name) for name in handle.names() if handle.holds(name)}

    def test_kernels_and_plain_torch_agree(self) -> None:
        """With `hxtorch.snn.functional.reference_numerics`, in float64 and in float32 the values are the same."""
        neuron, x = self.make(), self.input(self.strong)
        shown = self.observe(neuron, x)
        with F.reference_numerics():
            self.require_close(self.observe(neuron, x), shown, "With reference_numerics")
        double = self.observe(self.make().double(), x.double())
        self.require_close(double, shown, "In float64 and float32")

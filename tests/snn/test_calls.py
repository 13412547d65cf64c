"""Calls between runs: forward passes that were not finished, calls that are made again, what is left of them."""

import random
import threading
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import hxtorch.snn as hxsnn
from hxtorch.snn.modules.base import HXFunctionalModule

STEPS = 12
pytestmark = pytest.mark.filterwarnings("error:.*forward pass")


def spikes(seed=0, size=3):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(STEPS, 2, size, generator=generator) < 0.4).float()


def handle(seed=0, size=3):
    return hxsnn.NeuronHandle(spikes(seed, size))


def synapse(exp, weight=0.8, inputs=3, outputs=3):
    made = hxsnn.Synapse(inputs, outputs, exp)
    made.weight.data.fill_(weight)
    return made


def neurons(exp, size=3):
    return hxsnn.LIF(size, exp, leak=0.0, reset=0.0, threshold=1.0)


@pytest.fixture
def exp():
    return hxsnn.Experiment(mock=True)


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*range of reliable calibration")
        yield


def alone(weights, seeds):
    """Membrane of neurons that read these synapses, in an experiment of their own."""
    exp = hxsnn.Experiment(mock=True)
    graded = [synapse(exp, weight)(handle(seed)) for weight, seed in zip(weights, seeds, strict=True)]
    z = neurons(exp)(*graded)
    hxsnn.run(exp, None)
    return z.membrane_cadc


# --- A call again --------------------------------------------------------------------------------------------


def test_the_same_call_counts_once(exp):
    syn, other, lif, h = synapse(exp), synapse(exp, 0.3), neurons(exp), handle()
    z = lif(syn(h))
    assert lif(syn(h)) is z and syn(h) is syn(h)
    assert lif(other(h), syn(h)) is z and lif(other(h)) is z
    hxsnn.run(exp, None)
    assert torch.equal(z.membrane_cadc, alone([0.8, 0.3], [0, 0]))


def test_an_input_given_twice_counts_once(exp):
    syn, lif = synapse(exp), neurons(exp)
    g = syn(handle())
    z = lif(g, g)
    hxsnn.run(exp, None)
    assert torch.equal(z.membrane_cadc, alone([0.8], [0]))


def test_one_synapse_for_two_populations(exp):
    syn, lif, li, h = synapse(exp), neurons(exp), hxsnn.LI(3, exp), handle()
    z, y = lif(syn(h)), li(syn(h))
    hxsnn.run(exp, None)
    assert torch.equal(z.membrane_cadc, alone([0.8], [0])) and y.membrane_cadc.any()
    assert len(exp.last_run.modules) == 3


def test_a_cell_that_is_run_twice(exp):
    syn, lif = synapse(exp), neurons(exp)
    first = lif(syn(handle(1)))
    second = lif(syn(handle(2)))
    hxsnn.run(exp, None)
    assert second is not first and first.membrane_cadc is None
    assert torch.equal(second.membrane_cadc, alone([0.8], [2]))


def test_a_cell_that_is_run_twice_with_a_handle_for_the_neurons(exp):
    lif = neurons(exp)
    current = torch.rand(STEPS, 1, 3)
    first = lif(hxsnn.SynapseHandle(current))
    second = lif(hxsnn.SynapseHandle(current))
    hxsnn.run(exp, None)
    assert first.membrane_cadc is None
    third = lif(hxsnn.SynapseHandle(current))
    hxsnn.run(exp, None)
    assert torch.equal(second.membrane_cadc, third.membrane_cadc)
    both = lif(hxsnn.SynapseHandle(current), hxsnn.SynapseHandle(current))  # at once: their sum
    hxsnn.run(exp, None)
    twice = lif(hxsnn.SynapseHandle(2 * current))
    hxsnn.run(exp, None)
    assert torch.equal(both.current, twice.current) and not torch.equal(both.current, third.current)


def test_only_one_of_several_cells_is_run_again(exp):
    one, two, lif = synapse(exp), synapse(exp, 0.3), neurons(exp)
    a, b = one(handle(1)), two(handle(2))
    first = lif(a, b)
    a = one(handle(3))
    z = lif(a, b)
    hxsnn.run(exp, None)
    assert torch.equal(z.membrane_cadc, alone([0.8, 0.3], [3, 2]))
    assert z is not first and first.membrane_cadc is None


@pytest.mark.parametrize(
    "call",
    [
        lambda lif, li, syn: lif(syn(handle(1)), syn(handle(2))),
        lambda lif, li, syn: [lif(g) for g in (syn(handle(1)), syn(handle(2)))],
        lambda lif, li, syn: (lif(syn(handle(1))), li(syn(handle(2)))),
    ],
)
def test_one_synapse_with_two_handles_is_refused(exp, call):
    syn, lif, li = synapse(exp), neurons(exp), hxsnn.LI(3, exp)

    def run():
        call(lif, li, syn)
        hxsnn.run(exp, None)

    with pytest.raises(ValueError, match=r"Synapse\(in_features=3.*two different handles in one forward pass"):
        run()
    other = synapse(exp, 0.3)
    z = lif(syn(handle(1)), other(handle(2)))
    hxsnn.run(exp, None)
    assert torch.equal(z.membrane_cadc, alone([0.8, 0.3], [1, 2]))


@pytest.mark.parametrize("again", [True, False])
def test_after_the_refusal_other_synapses_may_be_used(exp, again):
    syn, lif, li = synapse(exp), neurons(exp), hxsnn.LI(3, exp)
    a, b = syn(handle(1)), syn(handle(2))
    y = li(synapse(exp)(handle(4)))
    with pytest.raises(ValueError, match="two different handles"):
        lif(a)
    z = lif(b) if again else lif(synapse(exp)(handle(2)))
    hxsnn.run(exp, None)
    assert torch.equal(z.membrane_cadc, alone([0.8], [2])) and y.membrane_cadc is not None
    assert sum(item.module is syn for item in exp.last_run.modules) == again


def test_own_modules_with_several_inputs(exp):
    class Difference(HXFunctionalModule):
        output_type = hxsnn.SynapseHandle

        def forward_func(self, a, b):
            return hxsnn.SynapseHandle(a.graded_spikes - b.graded_spikes)

    one, two, minus, lif = synapse(exp), synapse(exp, 0.3), Difference(exp), neurons(exp)
    a, b = one(handle(1)), two(handle(1))
    assert minus(a, b) is minus(a, b)
    zero = minus(a, a)
    z = lif(zero)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        hxsnn.run(exp, None)
    assert not z.current.any()
    assert any("Synapse(in_features=3, out_features=3): called in a forward" in str(w.message) for w in caught)


# --- Passes that were not run --------------------------------------------------------------------------------


def test_what_the_next_pass_does_not_call_is_left_out_with_a_warning(exp):
    syn, lif, other, li = synapse(exp), neurons(exp), synapse(exp), hxsnn.LI(3, exp)
    lif(syn(handle(1)))
    y = li(other(handle(1)))
    z = lif(syn(handle(2)))
    with pytest.warns(UserWarning, match=r"^Synapse.*, LI.*: called in a forward pass that was not run") as caught:
        hxsnn.run(exp, None)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert y.membrane_cadc is None
    assert torch.equal(z.membrane_cadc, alone([0.8], [2]))
    assert [item.module for item in exp.last_run.modules] == [syn, lif]
    z = lif(syn(handle(2)))  # and it is forgotten
    hxsnn.run(exp, None)


def test_an_interrupt_in_a_run(exp):
    class Stopped(hxsnn.LIF):
        stop = True

        def forward_func(self, *input, hw_data=None):
            if self.stop:
                raise KeyboardInterrupt
            return super().forward_func(*input, hw_data=hw_data)

    syn, lif = synapse(exp), Stopped(3, exp, leak=0.0, reset=0.0, threshold=1.0)
    first = lif(syn(handle(1)))
    with pytest.raises(KeyboardInterrupt):
        hxsnn.run(exp, None)
    lif.stop = False
    assert lif(syn(handle(2))) is not first
    z = lif(syn(handle(2)))
    hxsnn.run(exp, None)
    assert torch.equal(z.membrane_cadc, alone([0.8], [2])) and first.membrane_cadc is None


def test_inputs_that_cannot_be_listed(exp):
    def broken(syn):
        yield syn(handle(1))
        raise RuntimeError("broken")

    syn, lif = synapse(exp), neurons(exp)
    with pytest.raises(RuntimeError, match="broken"):
        exp.connect(lif, broken(syn))
    z = lif(syn(handle(2)))
    hxsnn.run(exp, None)
    assert torch.equal(z.membrane_cadc, alone([0.8], [2]))


def test_calls_that_are_never_run_do_not_pile_up(exp):
    syn, lif = synapse(exp), neurons(exp)
    for _ in range(50):
        lif(syn(handle()))
    assert len(exp.modules.calls._source) < 10
    assert exp.modules.graph.number_of_nodes() == 4


# --- Passes of networks of any shape -------------------------------------------------------------------------


class Network:
    """A random network, and its forward pass as a list of steps that each make a few calls.

    A step reads what others have made, by name; `needs` says which.
    """

    def __init__(self, seed, inputs=3, loops=True):
        self.draw = random.Random(seed)
        torch.manual_seed(seed)
        self.exp = hxsnn.Experiment(mock=True)
        self.made = {}
        self.steps, self.needs = [], []
        self.spiking = [f"x{i}" for i in range(inputs)]  # names of handles with spikes
        self.late = []  # names of steps that close a loop
        for number in range(self.draw.randint(1, 4)):
            self._population(number, loops)
        if self.draw.random() < 0.3:
            self._wrap()

    def _synapse(self):
        made = hxsnn.Synapse(3, 3, self.exp)
        made.weight.data.uniform_(-0.5, 1.2)
        return made

    def _population(self, number, loops):
        draw, lif = self.draw, neurons(self.exp)
        sources = [draw.choice(self.spiking) for _ in range(draw.randint(1, 3))]
        synapses = [self._synapse() for _ in sources]
        back = self._synapse() if loops and draw.random() < 0.4 else None
        closing, together = draw.choice(["before", "after", "again"]), draw.random() < 0.5
        name = f"z{number}"
        self.modules = [*getattr(self, "modules", []), [*synapses, *([] if back is None else [back])], lif]

        def graded(state, i):
            state[f"g{number}.{i}"] = synapses[i](state[sources[i]])

        def join(state):
            given = [state[f"g{number}.{i}"] for i in range(len(sources))]
            fed = []
            if back is not None and closing != "again":
                fed = [back(lif.output_handle)]
            if together or fed:
                state[name] = lif(*fed, *given) if closing == "before" else lif(*given, *fed)
            else:
                for item in given:
                    state[name] = lif(item)
            if back is not None and closing == "again":
                lif(back(state[name]))

        def at_once(state):  # the loop is closed while the inputs are computed
            fed = back(lif.output_handle)
            for i in range(len(sources)):
                graded(state, i)
            state[name] = lif(fed, *[state[f"g{number}.{i}"] for i in range(len(sources))])

        if back is not None and closing == "before":
            self._add(at_once, set(sources), {name})
        else:
            for i, source in enumerate(sources):
                self._add(lambda state, i=i: graded(state, i), {source}, {f"g{number}.{i}"})
            self._add(join, {f"g{number}.{i}" for i in range(len(sources))}, {name})
        self.spiking.append(name)
        if draw.random() < 0.5:  # a synapse that is called twice, for two populations
            readout = hxsnn.LI(3, self.exp)
            self._add(
                lambda state: state.update({f"y{number}": readout(synapses[0](state[sources[0]]))}),
                {sources[0]},
                {f"y{number}"},
            )

    def _wrap(self):
        synapses, lif = self.modules[:2]
        names = {f"s{i}": item for i, item in enumerate(synapses)}
        wrapper = hxsnn.HXModuleWrapper(self.exp, **names, lif=lif)
        self._add(lambda state: wrapper(), {"z0"}, {"wrapped"})

    def _add(self, step, needs, gives):
        self.steps.append(step)
        self.needs.append((needs, gives))

    def order(self, draw):
        """The steps in an order in which they can be made."""
        known, rest, order = {name for name in self.spiking if name[0] == "x"}, list(range(len(self.steps))), []
        while rest:
            ready = [i for i in rest if self.needs[i][0] <= known]
            step = draw.choice(ready)
            rest.remove(step)
            order.append(step)
            known |= self.needs[step][1]
        return order

    def forward(self, inputs, order=None, calls=None):
        """Make the first `calls` steps; returns what they made."""
        state = {f"x{i}": item for i, item in enumerate(inputs)}
        for step in (range(len(self.steps)) if order is None else order)[:calls]:
            self.steps[step](state)
        return state


def results(state):
    return {name: item.membrane_cadc.clone() for name, item in state.items() if name[0] in "zy"}


def inputs_of(seed, count=3):
    return [handle(seed + i) for i in range(count)]


def expected(seed, data, **options):
    network = Network(seed, **options)
    state = network.forward(inputs_of(data, len([n for n in network.spiking if n[0] == "x"])))
    hxsnn.run(network.exp, None)
    return results(state), [type(item.module) for item in network.exp.last_run.modules]


def check(network, state, seed, same=torch.equal, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*forward pass")
        hxsnn.run(network.exp, None)
    values, modules = expected(seed, 50, **options)
    assert {n: same(v, values[n]) for n, v in results(state).items()} == dict.fromkeys(values, True)
    assert len(network.exp.last_run.modules) == len(modules)


numbers = st.integers(0, 10**6)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(seed=numbers, cuts=st.lists(st.integers(0, 12), max_size=3))
def test_passes_that_were_interrupted(seed, cuts):
    network = Network(seed)
    for number, cut in enumerate(cuts):
        network.forward(inputs_of(10 * number), calls=cut)
    check(network, network.forward(inputs_of(50)), seed)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(seed=numbers, cuts=st.lists(st.integers(0, 12), max_size=3))
def test_passes_with_the_same_handles(seed, cuts):
    network, given = Network(seed), inputs_of(50)
    for cut in cuts:
        network.forward(given, calls=cut)
    check(network, network.forward(given), seed)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(seed=numbers, cuts=st.lists(st.integers(0, 12), max_size=2), same=st.sets(st.integers(0, 2)))
def test_passes_of_which_some_handles_are_the_same(seed, cuts, same):
    network, given = Network(seed), inputs_of(50)
    for cut in cuts:
        network.forward([x if i in same else handle(i) for i, x in enumerate(given)], calls=cut)
    check(network, network.forward(given), seed)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(seed=numbers, cuts=st.lists(st.integers(0, 12), max_size=3), again=st.booleans())
def test_passes_in_another_order(seed, cuts, again):
    network, given, draw = Network(seed, inputs=1), inputs_of(50, 1), random.Random(seed)
    for cut in cuts:
        network.forward(given if again else inputs_of(cut, 1), network.order(draw), cut)
    check(network, network.forward(given, network.order(draw)), seed, torch.allclose, inputs=1)


# --- Threads -------------------------------------------------------------------------------------------------


def in_thread(work):
    result = []

    def catch():
        try:
            result.append(work())
        except Exception as error:
            result.append(error)

    thread = threading.Thread(target=catch)
    thread.start()
    thread.join()
    return result[0]


def test_threads_do_not_mix_their_calls(exp):
    syn, lif, other, li = synapse(exp), neurons(exp), synapse(exp, 0.3), neurons(exp)
    z = lif(syn(handle(1)))

    def run():
        y = li(other(handle(2)))
        hxsnn.run(exp, None)
        return y.membrane_cadc

    assert torch.equal(in_thread(run), alone([0.3], [2]))
    assert z.membrane_cadc is None
    hxsnn.run(exp, None)
    assert torch.equal(z.membrane_cadc, alone([0.8], [1]))


def test_calls_of_one_thread_are_run_by_another(exp):
    syn, lif = synapse(exp), neurons(exp)
    z = in_thread(lambda: lif(syn(handle(1))))
    assert exp.modules.graph.number_of_nodes() == 4
    hxsnn.run(exp, None)
    assert torch.equal(z.membrane_cadc, alone([0.8], [1]))
    z = lif(syn(handle(1)))
    in_thread(lambda: hxsnn.run(exp, None))
    assert torch.equal(z.membrane_cadc, alone([0.8], [1]))
    with pytest.raises(ValueError, match="nothing to run"):
        hxsnn.run(exp, None)


def test_an_error_in_another_thread_forgets_the_calls_too(exp):
    syn, lif = synapse(exp), neurons(exp)
    lif(syn(hxsnn.NeuronHandle(torch.full((2, 1, 3), torch.nan))))
    assert isinstance(in_thread(lambda: hxsnn.run(exp, None)), ValueError)
    with pytest.raises(ValueError, match="nothing to run"):
        hxsnn.run(exp, None)


def test_threads_that_have_ended_leave_little_behind(exp):
    syn, lif = synapse(exp), neurons(exp)
    for _ in range(20):
        in_thread(lambda: lif(syn(handle())))
    in_thread(lambda: None)
    assert len(exp.modules._calls._all) <= 3
    z = in_thread(lambda: (lif(syn(handle(1))), hxsnn.run(exp, None))[0])
    assert torch.equal(z.membrane_cadc, alone([0.8], [1]))

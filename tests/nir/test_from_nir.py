"""NIR graphs become networks; what cannot be is named."""

import numpy as np
import pytest
import torch

from hxtorch.snn import ConversionConfig, from_nir

nir = pytest.importorskip("nir", reason="needs the package nir (extra [nir])")
if not hasattr(nir, "CubaLI"):
    pytest.skip("needs nir 1.0.8 or newer", allow_module_level=True)

from .graphs import BATCH, STEPS, W1, W2, agree, cuba, ends, euler, graph, spikes


def test_cubalif_follows_its_equation_in_any_order_of_edges():
    source, out = ends()
    nodes = {"out": out, "n": cuba(), "w": nir.Linear(weight=W1), "in": source}
    network = from_nir(graph([("n", "out"), ("w", "n"), ("in", "w")], **nodes))
    result = network({"in": spikes()})
    assert set(result) == {"in", "n"}
    expected, membrane = euler(spikes(), W1, 5, 10)
    agree(result["n"], expected)
    np.testing.assert_allclose(network.handles["n"].membrane_cadc.detach(), membrane, atol=1e-4)
    assert torch.equal(network(spikes())["n"], result["n"])  # a tensor alone for the only input
    assert set(network.hxnodes) == {"in", "w", "n"}


def test_parameters_that_differ_from_neuron_to_neuron():
    tau = np.linspace(4e-3, 2e-2, 6)
    threshold = np.linspace(0.5, 1.5, 6)
    node = cuba(tau_mem=tau, v_threshold=threshold, r=2.0, v_leak=0.1, v_reset=0.0)
    source, out = ends()
    network = from_nir(graph(**{"in": source, "w": nir.Linear(weight=W1), "n": node, "out": out}))
    expected, _ = euler(spikes(), W1, 5, tau * 1e3, threshold=threshold - 0.1, reset=-0.1, r=2.0)
    agree(network(spikes())["n"], expected)


def test_affine_scale_flatten_and_parallel_ways():
    bias = np.random.default_rng(4).normal(0, 0.1, 6)
    source, out = nir.Input(input_type=np.array([2, 2])), nir.Output(output_type=np.array([6]))
    nodes = {
        "in": source,
        "f": nir.Flatten(input_type={"input": np.array([2, 2])}, start_dim=0, end_dim=-1),
        "a": nir.Affine(weight=W1, bias=bias),
        "s": nir.Scale(scale=np.full(6, 0.5)),
        "b": nir.Linear(weight=W1 * 0.25),
        "n": cuba(),
        "out": out,
    }
    edges = [("in", "f"), ("f", "a"), ("a", "s"), ("s", "n"), ("f", "b"), ("b", "n"), ("n", "out")]
    network = from_nir(graph(edges, **nodes))
    expected, _ = euler(spikes(), 0.75 * W1, 5, 10, bias=0.5 * bias)
    agree(network(spikes().reshape(STEPS, BATCH, 2, 2))["n"], expected)
    assert network.hxnodes["n_bias"].weight.detach().numpy().ravel() == pytest.approx(0.5 * bias, rel=1e-5)


def test_lif_li_if_and_threshold():
    source, out = ends()
    flat = {"r": np.ones(6), "v_leak": np.zeros(6)}
    lif = nir.LIF(tau=np.full(6, 1e-2), v_threshold=np.full(6, 0.3), v_reset=np.zeros(6), **flat)
    network = from_nir(graph(**{"in": source, "w": nir.Linear(weight=W1), "n": lif, "out": out}))
    agree(network(spikes())["n"], euler(spikes(), W1, 1, 10, threshold=0.3)[0])

    li = nir.LI(tau=np.full(6, 1e-2), **flat)
    network = from_nir(graph(**{"in": source, "w": nir.Linear(weight=W1), "n": li, "out": out}))
    network(spikes())
    membrane = network.handles["n"].membrane_cadc.detach().numpy()
    np.testing.assert_allclose(membrane, euler(spikes(), W1, 1, 10, threshold=np.inf)[1], atol=1e-4)

    integrator = nir.IF(r=np.ones(6), v_threshold=np.full(6, 2.0), v_reset=np.zeros(6))
    network = from_nir(graph(**{"in": source, "w": nir.Linear(weight=W1), "n": integrator, "out": out}))
    # without leak: -v / tau vanishes and r i / tau stays
    agree(network(spikes())["n"], euler(spikes(), W1 * 1e6, 1, 1e6, threshold=2.0)[0])

    threshold = nir.Threshold(threshold=np.full(6, 0.5))
    network = from_nir(graph(**{"in": source, "w": nir.Linear(weight=W1), "n": threshold, "out": out}))
    expected = (spikes().numpy() @ W1.T > 0.5).astype(float)
    assert np.array_equal(network(spikes())["n"].detach().numpy()[1:], expected[:-1])


def test_recurrence_nested_graphs_and_two_inputs():
    recurrent = np.random.default_rng(5).normal(0, 0.3, (6, 6))
    inner = nir.NIRGraph(
        nodes={
            "input": nir.Input(input_type=np.array([6])),
            "lif": cuba(),
            "w_rec": nir.Linear(weight=recurrent),
            "output": nir.Output(output_type=np.array([6])),
        },
        edges=[("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
        type_check=False,
    )
    source, out = ends()
    nodes = {
        "a": source,
        "b": source,
        "w": nir.Linear(weight=W1),
        "u": nir.Linear(weight=-W1),
        "net": inner,
        "out": out,
    }
    edges = [("a", "w"), ("b", "u"), ("w", "net"), ("u", "net"), ("net", "out")]
    network = from_nir(graph(edges, **nodes))
    result = network({"a": spikes(), "b": torch.zeros(STEPS, BATCH, 4)})
    agree(result["net.lif"], euler(spikes(), W1, 5, 10, recurrent=recurrent)[0])


def test_time_units_and_jumps():
    source, out = ends()

    def network(**options):
        return from_nir(
            graph(**{"in": source, "w": nir.Linear(weight=W1), "n": cuba(w_in=3.0), "out": out}),
            ConversionConfig(**options),
        )

    agree(network(time_unit="ms")(spikes())["n"], euler(spikes(), W1, 5, 10, w_in=3.0)[0])
    agree(network(time_unit=2e-3)(spikes())["n"], euler(spikes(), W1, 10, 20, w_in=3.0)[0])
    agree(network(time_unit="ms", spike_jump="ode")(spikes())["n"], euler(spikes(), W1, 5, 10, w_in=3.0 / 5)[0])
    decay = 1 / -np.expm1(-1 / 5), 1 / -np.expm1(-1 / 10)
    agree(network(integration="exponential")(spikes())["n"], euler(spikes(), W1, *decay, w_in=3.0)[0])
    with pytest.raises(ValueError, match="shorter than the time step"):
        network(time_unit="us")


@pytest.mark.parametrize(
    "options", [{"time_unit": "h"}, {"time_unit": -1.0}, {"spike_jump": "x"}, {"integration": "x"}, {"dt": 0.0}]
)
def test_settings_that_cannot_be(options):
    with pytest.raises(ValueError):
        ConversionConfig(**options)


def test_what_cannot_be_mapped_is_named():
    source, out = ends()
    linear = nir.Linear(weight=W1)
    li = nir.LI(tau=np.ones(6), r=np.ones(6), v_leak=np.zeros(6))
    for nodes, message in (
        ({"in": source, "later": nir.Delay(delay=np.ones(4)), "n": cuba(), "out": out}, r"'later' \(Delay\)"),
        ({"in": source, "w": linear, "out": out}, r"reads 'w' \(Linear\)"),
        (
            {"in": source, "w": linear, "li": li, "u": nir.Linear(weight=W2), "n": cuba(2), "out": out},
            "'li'.*spikes only",
        ),
    ):
        with pytest.raises(NotImplementedError, match=message):
            from_nir(graph(**nodes))
    with pytest.raises(ValueError, match="weights between them"):
        from_nir(graph(**{"in": source, "w": nir.Linear(weight=W2), "n": cuba(2), "out": out}))
    with pytest.raises(ValueError, match="Nothing flows into"):
        from_nir(
            graph(
                [("in", "w"), ("w", "n")], **{"in": source, "w": linear, "n": cuba(), "lonely": cuba(), "out": out}
            )
        )
    with pytest.raises(ValueError, match="below the threshold"):
        from_nir(graph(**{"in": source, "w": linear, "n": cuba(v_threshold=-1.0), "out": out}))
    with pytest.raises(NotImplementedError, match="remembers"):
        threshold = nir.Threshold(threshold=np.ones(6))
        from_nir(graph(**{"in": source, "w": linear, "n": threshold, "out": out}), ConversionConfig(mock=False))


def test_wrong_inputs_are_refused():
    source, out = ends()
    network = from_nir(graph(**{"in": source, "w": nir.Linear(weight=W1), "n": cuba(), "out": out}))
    with pytest.raises(ValueError, match="inputs"):
        network({"other": spikes()})
    with pytest.raises(ValueError, match="expected"):
        network(spikes(5))


def test_gradients_reach_the_weights():
    source, out = ends()
    network = from_nir(graph(**{"in": source, "w": nir.Linear(weight=W1), "n": cuba(), "out": out}))
    network(spikes())["n"].sum().backward()
    assert network.hxnodes["w"].weight.grad.abs().sum() > 0
    assert set(network.state_dict()) >= {"hxnodes.w.weight"}


def test_an_open_synaptic_time_constant_stays_within_reach_of_the_chip():
    source, sink = ends()
    lif = nir.LIF(
        tau=np.full(6, 1e-2), r=np.ones(6), v_leak=np.zeros(6), v_threshold=np.ones(6), v_reset=np.zeros(6)
    )
    net = from_nir(graph(i=source, w=nir.Linear(weight=0.01 * W1), n=lif, o=sink), ConversionConfig(dt=0.2e-6))
    tau = net.hxnodes["n"].params["tau_syn"]
    assert (tau.model_value, tau.hardware_value) == (0.2e-6, 0.5e-6)

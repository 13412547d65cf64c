"""Convolutions and pooling of NIR, against torch.nn.functional; and what they cost on the chip."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import hxtorch
from hxtorch.mapping import MappingError
from hxtorch.snn import ConversionConfig, SparseSynapse, from_nir
from hxtorch.twin import Die, Noise

nir = pytest.importorskip("nir", reason="needs the package nir (extra [nir])")
if not hasattr(nir, "CubaLI"):
    pytest.skip("needs nir 1.0.8 or newer", allow_module_level=True)

from .graphs import BATCH, STEPS, cuba, graph, near, spikes


def li(size):
    """Readout neurons whose membrane one step after the first input is that input's sum, over ten."""
    return nir.CubaLI(
        tau_syn=np.full(size, 5e-3), tau_mem=np.full(size, 1e-2), r=np.ones(size), v_leak=np.zeros(size)
    )


def convert(shape, nodes, size, **options):
    """The network of a row of nodes behind an input of a shape, in front of readout neurons."""
    source = nir.Input(input_type=np.array(shape))
    out = nir.Output(output_type=np.array([size]))
    return from_nir(graph(**{"in": source, **nodes, "n": li(size), "out": out}), ConversionConfig(**options))


def sums(network, x):
    """What flows into the readout neurons for one image x (batch, *shape)."""
    steps = torch.zeros(3, *x.shape)
    steps[0] = x
    network(steps)
    return 10 * network.handles["n"].membrane_cadc.detach()[1]


def conv2d(weight, bias=None, input_shape=None, stride=1, padding=0, dilation=1, groups=1):
    bias = torch.zeros(len(weight)) if bias is None else bias
    return nir.Conv2d(input_shape, weight.numpy(), stride, padding, dilation, groups, bias.numpy())


def images(*shape, seed=0):
    return torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(seed)).float()


@pytest.mark.filterwarnings("ignore:Using padding=.same.")
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_convolutions_of_any_shape(data):
    """Strides, padding, dilation, groups and bias, in one and two dimensions."""
    draw = data.draw
    dimensions = draw(st.sampled_from([1, 2]), label="dimensions")
    numbers = st.tuples(*[st.integers(1, 3)] * dimensions)
    kernel, stride, dilation = draw(numbers), draw(numbers), draw(st.tuples(*[st.integers(1, 2)] * dimensions))
    padding = draw(st.one_of(st.just("valid"), st.just("same"), st.tuples(*[st.integers(0, 2)] * dimensions)))
    if padding == "same":
        stride = (1,) * dimensions
    groups = draw(st.sampled_from([1, 2]))
    ins, outs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    spatial = draw(st.tuples(*[st.integers(5, 7)] * dimensions))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    weight = torch.randn(outs, ins // groups, *kernel, generator=generator)
    bias = torch.randn(outs, generator=generator)
    convolve = (F.conv1d, F.conv2d)[dimensions - 1]
    x = images(2, ins, *spatial)
    expected = convolve(x, weight, bias, stride, padding, dilation, groups)
    if dimensions == 1:
        pad = padding if isinstance(padding, str) else padding[0]
        node = nir.Conv1d(spatial[0], weight.numpy(), stride[0], pad, dilation[0], groups, bias.numpy())
    else:
        node = conv2d(weight, bias, spatial, stride, padding, dilation, groups)
    network = convert((ins, *spatial), {"conv": node}, expected[0].numel())
    torch.testing.assert_close(sums(network, x), expected.flatten(1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [((2, 2), (2, 2), (0, 0)), ((3, 2), (2, 1), (1, 0))])
def test_pooling_takes_its_shape_from_the_input(kernel, stride, padding):
    x = images(4, 3, 6, 5)
    options = {
        "kernel_size": np.array(kernel), "stride": np.array(stride), "padding": np.array(padding)
    }  # fmt: skip
    expected = F.avg_pool2d(x, kernel, stride, padding)
    for node, factor in ((nir.AvgPool2d(**options), 1), (nir.SumPool2d(**options), kernel[0] * kernel[1])):
        network = convert((3, 6, 5), {"pool": node}, expected[0].numel())
        torch.testing.assert_close(sums(network, x), factor * expected.flatten(1), atol=1e-5, rtol=1e-5)


def test_a_row_of_linear_nodes_is_one_sparse_matrix():
    """Pooling, convolution without a shape of its own, Flatten and Scale; an image of one channel."""
    x = images(4, 1, 8, 8)
    weight = torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(1))
    expected = 0.5 * F.conv2d(F.avg_pool2d(x, 2), weight, padding=1).flatten(1)
    nodes = {
        "pool": nir.AvgPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0])),
        "conv": conv2d(weight, padding=1),
        "flat": nir.Flatten(input_type={"input": np.array([2, 4, 4])}, start_dim=0, end_dim=-1),
        "half": nir.Scale(scale=np.full(32, 0.5)),
    }
    network = convert((64,), {"conv": conv2d(weight, input_shape=(8, 8), stride=2)}, 18)  # flat pixels
    flat = F.conv2d(x, weight, stride=2).flatten(1)
    torch.testing.assert_close(sums(network, x.flatten(1)), flat, atol=1e-5, rtol=1e-5)
    network = convert((1, 8, 8), nodes, 32)
    torch.testing.assert_close(sums(network, x), expected, atol=1e-5, rtol=1e-5)
    (synapse,) = (module for module in network.hxnodes.values() if isinstance(module, SparseSynapse))
    # of a 4x4 map, 10 x 10 pairs of places lie within a 3x3 kernel; each place is a pool of 4 pixels
    assert synapse.mask.sum() == 2 * 100 * 4


def layers():
    """Convolution, spiking neurons with parameters by place, pooling, neurons with a recurrent convolution."""
    generator = torch.Generator().manual_seed(3)
    weight = torch.rand(2, 1, 3, 3, generator=generator) * 0.35
    pool = nir.SumPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0]))
    full = {"tau_syn": 5e-3, "tau_mem": 1e-2, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
    maps = nir.CubaLIF(**{key: np.full((2, 6, 6), value) for key, value in full.items()})
    nodes = {
        "in": nir.Input(input_type=np.array([1, 6, 6])),
        "conv": conv2d(weight, padding=1, input_shape=(6, 6)),
        "maps": maps,
        "pool": pool,
        "side": conv2d(torch.full((2, 2, 3, 3), -0.05), padding="same"),
        "last": cuba(18),
        "out": nir.Output(output_type=np.array([18])),
    }
    edges = [("in", "conv"), ("conv", "maps"), ("maps", "pool"), ("pool", "last"), ("last", "side"),
             ("side", "last"), ("last", "out")]  # fmt: skip
    return nodes, edges, weight


def test_spiking_layers_with_pooling_and_a_recurrent_convolution():
    """The whole network by the equations, with the convolutions of torch."""
    nodes, edges, weight = layers()
    network = from_nir(graph(edges, **nodes))
    x = spikes(36, rate=0.2).reshape(STEPS, BATCH, 1, 6, 6)
    result = network(x)
    i = v = torch.zeros(BATCH, 2, 6, 6)
    i2 = v2 = torch.zeros(BATCH, 2, 3, 3)
    first, last = [], []
    for row in x:
        v = v + (i - v) / 10
        z = (v > 1).float()
        v, i = v * (1 - z), i * 0.8 + F.conv2d(row, weight, padding=1)
        v2 = v2 + (i2 - v2) / 10
        z2 = (v2 > 1).float()
        v2 = v2 * (1 - z2)
        i2 = i2 * 0.8 + 4 * F.avg_pool2d(z, 2) + F.conv2d(z2, torch.full((2, 2, 3, 3), -0.05), padding=1)
        first.append(z.flatten(1))
        last.append(z2.flatten(1))
    for name, rows in (("maps", first), ("last", last)):
        expected = torch.stack(rows)
        assert expected.sum() > 20
        assert (result[name].detach() - expected).abs().sum() <= 0.01 * expected.sum()


def test_a_convolution_on_an_ideal_chip():
    """Numbers of spikes within 30 %, correlated over neurons, three of four within 3 steps."""
    nodes, _, _ = layers()
    nodes = {name: nodes[name] for name in ("in", "conv", "maps")} | {
        "out": nir.Output(output_type=np.array([2, 6, 6]))
    }
    x = spikes(36, rate=0.2).reshape(STEPS, BATCH, 1, 6, 6)
    x[20:35] = 0  # spikes have a time
    model = from_nir(graph(**nodes))(x)["maps"].detach()
    hxtorch.init_hardware(Die.ideal(), noise=Noise.off())
    try:
        config = ConversionConfig(mock=False, weight_scale=None, trace_scale=None)
        network = from_nir(graph(**nodes), config)
        chip = network(x)["maps"].detach()
        report = network.exp.mapping_report()
    finally:
        hxtorch.release_hardware()
    (run,) = report.runs
    (layer,) = run.layers
    assert (layer.neurons, layer.circuits_per_neuron, layer.inputs) == (72, 1, 9)
    assert model.sum() > 50
    assert chip.sum().item() == pytest.approx(model.sum().item(), rel=0.3)
    assert np.corrcoef(model.sum(0).flatten(), chip.sum(0).flatten())[0, 1] > 0.85
    assert near(model, chip) > 0.75 and near(chip, model) > 0.6


def test_what_exceeds_the_chip_is_a_mapping_error():
    weight = torch.ones(8, 1, 3, 3)
    network = convert((1, 28, 28), {"conv": conv2d(weight * 0.1, input_shape=(28, 28))}, 8 * 26 * 26, mock=False)
    hxtorch.init_hardware()
    try:
        with pytest.raises(MappingError, match="5408 neuron circuits, but the chip has 512"):
            network(torch.zeros(5, 1, 1, 28, 28))
    finally:
        hxtorch.release_hardware()


def test_shapes_that_do_not_fit_are_named():
    weight = torch.ones(2, 3, 3, 3)
    pool = nir.SumPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0]))
    for shape, node, message in (
        ((4, 8, 8), conv2d(weight), r"'x' \(Conv2d\) expects the shape \(3, size, size\), but \(4, 8, 8\)"),
        ((3, 8, 8), conv2d(weight, input_shape=(6, 6)), r"\(3, 6, 6\), but \(3, 8, 8\)"),
        ((192,), pool, r"'x' \(SumPool2d\) expects the shape"),
        ((3, 2, 2), conv2d(weight), "kernel that reaches"),
        ((3, 8, 8), conv2d(weight, stride=2, padding="same"), "needs strides of 1"),
        ((3, 8, 8), conv2d(weight, groups=3), "groups"),
    ):
        with pytest.raises(ValueError, match=message):
            convert(shape, {"x": node}, 9)
    with pytest.raises(NotImplementedError, match=r"'x' \(Delay\).*Shift the input spikes"):
        convert((4,), {"x": nir.Delay(delay=np.ones(4))}, 4)
    with pytest.raises(NotImplementedError, match=r"reads 'x' \(SumPool2d\)"):
        from_nir(graph(**{"in": nir.Input(input_type=np.array([1, 4, 4])), "x": pool,
                          "out": nir.Output(output_type=np.array([4]))}))  # fmt: skip

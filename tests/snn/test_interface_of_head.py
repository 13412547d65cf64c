"""Names and settings that scripts of today's generation use."""

import subprocess
import sys
import textwrap

import pytest
import torch

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch.snn.utils.readout_source import ReadoutSource
from hxtorch.twin import ChipConfig, Die, Noise, VirtualChip


@pytest.fixture
def chip():
    hxtorch.init_hardware(VirtualChip(Die.ideal(), Noise.off(), step=0.5))
    yield
    hxtorch.release_hardware()


def call(exp, batch=3, steps=20):
    x = torch.zeros(steps, batch, 2)
    x[3] = 1
    syn, lif = hxsnn.Synapse(2, 4, exp), hxsnn.LIF(4, exp)
    return syn, lif, lif(syn(hxsnn.LIFObservables(spikes=x)))


@pytest.mark.filterwarnings("ignore:refractory_time")
@pytest.mark.parametrize(("wait", "seconds"), [(None, 60e-6), (0, 60e-6), (125 * 50, 160e-6)])
def test_waits_between_batch_entries_take_chip_time(chip, wait, seconds):
    exp = hxsnn.Experiment()
    exp.inter_batch_entry_wait = wait
    call(exp)
    info = hxsnn.run(exp, 20)
    assert info.time["realtime"] == pytest.approx(seconds)  # three entries of 20 us, two waits


@pytest.mark.parametrize(
    ("wait", "error"), [(-1, ValueError), (2**40, ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_waits_that_no_timer_holds(wait, error):
    with pytest.raises(error, match="inter_batch_entry_wait"):
        hxsnn.Experiment().inter_batch_entry_wait = wait


def test_what_the_chip_was_set_to(chip):
    exp = hxsnn.Experiment()
    assert exp.last_run_chip_configs == {}
    call(exp)
    hxsnn.run(exp, 20)
    (config,) = exp.last_run_chip_configs.values()
    assert list(exp.last_run_chip_configs) == [exp.default_execution_instance.ID]
    assert isinstance(config, ChipConfig)
    exp.inter_batch_entry_wait = 10
    exp.clear()
    assert exp.last_run_chip_configs == {} and exp.inter_batch_entry_wait is None and not exp.modules.nodes


def test_modules_have_numbers_and_the_last_network_is_a_graph():
    exp = hxsnn.Experiment(mock=True)
    assert exp.modules.prev_graph is None
    syn, lif, z = call(exp)
    hxsnn.run(exp, None)
    assert exp.modules.nodes == {syn: 0, lif: 1}
    assert exp.modules.get_module_by_id(1) is lif and exp.modules.get_id_by_module(syn) == 0
    assert exp.modules.get_module_by_id(2) is None and not exp.modules.has_module(torch.nn.Linear(1, 1))
    assert set(exp.modules.prev_graph.edges) == {("s_0_0", 0), (0, 1), (1, "t_1")}
    assert exp.modules.prev_graph.edges[1, "t_1"]["handle"] is z
    assert [module for module, _, _ in exp.modules.done()] == [syn, lif]
    lif(syn(hxsnn.LIFObservables(spikes=torch.zeros(5, 1, 2))))
    hxsnn.run(exp, None)
    assert exp.modules.nodes == {syn: 0, lif: 1}  # they keep their numbers


def test_arguments_of_neurons_by_position():
    exp, place = hxsnn.Experiment(mock=True), hxsnn.ExecutionInstance()
    first = (3, exp, 10, 0, 100, 5e-6, 6e-6, 500, 5e-6, 2e-6, 700, 0.0, "superspike", 40.0)
    lif = hxsnn.LIF(*first, place)
    aelif = hxsnn.AELIF(*first, 0.2, 0.3, 2, 0.4, (4, 4), 20e-6, 30, place)
    for neurons in (lif, aelif):
        assert neurons.execution_instance is place and neurons.alpha == 40.0
        assert neurons.refractory_time.model_value == 2e-6 and neurons.synapse_dac_bias.hardware_value == 700
    assert aelif.exponential_slope.model_value == 0.2 and aelif.tau_adap.model_value == 20e-6
    assert aelif.leak_adaptation.model_value == 30


def test_sources_of_the_readout():
    exp = hxsnn.Experiment(mock=True)
    assert hxsnn.LIF(1, exp, cadc_readout_source=ReadoutSource.VOLTAGE).cadc_readout_source is ReadoutSource.VOLTAGE
    with pytest.raises(NotImplementedError, match=r"ReadoutSource\.ADAPTATION"):
        hxsnn.AELIF(1, exp, madc_readout_source=ReadoutSource.ADAPTATION)
    with pytest.raises(TypeError, match="must be ReadoutSource"):
        hxsnn.AELIF(1, exp, cadc_readout_source="voltage")


@pytest.mark.parametrize("vendor", [False, True])
def test_coordinates_before_anything_else_and_the_vendors_first(tmp_path, vendor):
    """`dlens_vx_v3` needs no import of hxtorch before it, and never hides the vendor's package."""
    if vendor:
        (tmp_path / "dlens_vx_v3").mkdir()
        (tmp_path / "dlens_vx_v3" / "__init__.py").write_text("")
        (tmp_path / "dlens_vx_v3" / "halco.py").write_text("AtomicNeuronOnDLS = 'the vendor'")
    code = textwrap.dedent(f"""
        import sys
        sys.path.append({str(tmp_path)!r})
        from dlens_vx_v3 import halco
        import dlens_vx_v3.halco as again
        assert again is halco
        assert 'torch' not in sys.modules
        from hxtorch.twin import coordinates
        print(halco is coordinates, halco.AtomicNeuronOnDLS)
    """)
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split(
        maxsplit=1
    )
    assert out[0] == str(not vendor)
    assert ("the vendor" in out[1]) == vendor


class Subclass(hxsnn.LIF):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)


@pytest.mark.parametrize("neurons", [hxsnn.LIF, hxsnn.LI, hxsnn.Neuron, hxsnn.ReadoutNeuron, Subclass])
def test_warnings_point_at_the_users_line(neurons):
    with pytest.warns(UserWarning, match="range of reliable calibration") as caught:
        neurons(2, hxsnn.Experiment(), tau_mem=1.0)
    assert caught[0].filename == __file__

"""Names and settings that scripts of today's generation use."""

import importlib
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch.snn.training.model_mapper import MixinHXModelMapper
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


STAND_INS = str(Path(hxtorch.__file__).parent / "_vendor")  # what an installation puts at the end of the path


def place_vendor(folder):
    (folder / "dlens_vx_v3").mkdir()
    (folder / "dlens_vx_v3" / "__init__.py").write_text("")
    (folder / "dlens_vx_v3" / "halco.py").write_text("AtomicNeuronOnDLS = 'the vendor'")
    return str(folder)


def run_with_path(code, *path):
    """Standard output of `code` in a new interpreter with these folders at the end of its path."""
    first = f"import sys; sys.path[:] = [p for p in sys.path if p != {STAND_INS!r}] + {list(path)!r}\n"
    command = [sys.executable, "-c", first + textwrap.dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


COORDINATES = """
from dlens_vx_v3 import halco
import dlens_vx_v3.halco as again
assert again is halco and sys.modules['dlens_vx_v3'].halco is halco
assert 'torch' not in sys.modules
assert halco.AtomicNeuronOnDLS != 'the vendor' or 'hxtorch' not in sys.modules or 'first' in globals()
from hxtorch.twin import coordinates
print(halco is coordinates, halco.AtomicNeuronOnDLS == 'the vendor')
"""


def test_coordinates_before_anything_else():
    """`dlens_vx_v3` needs no import of hxtorch before it."""
    assert run_with_path(COORDINATES, STAND_INS) == "True False"


@pytest.mark.parametrize("where", ["earlier", "later"])
def test_the_vendors_package_wins_wherever_it_is_on_the_path(tmp_path, where):
    """Without any import of hxtorch."""
    path = [STAND_INS, place_vendor(tmp_path)]
    assert run_with_path(COORDINATES, *(path if where == "later" else path[::-1])) == "False True"


@pytest.mark.parametrize("vendor", [False, True])
@pytest.mark.parametrize("on_path", [False, True])
def test_coordinates_after_hxtorch(tmp_path, vendor, on_path):
    """Also where our folder is not on the path, as with `pip install --target`."""
    path = [STAND_INS] * on_path + [place_vendor(tmp_path)] * vendor
    out = run_with_path("import hxtorch as first" + COORDINATES, *path)
    assert out == ("False True" if vendor else "True False")


def test_a_folder_that_an_uninstalled_package_left_behind(tmp_path):
    (tmp_path / "dlens_vx_v3" / "__pycache__").mkdir(parents=True)
    for path in ((STAND_INS, str(tmp_path)), (str(tmp_path), STAND_INS)):
        assert run_with_path(COORDINATES, *path) == "True False"
    assert run_with_path("import hxtorch as first" + COORDINATES, str(tmp_path)) == "True False"


def test_what_the_vendors_package_has_not_is_not_ours(tmp_path):
    (tmp_path / "dlens_vx_v3").mkdir()
    (tmp_path / "dlens_vx_v3" / "__init__.py").write_text("")
    code = """
        for first in ('dlens_vx_v3', 'hxtorch', 'dlens_vx_v3'):
            __import__(first)
            try:
                import dlens_vx_v3.halco
            except ModuleNotFoundError:
                print("missing")
    """
    for path in ((STAND_INS, str(tmp_path)), (str(tmp_path), STAND_INS)):
        assert run_with_path(code, *path).split() == ["missing"] * 3


def test_every_name_that_stands_in_has_a_folder():
    """So that it is there before hxtorch; the folders hold nothing else."""
    folders = {path.parent.name for path in Path(STAND_INS).glob("*/__init__.py")} - {"_hxtorch_stand_in"}
    assert folders == {name.split(".")[0] for name in hxtorch._vendor.STAND_INS}
    texts = {(Path(STAND_INS) / name / "__init__.py").read_text() for name in folders}
    assert len(texts) == 1
    for name in hxtorch._vendor.STAND_INS:
        assert run_with_path(f"import {name}; print({name}.__name__)", STAND_INS) == hxtorch._vendor.STAND_INS[name]


class Subclass(hxsnn.LIF):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)


@pytest.mark.parametrize("neurons", [hxsnn.LIF, hxsnn.LI, hxsnn.Neuron, hxsnn.ReadoutNeuron, Subclass])
def test_warnings_point_at_the_users_line(neurons):
    with pytest.warns(UserWarning, match="range of reliable calibration") as caught:
        neurons(2, hxsnn.Experiment(), tau_mem=1.0)
    assert caught[0].filename == __file__


EXPORTED = """datasets HXBaseExperimentModule HXModule HXModuleWrapper InputNeuron AELIF LIF LI NeuronExp
    ReadoutNeuronExp Synapse SparseSynapse BatchDropout Handle TensorHandle LIFObservables LIObservables
    SynapseHandle HXParameter
    MixedHXModelParameter HXTransformedModelParameter ModelParameter Experiment ExecutionInstance run from_nir
    ConversionConfig to_nir from_nir_data to_nir_data functional transforms utils morphology modules
    neuron_placement"""
IN_SUBMODULES = {
    "modules": "Projection Population InputPopulation EventPropLIF EventPropSynapse HXFunctionalModule",
    "utils.calib_helper": """chip_from_portable_binary chip_from_file calib_from_calix_native
        target_from_calix_native nightly_calib_path nightly_calix_native_path""",
    "utils.dynamic_range.boundary": "get_dynamic_range Boundaries",
    "utils.dynamic_range.threshold": "get_trace_scaling Threshold",
    "utils.dynamic_range.weight_scaling": "get_weight_scaling WeightScaling",
    "utils.model_mapper": "MixinHXModelMapper",
    "utils.to_nir": "SNN",
    "utils.readout_source": "ReadoutSource",
    "morphology": "SingleCompartmentNeuron",
    "neuron_placement": "NeuronPlacement",
    "observables": "HardwareObservables AnalogObservable",
    "execution_instance": "ExecutionInstance ExecutionInstances",
    "backend.module_manager": "ModuleManager",
    "functional": """linear linear_sparse linear_exponential_clamp batch_dropout input_neuron threshold SuperSpike
        EventPropLIFFunction EventPropSynapseFunction exp_cuba_lif_integration exp_cuba_li_integration
        cuba_aelif_integration CuBaStepCode""",
    "transforms.weight_transforms": "linear_saturating",
    "transforms.decode": "MaxOverTime SumOverTime MeanOverTime",
    "transforms.encode": "PixelsToSpikeTimes SpikeTimesToSparseTensor SpikeTimesToDense CoordinatesToSpikes",
    "datasets": "YinYangDataset",
}
AT_THE_TOP = """init_hardware init_hardware_minimal release_hardware get_unique_identifier HWDBPath CalibrationPath
    extract_n_spikes weight_to_connection dense_spikes_to_list logger perceptron spiking ann snn"""


def missing(module, names):
    return [name for name in names.split() if not hasattr(module, name)]


def test_names_exist():
    assert missing(hxtorch, AT_THE_TOP) == []
    assert missing(hxtorch.spiking, EXPORTED) == []
    for name, names in IN_SUBMODULES.items():
        assert missing(importlib.import_module(f"hxtorch.spiking.{name}"), names) == [], name


def test_one_may_name_the_chip_of_every_module():
    exp = hxsnn.Experiment(mock=True)
    made = [
        hxsnn.Synapse(1, 2, exp, chip_coordinate=0),
        hxsnn.SparseSynapse(torch.eye(2), exp, chip_coordinate=0),
        hxsnn.InputNeuron(2, exp, chip_coordinate=0),
        *(n(2, exp, chip_coordinate=0) for n in (hxsnn.LIF, hxsnn.LI, hxsnn.AELIF, hxsnn.Neuron)),
    ]
    assert [module.chip_coordinate for module in made] == [0] * 7
    assert [isinstance(module, hxsnn.modules.Projection) for module in made] == [True] * 2 + [False] * 5


def test_parameters_of_a_population():
    exp = hxsnn.Experiment(mock=True)
    plain, trained = hxsnn.LIF(2, exp), hxsnn.LIF(2, exp, tau_mem=hxsnn.HXParameter(5e-6).make_trainable())
    assert not plain.has_trainable_params() and trained.has_trainable_params()
    assert plain.params_dict()["leak"] is plain.leak and "tau_mem" in plain.params_dict()


class Mapped(MixinHXModelMapper):
    def __init__(self):
        super().__init__()
        exp = hxsnn.Experiment(mock=True)
        self.first, self.second = hxsnn.Synapse(2, 3, exp), hxsnn.Synapse(3, 1, exp)


def test_state_of_a_foreign_model():
    foreign = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)).state_dict()
    net, names = Mapped(), {"first.weight": "0.weight", "second.weight": "1.weight"}
    net.map_from(foreign, names)
    assert torch.equal(net.first.weight, foreign["0.weight"]) and torch.equal(
        net.second.weight, foreign["1.weight"]
    )
    before = net.second.weight.clone()
    net.map_from({"w": torch.zeros(3, 2)}, {"first.weight": "w"}, map_all=False)
    assert not net.first.weight.any() and torch.equal(net.second.weight, before)
    with pytest.raises(KeyError, match=r"No source is given for \['second\.weight'\]"):
        net.map_from(foreign, {"first.weight": "0.weight"})
    with pytest.raises(KeyError, match="Unknown foreign keys"):
        net.map_from(foreign, {**names, "second.weight": "7.weight"})
    with pytest.raises(ValueError, match="has shape"):
        net.map_from(foreign, {**names, "second.weight": "0.weight"})

"""Every public signature, by a table: names, order and defaults of what scripts give by position or by keyword.

A signature may go on after what the table names, with arguments of this project. ``None`` stands where upstream has
an object as default (a neuron structure, a router, the capacitance of today's neurons).
"""

import importlib
import inspect
from pathlib import PurePath

import pytest
import torch

import hxtorch
import hxtorch.snn as hxsnn

RECORDING = """enable_cadc_recording=True enable_cadc_recording_placement_in_dram=False enable_madc_recording=False
    record_neuron_id=None placement_constraint=None trace_offset=0 trace_scale=1 cadc_time_shift=0
    shift_cadc_to_first=False interpolation_mode='linear' neuron_structure=None"""
SPIKING = f"""size experiment leak=80 reset=80 threshold=125 tau_mem=1e-05 tau_syn=1e-05 i_synin_gm=500
    membrane_capacitance=%s refractory_time=1e-06 synapse_dac_bias=600 holdoff_time=0 method='superspike' alpha=50
    execution_instance=None %s enable_spike_recording=True {RECORDING}"""
SILENT = f"""size experiment leak=80 tau_mem=1e-05 tau_syn=1e-05 i_synin_gm=500 membrane_capacitance=%s
    synapse_dac_bias=600 execution_instance=None %s {RECORDING}"""
SYNAPSE = """in_features out_features experiment execution_instance=None chip_coordinate=None device=None dtype=None
    transform=linear_saturating plasticity_rule=None"""
INTEGRATION = """input leak reset threshold tau_syn c_mem g_l refractory_time=0 method='superspike' alpha=50
    exp_slope=1 exp_threshold=0 subthreshold_adaptation_strength=0 spike_triggered_adaptation_increment=0
    tau_adap=1 hw_data=None dt=1e-06 leaky=True
    fire=True refractory=False exponential=False subthreshold_adaptation=False spike_triggered_adaptation=False"""
LAYER = "num_sends=None wait_between_events=5 mock=False"
OPERATION = "num_sends=1 wait_between_events=5 mock=False"
CONVOLUTION = "in_channels out_channels kernel_size stride=1 padding=0 dilation=1 groups=1 bias=True"

SIGNATURES = {
    "HWDBPath": "path=None version='stable/latest'",
    "CalibrationPath": "value",
    "get_unique_identifier": "hwdb_path=None",
    "extract_n_spikes": "data network_graph runtime n_spikes",
    "weight_to_connection": "weight connections=None",
    "dense_spikes_to_list": "spikes input_size",
    "logger.get": "name",
    "logger.default_config": "level=20",
    "logger.set_loglevel": "logger level",
    # --- experiments -----------------------------------------------------------------------------------------
    "snn.Experiment": "mock=False dt=1e-06 hw_routing_func=None",
    "snn.Experiment.connect": "self module input_handles output_handle=None",
    "snn.Experiment.connect_wrapper": "self wrapper",
    "snn.Experiment.register_population": "self module",
    "snn.Experiment.register_projection": "self module",
    "snn.Experiment.get_hw_results": "self runtime",
    "snn.Experiment.clear": "self",
    "snn.ExecutionInstance": "calib_path=None calib_cache_dir=None input_loopback=False",
    "snn.ExecutionInstance.load_calib": "self calib_path",
    "snn.ExecutionInstance.cadc_recordings": "self",
    "snn.ExecutionInstance.plasticity_rules": "self",
    "snn.ExecutionInstance.generate_playback_hooks": "self",
    "snn.run": "experiment runtime",
    "snn.ExecutionInfo": "time=<factory> health=<factory>",
    # --- handles ---------------------------------------------------------------------------------------------
    "snn.NeuronHandle": "spikes=None membrane_cadc=None current=None membrane_madc=None",
    "snn.LIFObservables": "spikes=None membrane_cadc=None current=None membrane_madc=None",
    "snn.ReadoutNeuronHandle": "membrane_cadc=None current=None membrane_madc=None",
    "snn.LIObservables": "membrane_cadc=None current=None membrane_madc=None",
    "snn.SynapseHandle": "graded_spikes=None",
    "snn.TensorHandle": "tensor=None",
    "snn.NeuronHandle.holds": "self name",
    "snn.NeuronHandle.put": "self *tensors **named",
    "snn.NeuronHandle.clone": "self other",
    "snn.NeuronHandle.clear": "self",
    "snn.observables.AnalogObservable": "cadc=None madc=None",
    "snn.observables.HardwareObservables": "spikes=None cadc=None madc=None",
    # --- modules ---------------------------------------------------------------------------------------------
    "snn.HXBaseExperimentModule": "experiment",
    "snn.HXBaseExperimentModule.forward": "self *inputs",
    "snn.HXBaseExperimentModule.exec_forward": "self inputs output hw_map",
    "snn.HXModule": "experiment execution_instance=None chip_coordinate=None",
    "snn.HXModule.forward_func": "self input hw_data=None",
    "snn.HXModule.post_process": "self hw_data runtime",
    "snn.HXModule.reset_changed_since_last_run": "self",
    "snn.HXModule.register_hw_entity": "self",
    "snn.HXModuleWrapper": "experiment **modules",
    "snn.HXModuleWrapper.contains": "self modules",
    "snn.HXModuleWrapper.update": "self **modules",
    "snn.modules.Population": "size experiment execution_instance=None chip_coordinate=None",
    "snn.modules.Population.configure_hw_entity": "self neuron_id neuron_block coord",
    "snn.modules.Population.params_dict": "self",
    "snn.modules.Population.has_trainable_params": "self",
    "snn.modules.Population.params_from_calibration": "self target neurons",
    "snn.modules.Population.calibration_from_params": "self target neurons",
    "snn.modules.Population.calib_changed_since_last_run": "self",
    "snn.modules.Projection": "in_features out_features experiment execution_instance=None chip_coordinate=None",
    "snn.modules.InputPopulation": "size experiment execution_instance=None chip_coordinate=None",
    "snn.InputNeuron": "size experiment execution_instance=None chip_coordinate=None",
    "snn.Synapse": SYNAPSE,
    "snn.EventPropSynapse": SYNAPSE,
    "snn.Synapse.reset_parameters": "self",
    "snn.SparseSynapse": """connections experiment execution_instance=None chip_coordinate=None device=None
        dtype=None transform=linear_saturating""",
    "snn.BatchDropout": "size dropout experiment",
    "snn.BatchDropout.set_mask": "self",
    "snn.Neuron": SPIKING % ("63", ""),
    "snn.NeuronExp": SPIKING % ("63", ""),
    "snn.LIF": SPIKING % ("None", "chip_coordinate=None"),
    "snn.EventPropLIF": SPIKING % ("None", "chip_coordinate=None"),
    "snn.ReadoutNeuron": SILENT % ("63", ""),
    "snn.ReadoutNeuronExp": SILENT % ("63", ""),
    "snn.LI": SILENT % ("None", "chip_coordinate=None"),
    "snn.AELIF": """size experiment leak=80 reset=80 threshold=125 tau_mem=1e-05 tau_syn=1e-05 i_synin_gm=500
        membrane_capacitance=None refractory_time=1e-06 synapse_dac_bias=600 holdoff_time=0 method='superspike'
        alpha=50 exponential_slope=0.05 exponential_threshold=110 subthreshold_adaptation_strength=1
        spike_triggered_adaptation_increment=1 clock_scale_adaptation_pulse=(5, 5) tau_adap=0.0001
        leak_adaptation=None execution_instance=None chip_coordinate=None enable_spike_recording=True
        enable_cadc_recording=True enable_cadc_recording_placement_in_dram=False cadc_readout_source=VOLTAGE
        enable_madc_recording=False record_neuron_id=None madc_readout_source=VOLTAGE placement_constraint=None
        trace_offset=0 trace_scale=1 cadc_time_shift=0 shift_cadc_to_first=False interpolation_mode='linear'
        neuron_structure=None leaky=True fire=True exponential=True subthreshold_adaptation=True
        spike_triggered_adaptation=True""",
    # --- parameters ------------------------------------------------------------------------------------------
    "snn.HXParameter": "model_value",
    "snn.ModelParameter": "model_value",
    "snn.MixedHXModelParameter": "model_value hardware_value",
    "snn.HXTransformedModelParameter": "model_value func",
    "snn.HXParameter.make_trainable": "self set_on_chip_func=None",
    "snn.HXParameter.set_on_chip": "self chip coordinates",
    # --- functional ------------------------------------------------------------------------------------------
    "snn.functional.linear": "input weight bias=None",
    "snn.functional.linear_sparse": "input weight connections=None bias=None",
    "snn.functional.linear_exponential_clamp": "inputs weight bias=None cap=1.5 start_weight=61 quantize=False",
    "snn.functional.batch_dropout": "input mask",
    "snn.functional.input_neuron": "input hw_data=None",
    "snn.functional.threshold": "input method='superspike' alpha=50",
    "snn.functional.cuba_aelif_integration": INTEGRATION,
    "snn.functional.CuBaStepCode": """leaky=True fire=True refractory=False exponential=False
        subthreshold_adaptation=False spike_triggered_adaptation=False hw_voltage_trace_available=False
        hw_adaptation_trace_available=False hw_spikes_available=False""",
    # --- transforms, data ------------------------------------------------------------------------------------
    "snn.transforms.weight_transforms.linear_saturating": "weight scale=1 min_weight=-63 max_weight=63",
    "snn.transforms.encode.PixelsToSpikeTimes": "tau=20 threshold=0.2 t_max=1 epsilon=1e-07",
    "snn.transforms.encode.SpikeTimesToSparseTensor": "bin_width size=100",
    "snn.transforms.encode.SpikeTimesToDense": "bin_width size=100",
    "snn.transforms.encode.CoordinatesToSpikes": "seq_length t_early t_late dt=1e-06 t_bias=None",
    "snn.datasets.YinYangDataset": "r_small=0.1 r_big=0.5 size=1000 seed=42 transform=None",
    "snn.datasets.YinYangDataset.get_sample": "self goal=None",
    "snn.datasets.YinYangDataset.which_class": "self x y",
    # --- utils -----------------------------------------------------------------------------------------------
    "snn.utils.calib_helper.chip_from_portable_binary": "data",
    "snn.utils.calib_helper.chip_from_file": "path",
    "snn.utils.calib_helper.calib_from_calix_native": "path",
    "snn.utils.calib_helper.target_from_calix_native": "path",
    "snn.utils.calib_helper.nightly_calib_path": "name='spiking'",
    "snn.utils.calib_helper.nightly_calix_native_path": "name='spiking'",
    "snn.utils.dynamic_range.boundary.get_dynamic_range": "neuron_structure=None calib_path=None params=None",
    "snn.utils.dynamic_range.threshold.get_trace_scaling": "params=None calib_path=None neuron_structure=None",
    "snn.utils.dynamic_range.weight_scaling.get_weight_scaling": """params=None weight_step=1 calib_path=None
        neuron_structure=None""",
    "snn.utils.model_mapper.MixinHXModelMapper.map_from": "self state_dict mapping map_all=True",
    "snn.utils.to_nir.SNN": "dt=1e-06 mock=True device='cpu'",
    "snn.ConversionConfig": """dt=1e-06 calib_path=None weight_scale=64 trace_scale=0.02 trace_shift=0
        cadc_recording=True mock=True input_loopback=True device=<factory>""",
    "snn.from_nir": "graph cfg=None",
    "snn.to_nir": "snn input_sample",
    "snn.from_nir_data": "data model",
    "snn.to_nir_data": "spikes model",
    "snn.morphology.SingleCompartmentNeuron": "size=1 expand_horizontally=False",
    "snn.neuron_placement.NeuronPlacement.register_id": "self neuron_id shape=None placement_constraint=None",
    "snn.neuron_placement.NeuronPlacement.id2logicalneuron": "self neuron_id=None",
    "snn.backend.module_manager.ModuleManager": "",
    "snn.backend.module_manager.ModuleManager.add_node": "self module sources target=None",
    "snn.backend.module_manager.ModuleManager.add_wrapper": "self wrapper",
    "snn.backend.module_manager.ModuleManager.get_module_by_id": "self number",
    "snn.backend.module_manager.ModuleManager.get_id_by_module": "self module",
    "snn.backend.module_manager.ModuleManager.pre_process": "self experiment",
    # --- perceptron ------------------------------------------------------------------------------------------
    "perceptron.mac": f"""x weights {OPERATION} madc_recording_neuron_id=0 madc_recording_path=''""",
    "perceptron.matmul": f"input other {OPERATION}",
    "perceptron.add": "input other alpha=1 mock=False",
    "perceptron.argmax": "input dim=None keepdim=False mock=False",
    "perceptron.relu": "input mock=False",
    "perceptron.converting_relu": "input shift=2 mock=False",
    "perceptron.conv1d": f"input weight bias=None stride=1 {OPERATION}",
    "perceptron.conv2d": f"input weight bias=None stride=1 {OPERATION}",
    "perceptron.expanded_conv1d": f"input weight bias=None stride=1 num_expansions=1 {OPERATION}",
    "perceptron.MockParameter": "noise_std=2 gain=0.002",
    "perceptron.set_mock_parameter": "parameter",
    "perceptron.inference_trace": "input filename",
    "perceptron.InferenceTracer": "filename",
    "perceptron.nn.MACLayer": f"{LAYER} input_transform=None weight_transform=clamp_weight_",
    "perceptron.nn.Linear": f"in_features out_features bias=True {LAYER} avg=1 input_transform=None",
    "perceptron.nn.ReLU": "mock=False",
    "perceptron.nn.ConvertingReLU": "shift=2 mock=False",
}  # fmt: skip

KEYWORD_ONLY = {
    "snn.functional.cuba_aelif_integration": INTEGRATION.split()[1:],
    "perceptron.nn.Linear": ["avg=1", "input_transform=None"],
    "perceptron.nn.MACLayer": ["input_transform=None", "weight_transform=clamp_weight_"],
}


def find(path):
    """Module or attribute by its dotted name below `hxtorch`."""
    found = hxtorch
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            found = importlib.import_module(f"{found.__name__}.{name}")
    return found


def shown(parameter):
    """A parameter as the table writes it."""
    name = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "") + parameter.name
    default = parameter.default
    if default is parameter.empty:
        return name
    if isinstance(default, bool) or default is None:
        text = str(default)
    elif isinstance(default, str | PurePath):
        text = repr(str(default))
    elif isinstance(default, int | float):
        text = f"{default:g}"
    else:
        text = getattr(default, "name", None) or getattr(default, "__name__", None) or repr(default)
    return f"{name}={text}"


def words(text):
    """The parameters of a line of the table."""
    return text.replace("(5, 5)", "(5,5)").split()


@pytest.mark.parametrize("path", SIGNATURES)
def test_signature(path):
    parameters = inspect.signature(find(path)).parameters.values()
    if inspect.isclass(find(path)):
        parameters = [p for p in parameters if p.name != "self"]
    given = [shown(p).replace(" ", "") for p in parameters]
    expected = words(SIGNATURES[path])
    assert given[: len(expected)] == expected
    keyword_only = KEYWORD_ONLY.get(path, [])
    for parameter, text in zip(parameters, expected, strict=False):
        kind = parameter.kind
        if kind in (kind.VAR_POSITIONAL, kind.VAR_KEYWORD):
            continue
        assert (kind is kind.KEYWORD_ONLY) == (text in keyword_only), text
    for parameter in list(parameters)[len(expected) :]:  # what this project adds is never required
        assert parameter.default is not parameter.empty or parameter.kind.name.startswith("VAR"), parameter


NEURONS = [hxsnn.Neuron, hxsnn.LIF, hxsnn.AELIF, hxsnn.EventPropLIF, hxsnn.ReadoutNeuron, hxsnn.LI]


@pytest.mark.parametrize("neurons", NEURONS)
def test_defaults_of_parameters_are_those_of_one_table(neurons):
    from hxtorch.snn.neuron_parameters import PARAMETERS

    signature = inspect.signature(neurons).parameters
    for name in set(signature) & set(PARAMETERS) - {"membrane_capacitance"}:
        assert signature[name].default == PARAMETERS[name].default, name
    bare = hxsnn.modules.Population(2, hxsnn.Experiment(mock=True))
    for name, info in PARAMETERS.items():
        if info.default is not None:
            assert torch.equal(torch.as_tensor(getattr(bare, name).model_value), torch.as_tensor(info.default)), (
                name
            )


@pytest.mark.parametrize("neurons", [hxsnn.LIF, hxsnn.LI, hxsnn.AELIF])
def test_the_default_capacitance_is_no_shared_object(neurons):
    exp = hxsnn.Experiment(mock=True)
    one, other = neurons(1, exp).membrane_capacitance, neurons(1, exp).membrane_capacitance
    assert one is not other
    assert isinstance(one, hxsnn.HXTransformedModelParameter)
    assert (one.model_value, one.hardware_value) == (10e-6, 63)


def test_every_argument_of_lif_and_li_by_position():
    exp, place = hxsnn.Experiment(mock=True), hxsnn.ExecutionInstance()
    tail = (True, False, True, 0, None, 3.0, 0.5, 2, True, "nn", None)
    lif = hxsnn.LIF(1, exp, 80, 80, 125, 1e-5, 1e-5, 500, 1e-5, 1e-6, 600, 0.0, "superspike", 50.0, place, 7,
                    True, *tail)  # fmt: skip
    li = hxsnn.LI(1, exp, 80, 1e-5, 1e-5, 500, 1e-5, 600, place, 7, *tail)
    for neurons in (lif, li):
        assert neurons.execution_instance is place and neurons.chip_coordinate == 7
        assert neurons.enable_cadc_recording and neurons.enable_madc_recording and neurons.record_neuron_id == 0
        assert neurons.trace_offset.item() == 3.0 and neurons.trace_scale.item() == 0.5
        assert neurons.cadc_time_shift == 2 and neurons.shift_cadc_to_first
        assert neurons.interpolation_mode == "nn"
    assert lif.enable_spike_recording and not li.enable_spike_recording


@pytest.mark.parametrize("order", ["today", "before"])
def test_synapses_take_their_arguments_in_the_order_of_either_generation(order):
    exp = hxsnn.Experiment(mock=True)
    coordinate = (0,) if order == "today" else ()

    def transform(weight):
        return weight * 2

    for device, dtype in (("cpu", torch.float64), (torch.device("cpu"), None), (None, torch.float64), (None, None)):
        rest = (None, *coordinate, device, dtype, transform)
        for synapse in (hxsnn.Synapse(2, 3, exp, *rest), hxsnn.SparseSynapse(torch.ones(2, 3), exp, *rest)):
            assert synapse.weight.dtype == (dtype or torch.float32)
            assert synapse.weight_transform is transform
            assert synapse.chip_coordinate == (0 if order == "today" else None)

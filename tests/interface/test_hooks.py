"""What scripts of today override and look at: hooks of modules, states of instances, the manager of modules."""

import numpy as np
import pytest
import torch
from hxtorch.snn.neuron_block import NeuronBlock
from hxtorch.snn.observables import AnalogObservable

import hxtorch
import hxtorch.snn as hxsnn
from hxtorch.calibration import CalibrationTarget
from hxtorch.snn.execution_instance import ExecutionInstances
from hxtorch.snn.morphology import SingleCompartmentNeuron
from hxtorch.twin import ChipConfig, Die, NeuronConfig, Noise, VirtualChip

STEPS = 40
pytestmark = pytest.mark.filterwarnings("ignore:.*range of reliable calibration")


@pytest.fixture
def chip():
    hxtorch.init_hardware(VirtualChip(Die.ideal(), Noise.off(), step=0.5))
    yield
    hxtorch.release_hardware()


def spikes(batch=2):
    x = torch.zeros(STEPS, batch, 3)
    x[5:30:3] = 1
    return hxsnn.LIFObservables(spikes=x)


def network(neurons=hxsnn.LIF, mock=False, **options):
    torch.manual_seed(0)
    exp = hxsnn.Experiment(mock=mock)
    synapse, lif = hxsnn.Synapse(3, 4, exp), neurons(4, exp, **options)
    synapse.weight.data.fill_(40.0)
    return exp, synapse, lif


def run(exp, synapse, lif):
    z = lif(synapse(spikes()))
    hxsnn.run(exp, STEPS)
    return z


# --- Hooks of modules ----------------------------------------------------------------------------------------


class Silent(hxsnn.LIF):
    """Switches the thresholds of its first two neurons off."""

    def configure_hw_entity(self, neuron_id, neuron_block, coord):
        self.places = [*getattr(self, "places", []), (neuron_id, coord.circuits)]
        if neuron_id < 2:
            neuron_block.enable_threshold[list(coord.circuits)] = False
        return neuron_block


def test_modules_set_registers_of_their_neurons(chip):
    exp, synapse, lif = network(Silent)
    z = run(exp, synapse, lif)
    assert not z.spikes[:, :, :2].any() and z.spikes[:, :, 2:].any()
    assert [number for number, _ in lif.places] == [0, 1, 2, 3]
    placed = exp.default_execution_instance.neuron_placement.id2logicalneuron()
    assert [place for _, place in lif.places] == [item.circuits for item in placed]
    first = exp.last_run_chip_configs[exp.default_execution_instance.ID].neurons
    run(exp, synapse, lif)
    assert exp.last_run_chip_configs[exp.default_execution_instance.ID].neurons is first  # equal: kept


def test_trained_parameters_write_their_value_to_the_chip(chip):
    written = []

    def write(block, places, value):
        written.append(([place.circuits for place in places], float(value)))
        for place in places:
            block.refractory_counter[list(place.circuits)] = 200

    tau = hxsnn.HXParameter(10e-6).make_trainable(write)
    exp, synapse, lif = network(tau_mem=tau)
    run(exp, synapse, lif)
    ((circuits, value),) = written
    config = exp.last_run_chip_configs[exp.default_execution_instance.ID].neurons
    assert len(circuits) == 4 and value == pytest.approx(10e-6)
    assert (config.refractory_counter[[c for (c,) in circuits]] == 200).all()
    block = exp.default_execution_instance.set_neuron_parameters_on_chip(NeuronBlock(NeuronConfig()))
    assert len(written) == 2 and (block.refractory_counter == 200).sum() == 4


def test_helpers_of_morphologies_change_the_block_of_the_hook(chip):
    class Leakless(hxsnn.LIF):
        def configure_hw_entity(self, neuron_id, neuron_block, coord):
            if neuron_id == 0:
                SingleCompartmentNeuron.disable_spiking(coord, neuron_block)
                SingleCompartmentNeuron.disable_leak(coord, neuron_block)
            return SingleCompartmentNeuron.implement_morphology(coord, neuron_block)

    exp, synapse, lif = network(Leakless, neuron_structure=SingleCompartmentNeuron(2))
    z = run(exp, synapse, lif)
    assert not z.spikes[:, :, 0].any() and z.spikes[:, :, 1:].any()
    config = exp.last_run_chip_configs[exp.default_execution_instance.ID].neurons
    first = exp.default_execution_instance.neuron_placement.id2logicalneuron(0).circuits
    assert len(first) == 2 and not config.enable_leak[list(first)].any()
    assert config.membrane[first[1]] == config.membrane[first[0]]


def test_codes_beyond_the_chips_are_clipped_with_a_warning():
    block = NeuronBlock(NeuronConfig())
    block.v_leak[3] = 2000
    with pytest.warns(UserWarning, match=r"v_leak of circuit 3 is set to 2000.*clipped"):
        assert block.config().v_leak[3] == 1022
    with pytest.raises(AttributeError, match="no neuron register"):
        block.v_leek = 3
    assert NeuronConfig().v_leak[3] != 2000  # the configuration itself cannot be written to


def test_hooks_are_called_and_those_without_meaning_refused(chip):
    class Registering(hxsnn.LIF):
        calls = 0

        def register_hw_entity(self):
            self.calls += 1
            super().register_hw_entity()

    exp, synapse, lif = network(Registering)
    run(exp, synapse, lif)
    assert lif.calls == 1

    class Building(hxsnn.LIF):
        def add_to_network_graph(self, builder):
            return builder

    with pytest.raises(NotImplementedError, match=r"Building\.add_to_network_graph.*configure_hw_entity"):
        run(*network(Building))
    with pytest.raises(NotImplementedError, match="calls of modules"):
        lif.add_to_input_generator(None, None)


def test_whether_something_changed_since_the_last_run(chip):
    exp, synapse, lif = network()
    assert synapse.changed_since_last_run and lif.changed_since_last_run and lif.calib_changed_since_last_run()
    run(exp, synapse, lif)
    assert not synapse.changed_since_last_run and not lif.changed_since_last_run
    synapse.weight.data[0, 0] += 1  # what autograd's version counter does not see
    lif.mask = torch.tensor([True, True, False, True])
    assert synapse.changed_since_last_run and lif.changed_since_last_run
    assert not lif.calib_changed_since_last_run()
    lif.reset_changed_since_last_run()
    assert not lif.changed_since_last_run
    lif.threshold.hardware_value = 140
    assert lif.changed_since_last_run and lif.calib_changed_since_last_run()
    run(exp, synapse, lif)
    assert not synapse.changed_since_last_run and not lif.changed_since_last_run
    synapse.weight_transform = lambda weight: weight / 2
    assert synapse.changed_since_last_run


def test_processed_data_under_the_names_of_both_generations(chip):
    seen = {}

    class Reading(hxsnn.LIF):
        def forward_func(self, *input, hw_data=None):
            seen["tuple"] = tuple(hw_data)
            seen["names"] = (hw_data.spikes, hw_data.voltage, hw_data.adaptation)
            return super().forward_func(*input, hw_data=hw_data)

    class Handing(hxsnn.LIF):
        def post_process(self, hw_data, runtime):
            spikes, cadc, madc = super().post_process(hw_data, runtime)
            voltage = AnalogObservable(cadc=cadc, madc=madc)
            return hxsnn.Handle(voltage=voltage, adaptation=AnalogObservable(), spikes=spikes)

    z = run(*network(Reading))
    spikes, cadc, madc = seen["tuple"]
    assert seen["names"][0] is spikes and madc is None and seen["names"][2].cadc is None
    assert seen["names"][1] == AnalogObservable(cadc, None)
    other = run(*network(Handing))
    assert torch.equal(z.spikes, other.spikes) and torch.equal(z.membrane_cadc, other.membrane_cadc)
    assert z.spikes.any()
    html = hxsnn.Handle(voltage=AnalogObservable(cadc), spikes=spikes)._repr_html_()
    assert "voltage.cadc" in html


def test_parameters_and_targets_of_a_calibration():
    _, _, lif = network(mock=True, leak=hxsnn.MixedHXModelParameter(0.0, 90))
    target = lif.calibration_from_params(CalibrationTarget(), [3, 300, 5, 7])
    assert np.flatnonzero(np.asarray(target.leak) == 90).tolist() == [3, 5, 7, 300]
    again = lif.calibration_from_params(target, [10, 11, 12, 13])
    assert (np.asarray(again.leak) == 90).sum() == 8  # the rest of the given target stays
    other = hxsnn.Neuron(4, None)
    other.params_from_calibration(target, [3, 300, 5, 8])
    assert other.leak.hardware_value.tolist() == [90, 90, 90, 80]
    with pytest.raises(ValueError, match="3 places for 4 neurons"):
        lif.calibration_from_params(target, [1, 2, 3])


def test_modules_may_keep_their_values_under_a_loaded_calibration(chip, tmp_path):
    from hxtorch import calibration
    from hxtorch.connection import require_chip

    calibration.save(calibration.nightly("spiking", require_chip()), tmp_path / "night.pbin")
    values = {}
    for follows in (True, False):
        exp, synapse, lif = network()
        exp.default_execution_instance.load_calib(tmp_path / "night.pbin")
        lif.read_params_from_calibration = follows
        run(exp, synapse, lif)
        values[follows] = torch.as_tensor(lif.reset.hardware_value).flatten()[0].item()
    assert values == {True: 70, False: 80}


# --- Execution instances -------------------------------------------------------------------------------------


def test_what_an_instance_knows_of_its_last_run(chip):
    exp, synapse, lif = network(enable_madc_recording=True, record_neuron_id=1)
    place = exp.default_execution_instance
    assert (place.id_counter, place.modules, place.cadc_neurons) == (0, (), {})
    assert place.record_cadc_into_dram is None and not place.has_madc_recording and place.chip is None
    with pytest.raises(AssertionError, match="records no CADC"):
        place.cadc_recordings()
    run(exp, synapse, lif)
    assert (place.id_counter, place.modules) == (4, (lif,))
    assert place.record_cadc_into_dram is False and place.has_madc_recording
    assert place.cadc_recordings()[lif].shape == (4,)
    assert exp.grenade_network.neurons[0].size == 4 and len(exp.grenade_network_graph.circuits) == 1
    assert exp._populations == [lif] and exp._projections == [synapse]
    several = ExecutionInstances([place, hxsnn.ExecutionInstance()])
    assert list(several.cadc_recordings) == [place.ID] and several.chips == {}
    assert set(several.plasticity_rules) == {item.ID for item in several} == set(several.playback_hooks)


def test_an_instance_calibrates_by_itself(chip):
    place = hxsnn.ExecutionInstance()
    with pytest.raises(ValueError, match="Nothing has run"):
        place.calibrate()
    made = place.calibrate(CalibrationTarget(threshold=140))
    assert place.calib is made and isinstance(place.chip, ChipConfig)
    assert place.chip.neurons is made.neurons
    exp, synapse, lif = network()
    run(exp, synapse, lif)
    asked = exp.default_execution_instance.calibrate()
    circuits = exp.default_execution_instance.cadc_neurons[lif]
    assert (np.asarray(asked.target.threshold)[circuits] == 125).all()


@pytest.mark.parametrize("what", ["injection_pre_realtime", "injection_inside_realtime_end", "read_ppu_symbols"])
def test_programs_for_what_a_virtual_chip_has_not_are_refused(chip, what):
    exp, synapse, lif = network()
    assert not getattr(exp.default_execution_instance, what)
    setattr(exp.default_execution_instance, what, {"program"})
    with pytest.raises(NotImplementedError, match="virtual chip has no sequencer"):
        run(exp, synapse, lif)
    with pytest.raises(NotImplementedError, match="plasticity_rule"):
        hxsnn.Synapse(1, 1, exp, plasticity_rule=object())


# --- The manager of modules ----------------------------------------------------------------------------------


def test_the_manager_of_modules():
    exp = hxsnn.Experiment(mock=True)
    first, hidden = hxsnn.Synapse(3, 4, exp), hxsnn.LIF(4, exp)
    drop, second, out = hxsnn.BatchDropout(4, 0.1, exp), hxsnn.Synapse(4, 2, exp), hxsnn.LI(2, exp)
    given = spikes()
    graded = first(given)
    out(second(drop(hidden(graded))))
    manager = exp.modules
    assert set(manager.graph.edges) == {("s_0_0", 0), (0, 1), (1, 2), (2, 3), (3, 4), (4, "t_4")}
    assert manager.find_edges(graded) == [(0, 1)] and manager.find_edges(hxsnn.SynapseHandle()) == []
    assert manager.input_data(first)[0] is given
    assert manager.source_populations(second) == [hidden] and manager.target_populations(first) == [hidden]
    assert manager.source_populations(first) == []
    manager.pre_process(exp)
    assert [module for module, _, _ in manager.done()] == [first, hidden, drop, second, out]
    manager.clear()
    assert manager.graph.number_of_nodes() == 0 and manager.get_id_by_module(out) == 4
    with pytest.raises(ValueError, match="nothing to run"):
        hxsnn.run(exp, None)


def test_a_manager_by_itself():
    from hxtorch.snn.backend.module_manager import ModuleManager

    exp, manager = hxsnn.Experiment(mock=True), ModuleManager()
    one, two = hxsnn.Synapse(3, 4, exp), hxsnn.LIF(4, exp)
    given, between, end = spikes(), hxsnn.SynapseHandle(), hxsnn.LIFObservables()
    manager.add_node(two, (between,), end)
    manager.add_node(one, (given,), between)
    assert manager.nodes == {two: 0, one: 1}
    assert [(module, target) for module, _, target in manager.done()] == [(one, between), (two, end)]
    assert set(manager.graph.edges) == {("s_1_0", 1), (1, 0), (0, "t_0")}
    wrapper = hxsnn.HXModuleWrapper(exp, one=one, two=two)
    manager.add_wrapper(wrapper)
    assert manager.wrappers == {wrapper: "w_0"}

"""What a training is: its settings, and the published result that it is held against."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """All numbers of a training. Times in seconds, `dt` per step.

    * `data`: name of the data set (`hxtorch.reproduce.data`); `train_size`, `test_size`: of its samples, the
      first so many; None: all. `validation`: the last so many samples to train with are held out and take the
      place of the test set, to choose settings by; 0: none.
    * `steps`, `dt`, `tau_mem`, `tau_syn`: grid of time and time constants.
    * `input_times`, `bias_time`: of the coordinates 0 and 1, and of a further input (None: there is none), for
      points.
    * `hidden`: neurons of the hidden layer; `recurrence`: None, "trained" or "frozen"; `dropout` in it.
    * `circuits`: circuits per neuron, for 128 inputs each; `input_repetitions`: rows per input on the chip.
    * `init_hidden`, `init_output`, `init_recurrent`: mean and standard deviation of the first weights.
    * `estimator`: "surrogate_gradient" or "eventprop"; `alpha`: steepness of the surrogate gradient.
    * `decoder`: "max" or "sum" of the readout over time, or "first" for spiking outputs of which the first one
      decides; `readout_scale`: factor on the scores in the loss (1 in mock mode, as in the published program).
      `wake`: what weights into neurons that stay silent grow by per batch, with "first".
    * `weight_scale`, `trace_scale`, `time_shift`: alignment of chip and model; with `align` it is measured on
      the chip before the training (`hxtorch.snn.utils.align`), but for `time_shift`.
    * `leak`, `threshold`, `readout_leak`, `i_synin_gm`, `synapse_dac_bias`: of the chip, in CADC LSB and codes;
      with "first" they are those of `first_spike`.
    * `largest_output_scale`: limit of the readout's weight scale, at which its largest weight is 63.
    * `epochs`, `batch_size`, `lr`; `lr` is multiplied by `gamma` every `step_size` epochs.
    * `reg_readout`, `reg_bursts`, `reg_hidden`: strengths of the regularisers; `rotation`: of images, degrees.
    * `averaging`: tested and kept is an average of the weights, which loses 1 - `averaging` of the older ones per
      batch (`hxtorch.reproduce.averaging`); 0: the weights after the last batch.
    * `label_smoothing`: share of the target that goes to all classes alike (Szegedy et al. 2016).
    * `largest_gradient`: each gradient of a weight is limited to so many times the median of its layer; 0: is not.
    * `smallest_slope`: of `hxtorch.snn.EventPropLIF`; `threshold_at_spikes`: of `hxtorch.snn.Neuron`.
    """

    data: str
    epochs: int
    train_size: int | None = None
    steps: int = 38
    input_times: tuple[float, float] = (2e-6, 26e-6)
    bias_time: float | None = 2e-6
    dt: float = 1e-6
    tau_mem: float = 6e-6
    tau_syn: float = 6e-6
    hidden: int = 120
    recurrence: str | None = None
    dropout: float = 0.0
    circuits: int = 1
    input_repetitions: int = 1
    init_hidden: tuple[float, float] = (0.25, 0.25)
    init_output: tuple[float, float] = (0.0, 0.1)
    init_recurrent: tuple[float, float] = (0.0, 0.1)
    estimator: str = "surrogate_gradient"
    decoder: str = "max"
    readout_scale: float = 10.0
    wake: float = 0.0
    weight_scale: float = 70.0
    trace_scale: float = 0.0147
    time_shift: int = -1
    align: bool = False
    largest_output_scale: float = 70.0
    batch_size: int = 50
    lr: float = 2e-3
    gamma: float = 0.9
    step_size: int = 10
    reg_readout: float = 4e-4
    reg_bursts: float = 0.0
    reg_hidden: float = 0.0
    rotation: float = 0.0
    test_size: int | None = None
    averaging: float = 0.0
    label_smoothing: float = 0.0
    largest_gradient: float = 0.0
    alpha: float = 50.0
    smallest_slope: float | None = None
    threshold_at_spikes: bool = False
    leak: int = 80
    threshold: int = 150
    readout_leak: int = 80
    i_synin_gm: int = 500
    synapse_dac_bias: int = 1000
    validation: int = 0


@dataclass(frozen=True)
class Task:
    """A training and the result that it should reproduce.

    `published` and `source` say what was reached where, `goal` is the accuracy to reach here (0..1; 0: none),
    `seeds` how many trainings the mean is taken over. `control` names a training that lacks what this one is
    about: `goal` is then the difference of the accuracies to reach.
    """

    name: str
    title: str
    published: str
    source: str
    goal: float
    settings: Settings
    seeds: int = 5
    control: str = ""

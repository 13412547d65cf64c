"""The published results, and the settings with which they are reproduced.

The numbers of the chip are those of the published programs: leak and reset 80, threshold 150, tau 6 µs,
`i_synin_gm` 500, `synapse_dac_bias` 1000, five rows per input for Yin-Yang.
"""

from __future__ import annotations

from dataclasses import replace

from hxtorch.reproduce.settings import Settings, Task

_EXAMPLE = Settings(data="yinyang", epochs=5, input_repetitions=5)
_READOUT = (0.03, 0.15)  # a class with weights below 0 alone has its maximum at the start, and no gradient
_TUNED = replace(_EXAMPLE, epochs=60, step_size=1, gamma=0.955, lr=2.5e-3, init_output=_READOUT)
# The gradient of a spike is inverse to the slope of the membrane. Without a limit of the slope a few spikes that
# hardly came decide it: the cosine of it in two runs of the same samples on the chip was -0.3, and 0.99 with 0.25.
# Few spikes per neuron at first, a finer grid and the sum over time, which has no kinks, help the model alone, too.
# Chosen by 1000 points of a third seed (41).
_TUNED_EVENTPROP = replace(
    _TUNED, epochs=120, gamma=0.968, lr=5e-3, estimator="eventprop", steps=76, dt=0.5e-6, decoder="sum",
    readout_scale=0.5, init_hidden=(0.15, 0.2), init_output=(0.0, 0.2), largest_gradient=5.0, smallest_slope=0.3,
    averaging=0.995,
)  # fmt: skip
# The sum over time has less of the converters' noise than the maximum. Without `threshold_at_spikes` near misses
# have the larger part of the gradient, and spikes get more from epoch to epoch (MNIST 0.970, clothes 0.825).
# Chosen by the last 5000 images to train with.
_MNIST = Settings(
    data="mnist16", epochs=24, steps=20, dt=1.7e-6, hidden=246, circuits=2, batch_size=100, lr=3e-3, gamma=0.9,
    step_size=1, reg_bursts=5e-4, reg_hidden=0.0, reg_readout=0.0, decoder="sum", readout_scale=1.0, align=True,
    init_hidden=(0.04, 0.12), init_output=(0.0, 0.05), time_shift=0, alpha=10.0, averaging=0.99,
    threshold_at_spikes=True,
)  # fmt: skip
_AUGMENTED = replace(  # without `threshold_at_spikes` and what goes with it, with which it was not trained yet
    _MNIST, dropout=0.2, rotation=15.0, epochs=50, lr=5e-3, gamma=0.92, reg_hidden=0.03, init_output=(0.05, 0.1),
    time_shift=-1, threshold_at_spikes=False,
)  # fmt: skip
# Clothes have many bright pixels at the same time: with 800 and 700 a spike moves the line of a synaptic input by
# half as much as with the published 500 and 1000, for the same PSP, and the input saturates less. The potentials
# are further from the floor of the membrane. Held-out images: 0.840 with 500 and 1000 in 25 epochs, 0.844 with
# these in 14; test images 0.831 and 0.842.
_FASHION = replace(
    _MNIST, data="fashion16", epochs=20, init_hidden=(0.02, 0.1), init_output=(0.0, 0.1), reg_hidden=0.1,
    leak=120, threshold=190, readout_leak=130, i_synin_gm=800, synapse_dac_bias=700,
)  # fmt: skip
# Times as in Göltz et al. 2021: 0.15 to 2 tau. Classes whose neuron is silent have no gradient, and the loss makes
# wrong ones later until they are: reg_readout draws all of them to earlier times, and `wake` brings them back.
# Chosen by 1000 points of a third seed (41), not by the test set, as `Settings.validation` does for any data.
_FIRST_SPIKE = Settings(
    data="yinyang", epochs=60, steps=64, dt=0.5e-6, input_times=(0.9e-6, 12e-6), bias_time=None, hidden=30,
    input_repetitions=5, estimator="eventprop", decoder="first", readout_scale=5.0, wake=2e-3,
    init_hidden=(0.25, 0.2), init_output=(0.4, 0.4), lr=2e-3, gamma=0.95, step_size=1, reg_readout=1e-3,
    weight_scale=66.0, largest_gradient=5.0,
)  # fmt: skip
_WORDS = Settings(  # readout_scale and reg_readout keep the traces of the readout off the limit of the CADC
    data="syllables", epochs=25, train_size=3000, steps=90, hidden=186, circuits=2, recurrence="trained",
    align=True, lr=2e-3, gamma=0.92, step_size=1, readout_scale=10.0, init_hidden=(0.1, 0.3),
    init_recurrent=(0.0, 0.15), init_output=(0.03, 0.1), reg_readout=1e-3, reg_bursts=5e-4,
)  # fmt: skip

_EXAMPLE_SOURCE = "hxtorch, tests/hw/test_spiking_examples.py"
_CRAMER = "Cramer et al. 2022, PNAS, table 1"

TASKS = {
    task.name: task
    for task in (
        Task(
            "yinyang", "Yin-Yang, surrogate gradient, chip settings of the example, 5 epochs",
            "> 0.84 demanded on the chip", _EXAMPLE_SOURCE, 0.90, replace(_EXAMPLE, init_output=_READOUT),
        ),
        Task(
            "yinyang-long", "Yin-Yang, surrogate gradient, tuned, long",
            "about 0.95 on the chip; 0.981 in software",
            "Spilger et al. 2023; Wunderlich and Pehle 2021", 0.955, _TUNED,
        ),
        Task(
            "yinyang-eventprop", "Yin-Yang, EventProp, settings of the example, 10 epochs",
            "> 0.60 demanded on the chip", _EXAMPLE_SOURCE, 0.85,
            replace(_EXAMPLE, epochs=10, estimator="eventprop"),
        ),
        Task(
            "yinyang-eventprop-long", "Yin-Yang, EventProp, tuned, long", "about 0.961 on the chip",
            "Pehle et al. 2023", 0.955,
            _TUNED_EVENTPROP,
        ),
        Task(
            "yinyang-aligned", "Yin-Yang as in the example, with scales measured on the chip (align)",
            "> 0.84 demanded on the chip", _EXAMPLE_SOURCE, 0.90, replace(_EXAMPLE, align=True), seeds=3,
        ),
        Task(
            "yinyang-first-spike", "Yin-Yang, first spike decides, 20-30-3, the chip's weights alone",
            "0.849 on the chip", "data of DelGrad (Göltz et al. 2025), one chip", 0.82, _FIRST_SPIKE, seeds=3,
        ),
        Task(
            "mnist16", "MNIST 16x16, 256-246-10", "0.972 on the chip", _CRAMER, 0.972, _MNIST, seeds=3,
        ),
        Task(
            "mnist16-augmented", "MNIST 16x16, 256-246-10, dropout and rotation", "0.976 on the chip", _CRAMER,
            0.976, _AUGMENTED, seeds=3,
        ),
        Task(
            "fashion16", "Fashion-MNIST 16x16, 256-246-10", "0.842 on the chip", _CRAMER, 0.842,
            _FASHION, seeds=3,
        ),
        Task(
            "syllables", "Words of syllables, 70-186-24, trained recurrence",
            "on the chip 0.762 of spoken digits, 0.119 above frozen recurrence", f"{_CRAMER}; another data set",
            0.05, _WORDS, seeds=3, control="syllables-frozen",
        ),
        Task(
            "syllables-frozen", "Words of syllables, 70-186-24, frozen random recurrence",
            "on the chip 0.643 of spoken digits", f"{_CRAMER}; another data set", 0.0,
            replace(_WORDS, recurrence="frozen", lr=4e-3), seeds=3,  # learns worse at the rate of the trained one
        ),
    )
}  # fmt: skip

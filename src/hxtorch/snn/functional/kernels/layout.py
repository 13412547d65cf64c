"""Where the kernels find parameters, options and states: names for the rows of their arrays.

A lane is one neuron of one batch entry; (T, B, N) arrays are seen as (T, B*N).
"""

from __future__ import annotations

# Rows of the parameters (PARAMETERS, period): lane m reads column m modulo the period.
LEAK = 0
DECAY = 1  # of the synaptic current per step, 1 - dt/tau_syn
GAIN = 2  # dt/c; for this and other factors of a step see `stepping`
CONDUCTANCE = 3  # g
THRESHOLD = 4  # also the peak of the exponential term
RESET = 5
EXP_GAIN = 6  # g D
EXP_SLOPE = 7  # D
EXP_THRESHOLD = 8  # v_T
ADAPT_DECAY = 9  # 1 - dt/tau_w
ADAPT_PULL = 10  # dt/tau_w a
ADAPT_STEP = 11  # b
REFRACTORY = 12  # steps
PARAMETERS = 13

# Entries of the options, 0 or 1.
LEAKY = 0
FIRE = 1
EXPONENTIAL = 2
ADAPTATION = 3
REFRACTORY_PERIOD = 4
METHOD = 5  # number of the surrogate gradient
REST_IS_LEAK = 6
THRESHOLD_AT_SPIKES = 7
OPTIONS = 8

# Rows of the state between two steps (STATES, lanes).
V = 0
CURRENT = 1
W = 2
WAIT = 3
STATES = 4

# Bits of the marks that the forward pass leaves for the backward pass.
SPIKED = 1  # above threshold, or spiked on the chip
CLAMPED = 2  # within the refractory period

# The exponential term sees no potential above v_T + 60 D, and carries a membrane at most so far above the peak, in
# distances from leak to peak. More than that, it is infinite for float32.
LARGEST_EXPONENT = 60.0
OVERSHOOT = 4.0

BLOCK = 512  # lanes that are integrated together: their states stay in the first-level cache
BATCH_BLOCK = 8  # batch entries that share one pass over recurrent weights

# Everything that belongs to a block lies in one flat array, one row after the other: parameters first, then
# these. Distances between rows are constants, so LLVM vectorises loops over many rows without asking at run time
# whether they overlap (it gives up at eight such questions). Rows begin at cache lines, and their distance is an
# odd number of lines, so that the rows of a loop do not compete for the same places of the cache.
STRIDE = BLOCK + 16
AT_V, AT_CURRENT, AT_W, AT_WAIT, AT_SPIKE, AT_DRIVE, AT_BEFORE = range(PARAMETERS, PARAMETERS + 7)
FORWARD_ROWS = PARAMETERS + 7
# Backward: the gradients of the parameters follow the parameters.
AT_GRAD = PARAMETERS
(
    AT_GRAD_V,
    AT_GRAD_CURRENT,
    AT_GRAD_W,
    AT_GRAD_SPIKE,
    AT_GRAD_DRIVE,
    AT_SLOPE,
    AT_EXP,
    AT_FIRED,
    AT_CLAMPED,
) = range(2 * PARAMETERS, 2 * PARAMETERS + 9)
BACKWARD_ROWS = 2 * PARAMETERS + 9

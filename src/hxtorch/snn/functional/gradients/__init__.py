"""Operations whose gradient is not their derivative: spikes with a surrogate, values measured on the chip."""

"""Parameters of neurons: values for model and chip, what is known of each, and those of a population together."""

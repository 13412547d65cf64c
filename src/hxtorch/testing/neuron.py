class NeuronContract:
    pass

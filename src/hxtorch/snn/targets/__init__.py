"""What a calibration aims at: from the parameters of neurons to targets of circuits, and back."""

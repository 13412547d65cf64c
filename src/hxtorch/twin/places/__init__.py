"""Places on the chip: coordinates, the routing crossbar, which circuits are joined. Numbers only."""

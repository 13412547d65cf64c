"""What a network costs: operations, energy and latency, counted here or by NeuroBench."""

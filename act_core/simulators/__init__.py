"""Real servers that speak the wires as strictly as the true ones, and misbehave on demand."""

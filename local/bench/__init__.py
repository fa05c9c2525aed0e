"""How fast the operator is, and what it costs: the real operator on a real API server, metrics from a script."""

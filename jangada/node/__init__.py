"""The node agent: a machine offers what it has, claims replicas that are wanted, and runs them."""

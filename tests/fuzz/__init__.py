"""Nonsense, sent on purpose: FUZZ_REQUESTS of it (1,000; `make fuzz` sends 10,000) from FUZZ_SEED."""

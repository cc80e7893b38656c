"""Benchmarks: one command each, results as JSON and a plot."""

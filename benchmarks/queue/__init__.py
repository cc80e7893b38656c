"""Jangada's queue and executor against nine other job systems, in one run with one harness."""

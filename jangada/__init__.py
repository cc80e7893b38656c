"""Jangada: a self-hosted platform for AI functions."""

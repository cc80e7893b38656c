"""The OpenFaaS-compatible front door."""

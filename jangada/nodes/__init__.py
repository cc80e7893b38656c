"""Nodes that reach the platform over HTTPS alone: who they are, and what they may do. Knows no HTTP."""

"""Bytes by reference: files that jobs read and write."""

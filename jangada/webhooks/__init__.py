"""Signed calls to the tenants' own servers, in a queue of their own."""

"""The front door, written from OpenFaaS' public contract: routes, proxy, and the provider that owns functions."""

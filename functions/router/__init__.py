"""The function `router`: jobs, batches, events and webhooks of the public API."""

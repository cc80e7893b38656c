"""Where Flask stops: apps, credentials, problem details."""

"""A node's way to the platform over HTTPS: who it is, how it calls, and what stands in for queue and stores."""

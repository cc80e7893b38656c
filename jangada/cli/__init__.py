"""The command line: `jangada …`."""

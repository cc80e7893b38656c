"""The command line: `jangada`. Thin: each command calls one thing of the package and shows what came back."""

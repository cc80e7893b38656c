"""Has nothing to serve."""

ANSWER = 42

"""Does nothing: what is left is the queue and the executor."""

from __future__ import annotations

from pydantic import BaseModel


class Input(BaseModel):
    """Nothing."""


class Output(BaseModel):
    """Nothing."""


class Algorithm:
    """The job of the noop rows."""

    def run(self, input: Input) -> Output:  # noqa: ARG002 - there is nothing to do with it
        """Return at once."""
        return Output()

"""Gives back what it is given: the 1 KiB rows."""

from __future__ import annotations

from pydantic import BaseModel


class Input(BaseModel):
    """A text."""

    data: str


class Output(BaseModel):
    """The same text."""

    data: str


class Algorithm:
    """The job of the 1 KiB rows."""

    def run(self, input: Input) -> Output:
        """Return the input."""
        return Output(data=input.data)

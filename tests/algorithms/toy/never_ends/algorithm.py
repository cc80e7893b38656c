"""Loops in Python for ever."""

from pydantic import BaseModel


class Empty(BaseModel):
    pass


class Algorithm:
    def run(self, input: Empty) -> Empty:
        while True:
            pass

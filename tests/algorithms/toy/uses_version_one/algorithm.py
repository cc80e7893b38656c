"""Needs version 1 of a library of which another algorithm needs another version."""

import jangada_toy_clash
from pydantic import BaseModel


class Empty(BaseModel):
    pass


class Output(BaseModel):
    version: int


class Algorithm:
    def run(self, input: Empty) -> Output:
        return Output(version=jangada_toy_clash.VERSION)

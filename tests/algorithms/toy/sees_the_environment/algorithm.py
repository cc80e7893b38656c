"""Tells what user code can see of the platform."""

import os

from pydantic import BaseModel


class Empty(BaseModel):
    pass


class Output(BaseModel):
    names: list[str]
    cwd: str


class Algorithm:
    def run(self, input: Empty) -> Output:
        return Output(names=sorted(os.environ), cwd=os.getcwd())

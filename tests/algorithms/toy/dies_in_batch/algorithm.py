"""One number of a batch ends the process."""

import os

from pydantic import BaseModel

from jangada.algorithms import Context


class Input(BaseModel):
    number: int
    deadly: bool = False


class Output(BaseModel):
    number: int
    attempt: int


class Algorithm:
    def run(self, input: Input, context: Context) -> Output:
        if input.deadly:
            os._exit(9)
        return Output(number=input.number, attempt=context.attempt)

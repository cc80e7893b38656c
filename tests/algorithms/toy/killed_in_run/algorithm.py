"""Is killed from outside, the first time or every time."""

import os
import signal

from pydantic import BaseModel

from jangada.algorithms import Context


class Input(BaseModel):
    times: int = 1
    number: int = 0


class Output(BaseModel):
    attempt: int


class Algorithm:
    def run(self, input: Input, context: Context) -> Output:
        if context.attempt <= input.times:
            os.kill(os.getpid(), signal.SIGKILL)
        return Output(attempt=context.attempt)

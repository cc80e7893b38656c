"""Sits in native code that does not let go of the interpreter."""

import ctypes

from pydantic import BaseModel

from jangada.algorithms import Context


class Input(BaseModel):
    seconds: float


class Output(BaseModel):
    attempt: int


class Algorithm:
    def run(self, input: Input, context: Context) -> Output:
        # PyDLL, unlike CDLL, keeps the GIL during the call.
        libc = ctypes.PyDLL(None)
        libc.usleep(int(input.seconds * 1e6))
        return Output(attempt=context.attempt)

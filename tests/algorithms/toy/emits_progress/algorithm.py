"""Reports far more often than anybody can look."""

import time

from pydantic import BaseModel

from jangada.algorithms import Context


class Input(BaseModel):
    steps: int = 1000
    seconds: float = 1.0


class Output(BaseModel):
    steps: int


class Algorithm:
    def run(self, input: Input, context: Context) -> Output:
        for step in range(input.steps):
            context.progress((step + 1) / input.steps, f"step {step + 1}")
            time.sleep(input.seconds / input.steps)
        return Output(steps=input.steps)

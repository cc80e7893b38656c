"""Costs what a device does: so much for each call, and so much more for each job in it."""

import time

from pydantic import BaseModel

from jangada.algorithms import Context


class Input(BaseModel):
    call_ms: float = 20.0
    job_ms: float = 0.5


class Output(BaseModel):
    together: int


class Algorithm:
    def run(self, input: Input, context: Context) -> Output:
        return self.run_batch([input], [context])[0]

    def run_batch(self, inputs: list[Input], contexts: list[Context]) -> list[Output]:
        time.sleep((inputs[0].call_ms + sum(each.job_ms for each in inputs)) / 1000)
        return [Output(together=len(inputs))] * len(inputs)

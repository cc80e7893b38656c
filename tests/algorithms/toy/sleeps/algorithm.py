"""Sleeps, in small steps or in one, and can be canceled."""

import time

from pydantic import BaseModel

from jangada.algorithms import Context


class Input(BaseModel):
    seconds: float
    note: str | None = None


class Output(BaseModel):
    slept: float
    attempt: int


class Algorithm:
    def run(self, input: Input, context: Context) -> Output:
        if input.note:
            with open(input.note, "a") as file:
                file.write(f"{context.job_id} {context.attempt}\n")
        time.sleep(input.seconds)
        return Output(slept=input.seconds, attempt=context.attempt)

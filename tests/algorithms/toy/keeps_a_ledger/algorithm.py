"""Writes each of its attempts into a file before it works: what chaos counts by."""

import time

from pydantic import BaseModel

from jangada.algorithms import Context


class Input(BaseModel):
    ledger: str
    seconds: float
    number: int


class Output(BaseModel):
    number: int
    attempt: int


class Algorithm:
    def run(self, input: Input, context: Context) -> Output:
        # One write of one line: appended whole, or not at all.
        with open(input.ledger, "a") as file:
            file.write(f"{context.job_id} {context.attempt}\n")
        time.sleep(input.seconds)
        return Output(number=input.number, attempt=context.attempt)

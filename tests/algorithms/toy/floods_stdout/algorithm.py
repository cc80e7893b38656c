"""Prints far more than anybody wants to keep."""

import os

from pydantic import BaseModel


class Input(BaseModel):
    mib: int = 8
    newlines: bool = True


class Output(BaseModel):
    written: int


class Algorithm:
    def run(self, input: Input) -> Output:
        print("the first line", flush=True)
        block = (b"x" * 99 + b"\n") * 1000 if input.newlines else b"\0" * 100_000
        for _ in range(input.mib * 10):
            os.write(1, block)
        print("\nthe last line", flush=True)
        return Output(written=input.mib * 1_000_000)

"""Says with whom each job ran; one that is told to misbehave does so, together or alone."""

import os
import time

from pydantic import BaseModel

from jangada.algorithms import Context, InvalidInput


class Input(BaseModel):
    number: int
    how: str = "well"
    group: str = ""
    seconds: float = 0.0


class Output(BaseModel):
    number: int
    together: list[int]
    attempt: int


class Algorithm:
    batch_key = "group"

    def run(self, input: Input, context: Context) -> Output:
        self._misbehave(input)
        if input.how == "bad":
            raise InvalidInput(f"{input.number} is bad")
        print(f"alone {input.number}")
        return Output(number=input.number, together=[input.number], attempt=context.attempt)

    def run_batch(self, inputs: list[Input], contexts: list[Context]) -> list[Output | Exception]:
        numbers = [each.number for each in inputs]
        print(f"together {numbers}")
        for each, context in zip(inputs, contexts, strict=True):
            context.progress(0.5, "half")
            context.log(f"logged {each.number}")
            self._misbehave(each)
            if each.how == "raises":
                raise ValueError("one of them broke all")
            if each.how == "too few":
                return []
        if any(each.how == "waits" for each in inputs):
            # Until every job was told to stop, or for long.
            for _ in range(600):
                time.sleep(0.05)
        return [self._answer(*each, numbers) for each in zip(inputs, contexts, strict=True)]

    def _answer(self, input: Input, context: Context, numbers: list[int]) -> Output | Exception:
        if input.how == "bad":
            return InvalidInput(f"{input.number} is bad")
        if input.how == "bug":
            return ValueError(f"{input.number} has a bug")
        if input.how == "wrong type":
            return {"number": "no"}  # type: ignore[return-value]
        return Output(number=input.number, together=numbers, attempt=context.attempt)

    def _misbehave(self, input: Input) -> None:
        time.sleep(input.seconds)
        if input.how == "dies":
            os._exit(9)
        if input.how == "hangs":
            time.sleep(60)
        if input.how == "eats":
            self.eaten = bytearray(300 << 20)
            time.sleep(10)
        if input.how == "gpu":
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")

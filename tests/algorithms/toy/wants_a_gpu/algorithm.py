"""Says that it needs a GPU."""

from pydantic import BaseModel


class Input(BaseModel):
    number: int = 0


class Output(BaseModel):
    number: int


class Algorithm:
    def run(self, input: Input) -> Output:
        return Output(number=input.number)

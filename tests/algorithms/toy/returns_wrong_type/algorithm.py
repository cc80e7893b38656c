"""Returns what it did not declare."""

from typing import Any

from pydantic import BaseModel


class Input(BaseModel):
    how: str


class Output(BaseModel):
    number: float


class Algorithm:
    def run(self, input: Input) -> Output:
        wrong: dict[str, Any] = {
            "dict": {"number": "three"},
            "none": None,
            "field": Output.model_construct(number="three"),
            "nan": Output(number=float("nan")),
            "fine": {"number": 3},
        }
        return wrong[input.how]

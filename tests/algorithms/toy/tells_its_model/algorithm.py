"""Says which model its deployment names, at set-up and now."""

from pydantic import BaseModel

from jangada.algorithms import Context, SetupContext


class Input(BaseModel):
    pass


class Output(BaseModel):
    at_setup: str | None
    now: str | None


class Algorithm:
    def setup(self, context: SetupContext) -> None:
        self.model = context.model

    def run(self, input: Input, context: Context) -> Output:
        return Output(at_setup=self.model, now=context.model)

"""Starts a process in a session of its own and waits for it."""

import subprocess

from pydantic import BaseModel


class Input(BaseModel):
    note: str


class Output(BaseModel):
    code: int


class Algorithm:
    def run(self, input: Input) -> Output:
        process = subprocess.Popen(["sleep", "60"], start_new_session=True)
        with open(input.note, "w") as file:
            file.write(str(process.pid))
        while True:
            try:
                return Output(code=process.wait())
            except BaseException:  # noqa: BLE001 — its misbehaviour
                continue

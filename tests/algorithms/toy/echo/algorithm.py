"""Gives back what it got, with a line on each stream."""

import subprocess
import sys
from typing import Any

from pydantic import BaseModel

from jangada.algorithms import Context


class Input(BaseModel):
    value: Any = None
    shell: bool = False


class Output(BaseModel):
    value: Any
    attempt: int


class Algorithm:
    def run(self, input: Input, context: Context) -> Output:
        print(f"printed by {context.job_id}")
        print(f"complained by {context.job_id}", file=sys.stderr)
        context.log(f"logged by {context.job_id}")
        if input.shell:
            subprocess.run(["sh", "-c", f"echo shouted by {context.job_id}"], check=True)
        return Output(value=input.value, attempt=context.attempt)

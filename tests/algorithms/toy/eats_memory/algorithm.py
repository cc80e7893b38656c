"""Uses as many MiB as it is told to, itself or in a sub-process, and holds them."""

import subprocess
import sys
import time

from pydantic import BaseModel


class Input(BaseModel):
    mib: int
    in_subprocess: bool = False
    seconds: float = 20


class Output(BaseModel):
    mib: int


class Algorithm:
    def run(self, input: Input) -> Output:
        if input.in_subprocess:
            code = f"import time; x = bytearray({input.mib} << 20); time.sleep({input.seconds})"
            subprocess.run([sys.executable, "-c", code], check=True)
        else:
            block = bytearray(input.mib << 20)
            time.sleep(input.seconds)
            del block
        return Output(mib=input.mib)

"""Holds a pretended GPU while it lives, says what it was given, and fails as libraries do on one."""

import os
import sys
from pathlib import Path

from pydantic import BaseModel

from jangada.algorithms import Context, Device, SetupContext


class Input(BaseModel):
    how: str = "well"


class Output(BaseModel):
    pid: int
    visible: str | None
    kind: str
    memory_bytes: int | None
    attempt: int


class Algorithm:
    def setup(self, context: SetupContext) -> None:
        self.device: Device = context.device
        holders = os.environ.get("FAKE_GPU_HOLDERS")
        if holders and self.device.gpus:
            # What nvidia-smi of the tests counts as memory in use while the process lives.
            Path(holders, f"{os.getpid()}-{self.device.gpus[0]}").touch()

    def run(self, input: Input, context: Context) -> Output:
        if input.how == "full":
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        if input.how == "broken":
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if input.how == "aborts":
            sys.stderr.write("terminate called after throwing an instance of 'c10::OutOfMemoryError'\n")
            sys.stderr.flush()
            os.abort()
        return Output(
            pid=os.getpid(),
            visible=os.environ.get("CUDA_VISIBLE_DEVICES"),
            kind=context.device.kind,
            memory_bytes=self.device.memory_bytes,
            attempt=context.attempt,
        )

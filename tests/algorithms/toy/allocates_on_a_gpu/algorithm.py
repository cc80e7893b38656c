"""Takes memory of a real GPU through the driver's own library, which needs no package."""

import ctypes
import os

from pydantic import BaseModel

from jangada.algorithms import Context, SetupContext

OUT_OF_MEMORY = 2
MIB = 2**20


class Input(BaseModel):
    mib: int


class Output(BaseModel):
    pid: int
    devices: int
    held_mib: int


class Algorithm:
    def setup(self, context: SetupContext) -> None:
        assert context.device.kind == "cuda"
        self.cuda = ctypes.CDLL("libcuda.so.1")
        self._check(self.cuda.cuInit(0))
        count, device, self.context = ctypes.c_int(), ctypes.c_int(), ctypes.c_void_p()
        self._check(self.cuda.cuDeviceGetCount(ctypes.byref(count)))
        self._check(self.cuda.cuDeviceGet(ctypes.byref(device), 0))
        self._check(self.cuda.cuDevicePrimaryCtxRetain(ctypes.byref(self.context), device))
        self._check(self.cuda.cuCtxSetCurrent(self.context))
        self.devices = count.value
        self.held_mib = 0

    def run(self, input: Input, context: Context) -> Output:
        pointer = ctypes.c_uint64()
        self._check(self.cuda.cuMemAlloc_v2(ctypes.byref(pointer), ctypes.c_size_t(input.mib * MIB)))
        self.held_mib += input.mib
        return Output(pid=os.getpid(), devices=self.devices, held_mib=self.held_mib)

    def _check(self, code: int) -> None:
        if code == OUT_OF_MEMORY:
            raise RuntimeError("CUDA_ERROR_OUT_OF_MEMORY")
        if code:
            raise RuntimeError(f"the driver answered {code}")

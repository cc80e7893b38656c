"""Fails in the way it is told to."""

import sys

from pydantic import BaseModel

from jangada.algorithms import AlgorithmFailure, DependencyFailure, InvalidInput, JobCanceled


class Input(BaseModel):
    how: str


class Algorithm:
    def run(self, input: Input) -> Input:
        match input.how:
            case "invalid":
                raise InvalidInput("the image is broken")
            case "retryable":
                raise AlgorithmFailure("try me again", retryable=True, retry_after_s=0.05)
            case "later":
                raise AlgorithmFailure("not before half a minute", retryable=True, retry_after_s=30.0)
            case "dependency":
                raise DependencyFailure("the model server is away", retryable=False)
            case "memory":
                raise MemoryError
            case "gpu":
                raise RuntimeError("CUDA error: out of memory at line 7")
            case "exit":
                sys.exit(7)
            case "canceled":
                raise JobCanceled
            case "recursion":
                return self.run(input)
        raise ValueError("a bug with a secret-free message")

"""Takes a while to be ready."""

import time

from pydantic import BaseModel


class Empty(BaseModel):
    pass


class Algorithm:
    def setup(self) -> None:
        time.sleep(1.0)

    def run(self, input: Empty) -> Empty:
        return input

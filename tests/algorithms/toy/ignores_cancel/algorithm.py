"""Swallows the cancel and goes on."""

import time

from pydantic import BaseModel


class Empty(BaseModel):
    pass


class Algorithm:
    def run(self, input: Empty) -> Empty:
        print("running", flush=True)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                time.sleep(1)
            except BaseException:  # noqa: BLE001 — its misbehaviour
                print("swallowed", flush=True)
        return input

"""The record of a GPU, as everything that gives or takes one knows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device; *type* as its driver names it. *memory_mib* is 0 where the driver does not tell."""

    uuid: str
    type: str
    memory_mib: int

"""
What an author of an algorithm imports, and nothing more.

An algorithm is a class with ``run(self, input: In, context: Context) -> Out``
and, when there is something to load, ``setup(self) -> None`` or
``setup(self, context: SetupContext) -> None``. ``In`` and ``Out`` are pydantic
models; a field of type `File` is bytes by reference. This package needs only
the standard library and pydantic: it is imported in every algorithm's own
environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jangada.algorithms.authoring import (
        AlgorithmFailure,
        Context,
        DependencyFailure,
        File,
        InvalidInput,
        JobCanceled,
        SetupContext,
    )
    from jangada.algorithms.device import Device

__all__ = [
    "AlgorithmFailure",
    "Context",
    "DependencyFailure",
    "Device",
    "File",
    "InvalidInput",
    "JobCanceled",
    "SetupContext",
]


def __getattr__(name: str) -> Any:
    # Late, because the executor's parent reads manifests and schemas without ever needing pydantic's 8 MB.
    if name in __all__:
        from jangada.algorithms import authoring

        return getattr(authoring, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""
What an author of an algorithm imports, and nothing more.

An algorithm is a class with ``run(self, input: In, context: Context) -> Out``
and, when there is something to load, ``setup(self) -> None``. ``In`` and
``Out`` are pydantic models; a field of type `File` is bytes by reference.
This package needs only the standard library and pydantic: it is imported in
every algorithm's own environment.
"""

from jangada.algorithms.authoring import (
    AlgorithmFailure,
    Context,
    DependencyFailure,
    File,
    InvalidInput,
    JobCanceled,
)

__all__ = ["AlgorithmFailure", "Context", "DependencyFailure", "File", "InvalidInput", "JobCanceled"]

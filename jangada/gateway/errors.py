"""
What the gateway's control side raises; `system_api` alone turns it into an answer (plain text, contract §1.3).

    ControlError
    ├── BadRequestError          400  the body or a name in it is not acceptable
    │   └── DeployRefusedError   400  this provider cannot run that: no handler, no image, a missing secret
    ├── UnknownFunctionError     404
    ├── UnknownNamespaceError    404
    ├── UnknownSecretError       404
    ├── AlreadyThereError        409
    └── BadQueryError            422  a query of the log route
"""

from __future__ import annotations

from typing import ClassVar


class ControlError(Exception):
    """Base of all; `str(error)` is what the client reads."""

    status: ClassVar[int] = 500


class BadRequestError(ControlError):
    """Raised when a body, or a name in it, is not acceptable."""

    status = 400


class DeployRefusedError(BadRequestError):
    """Raised when the provider cannot run a function here; says what to do about it."""


class UnknownFunctionError(ControlError):
    """Raised when no such function is deployed."""

    status = 404


class UnknownNamespaceError(ControlError):
    """Raised when a namespace does not exist."""

    status = 404


class UnknownSecretError(ControlError):
    """Raised when a secret does not exist in that namespace."""

    status = 404


class AlreadyThereError(ControlError):
    """Raised when something of that name exists."""

    status = 409


class BadQueryError(ControlError):
    """Raised when the query of the log route cannot be read."""

    status = 422

"""Two headers that say how long: `Prefer: wait=N` (RFC 7240) and `Cancel-After`."""

from __future__ import annotations

import re

from jangada.errors import FieldError, InvalidRequestError, MalformedRequestError

MAX_WAIT_S = 60
_WAIT = re.compile(r'\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?:;.*)?\Z', re.IGNORECASE)
_CANCEL_AFTER = re.compile(r"([0-9]{1,8})(s|m|h)\Z")
_UNIT_S = {"s": 1, "m": 60, "h": 3600}


def wait_s(header: str | None) -> int | None:
    """
    The `wait` preference, clamped to 0–60 seconds; None without a readable one.

    Of several the first counts; what cannot be read is ignored, since a preference
    is not a demand (RFC 7240 §2).
    """
    for preference in (header or "").split(","):
        match = _WAIT.match(preference)
        if match:
            return min(int(match.group(1)), MAX_WAIT_S)
    return None


def deadline_s(header: str | None, from_body: float | None) -> float | None:
    """
    The deadline that `Cancel-After: 90s|2m` and `policy.deadline_s` ask for together.

    Raises `MalformedRequestError` for another form, `InvalidRequestError` when the two differ.
    """
    if header is None:
        return from_body
    match = _CANCEL_AFTER.match(header.strip())
    if match is None or int(match.group(1)) == 0:
        raise MalformedRequestError(f"Cancel-After: expected a number and s, m or h, like 90s; found {header[:40]!r}")
    seconds = float(int(match.group(1)) * _UNIT_S[match.group(2)])
    if from_body is not None and from_body != seconds:
        detail = f"is {from_body:g}, but Cancel-After says {seconds:g} s"
        raise InvalidRequestError(f"policy.deadline_s {detail}", errors=[FieldError("/policy/deadline_s", detail)])
    return seconds

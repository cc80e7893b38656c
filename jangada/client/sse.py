"""Server-sent events: bytes in, events out. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from jangada.client.records import Event


def parse(chunks: Iterable[bytes]) -> Iterator[Event | None]:
    """
    The events in a byte stream, as they complete; None for each comment (keep-alive).

    An unfinished event at the end of the stream is dropped, as the standard wants:
    who reconnects with the last id gets it whole.
    """
    number, kind = 0, "message"
    data: list[str] = []
    for line in _lines(chunks):
        if not line:
            if data:
                yield Event(number, kind, _read("\n".join(data)))
            kind, data = "message", []
            continue
        if line.startswith(":"):
            yield None
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            number = int(value) if value.isdigit() else number
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        rest += chunk
        # Bytes are cut at newlines before they are decoded: a chunk may end inside a character.
        *whole, rest = rest.split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")


def _read(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError:
        return {"text": text}
    return value if isinstance(value, dict) else {"value": value}

"""Lua scripts: loaded from `lua/`, called by digest, loaded again when a Redis has forgotten them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

_USES = "-- uses: "

Argument = bytes | str | int | float


class Script:
    """One script with the shared part in front; *source* instead of what the files say."""

    __slots__ = ("_sha", "_source", "name", "source")

    def __init__(self, name: str, source: str | None = None) -> None:
        self.name = name
        self.source = source or _composed(name)
        self._source = self.source.encode()
        self._sha = hashlib.sha1(self._source, usedforsecurity=False).hexdigest().encode()

    def run(self, client: Any, keys: Sequence[bytes], arguments: Sequence[Argument]) -> Any:
        """Call it in one round trip; two when the server restarted and lost its scripts."""
        try:
            return client.execute_command(*self.command(keys, arguments))
        except NoScriptError:
            return client.execute_command("EVAL", self._source, len(keys), *keys, *arguments)

    def command(self, keys: Sequence[bytes], arguments: Sequence[Argument]) -> tuple[Any, ...]:
        """The call as one command, for a server that has the script."""
        return ("EVALSHA", self._sha, len(keys), *keys, *arguments)


def _composed(name: str) -> str:
    """The shared part, the parts that the script's first line names, and the script itself."""
    own = _read(name)
    first, _, _ = own.partition("\n")
    parts = first.removeprefix(_USES).split() if first.startswith(_USES) else []
    return "\n".join([_read("lib"), *(_read(f"part_{part}") for part in parts), f"-- {name}.lua", own])


@cache
def _read(name: str) -> str:
    return (files("jangada.jobs") / "lua" / f"{name}.lua").read_text("utf-8")


@cache
def script(name: str) -> Script:
    """The script in ``lua/<name>.lua``."""
    return Script(name)

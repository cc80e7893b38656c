"""The first admin key: made at first start, shown once on stderr by the replica that made it."""

from __future__ import annotations

import sys

from jangada.errors import StoreUnavailableError
from jangada.logs import get_logger
from jangada.wiring import Services

_log = get_logger()


class FirstKey:
    """Makes it as soon as the store is there."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.is_there = False

    def ensure(self) -> None:
        """Make the key unless there is one; a store that is away is logged, and asked again later."""
        try:
            made = self._services.ensure_first_key()
        except StoreUnavailableError as error:
            _log.warning("key.first_key_not_yet", reason=error.detail)
            return
        self.is_there = True
        # Not through the log, which masks it, and which goes to places that keep it.
        if made is not None and sys.stderr is not None:
            sys.stderr.write(f"first admin key of this platform, shown this once: {made}\n")
            sys.stderr.flush()

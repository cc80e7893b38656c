"""
``python -m jangada.local.connection URL``: make sure that ``connection.json`` holds a key that works.

The key is written to the file before it is put into the store, so that no crash
between the two can leave a key that nobody knows.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from jangada import logs
from jangada.errors import JangadaError
from jangada.local.home import Home, write_private
from jangada.settings import Settings
from jangada.tenants import TenantStore
from jangada.tenants.bootstrap import FIRST_KEY_ID, ensure_first_key, replace_first_key
from jangada.tenants.keys import Plaintext, new_plaintext, parse_plaintext
from jangada.tenants.tenant import DEFAULT_TENANT
from jangada.wiring import Services


def ensure_connection(store: TenantStore, path: Path, url: str) -> bool:
    """
    Make *path* name *url* and a key that *store* accepts; True when a new key was made.

    A working key in the file is kept, whichever it is.
    """
    known = _known_key(path)
    if known is not None:
        key = store.get_key(known.key_id)
        if key is not None and key.revoked_at is None and key.accepts(known.secret):
            _write(path, url, known.text, key.tenant_id)
            return False
    plain = Plaintext(FIRST_KEY_ID, new_plaintext().secret)
    _write(path, url, plain.text, DEFAULT_TENANT)
    if ensure_first_key(store, given=plain.text) is None:
        # The store has a first key whose secret is not in this folder: its file was lost or thrown away.
        _write(path, url, replace_first_key(store), DEFAULT_TENANT)
    return True


def main() -> int:
    """Exit code 0 when the file is right; 1 with one line otherwise."""
    try:
        settings = Settings.from_env(os.environ)
        logs.configure(settings.log_level, settings.log_format)
        services = Services.from_settings(settings)
        try:
            ensure_connection(services.tenants, Home(settings.home).connection_file, sys.argv[1])
        finally:
            services.close()
    except (JangadaError, OSError) as error:
        sys.stderr.write(f"connection: {error}\n")
        return 1
    return 0


def _known_key(path: Path) -> Plaintext | None:
    try:
        return parse_plaintext(str(json.loads(path.read_text(encoding="utf-8"))["api_key"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, url: str, api_key: str, tenant: str) -> None:
    write_private(path, json.dumps({"url": url, "api_key": api_key, "tenant": tenant}, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())

"""
Write the OpenAPI documents of all functions, and of the gateway's own control, made from their code.

    python scripts/openapi.py            write docs/openapi.json (and what `router` serves), docs/openapi-system.json
    python scripts/openapi.py --check    change nothing; exit 1 when either differs or is not valid OpenAPI
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FILES = (ROOT / "docs" / "openapi.json", ROOT / "functions" / "router" / "openapi.json")
# A function's folder is its build context, so `router` has its own copy.
SYSTEM_FILE = ROOT / "docs" / "openapi-system.json"


def document() -> dict[str, Any]:
    """The document, from the code as it is now."""
    from jangada.http.openapi import generate
    from jangada.wiring import Services

    apps = {}
    for handler in sorted((ROOT / "functions").glob("*/handler.py")):
        name = handler.parent.name
        module = importlib.import_module(f"functions.{name}.handler")
        services = Services.in_memory()
        # Else `auth` would make it, and print it.
        services.ensure_first_key()
        apps[name] = module.create_app(services)
    return generate(apps, version=(ROOT / "VERSION").read_text().strip())


def system_document() -> dict[str, Any]:
    """That of ``/system``."""
    from jangada.gateway.openapi_system import document as of_system

    return of_system((ROOT / "VERSION").read_text().strip())


def _text(made: dict[str, Any]) -> str:
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description="Write docs/openapi.json from the code.")
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date and valid")
    options = parser.parse_args(arguments)
    # `functions` is installed nowhere, and this tree's `jangada` comes before an installed one.
    sys.path.insert(0, str(ROOT))
    made = document()
    system = system_document()
    texts = dict.fromkeys(FILES, _text(made)) | {SYSTEM_FILE: _text(system)}
    if not options.check:
        for file, text in texts.items():
            file.write_text(text, encoding="utf-8")
        print(f"{len(made['paths']) + len(system['paths'])} paths written")
        return 0
    stale = [file for file, text in texts.items() if not file.is_file() or file.read_text(encoding="utf-8") != text]
    for file in stale:
        print(f"{file.relative_to(ROOT)} differs from the code; run: python scripts/openapi.py", file=sys.stderr)
    return 0 if all([not stale, is_valid(made), is_valid(system)]) else 1


def is_valid(made: dict[str, Any]) -> bool:
    """Whether *made* is OpenAPI 3.1; says what is wrong with it."""
    from openapi_spec_validator import OpenAPIV31SpecValidator

    errors = list(OpenAPIV31SpecValidator(made).iter_errors())
    for error in errors[:10]:
        print(f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}", file=sys.stderr)
    return not errors


if __name__ == "__main__":
    sys.exit(main())

"""
``python -m jangada.local.function_once HANDLER TEMPLATE``: one request, read from stdin, to one function; then end.

stdin: a line of JSON (``method``, ``path``, ``headers``), then the body. stdout: a line
of JSON (``status``, ``headers``), then the body. What the function prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import BinaryIO

EXIT_NO_FUNCTION = 2


def main() -> int:
    """Exit code 0 when the function answered, whatever it said; 2 when there is none to ask."""
    folder, template = Path(sys.argv[1]), Path(sys.argv[2])
    # Only the answer may go to where the answer is read.
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.path.insert(0, str(template))
    from loading import LoadError, load_app  # type: ignore[import-not-found]

    from jangada import logs
    from jangada.errors import ConfigurationError
    from jangada.settings import Settings

    try:
        settings = Settings.from_env(os.environ)
        logs.configure(settings.log_level, settings.log_format)
        app = load_app(folder)
    except (ConfigurationError, LoadError) as error:
        sys.stderr.write(f"{folder}: {error}\n")
        return EXIT_NO_FUNCTION
    except Exception:  # noqa: BLE001 - the function's own code, at its import: its author wants to see where
        traceback.print_exc()
        return EXIT_NO_FUNCTION
    with answer:
        _ask(app, answer)
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that the function's libraries left must not hold the process.
    os._exit(0)


def _ask(app: object, answer: BinaryIO) -> None:
    from werkzeug.test import Client

    head = json.loads(sys.stdin.buffer.readline())
    try:
        response = Client(app).open(  # type: ignore[arg-type]
            head["path"], method=head["method"], headers=head["headers"], data=sys.stdin.buffer.read()
        )
        status, headers, body = response.status_code, list(response.headers), response.get_data()
    except Exception:  # noqa: BLE001 - the function's own code
        traceback.print_exc()
        status, headers, body = 500, [("Content-Type", "text/plain")], b"the function raised; see above\n"
    answer.write(json.dumps({"status": status, "headers": headers}).encode() + b"\n" + body)


if __name__ == "__main__":
    sys.exit(main())

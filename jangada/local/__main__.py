"""``python -m jangada.local``: the supervisor by itself, as `jangada up --detach` starts it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from jangada.errors import ConfigurationError
from jangada.local.supervisor import StartFailedError
from jangada.local.up import AlreadyRunningError, run_platform
from jangada.settings import Settings


def main() -> int:
    """Exit code 0 after an orderly stop, 1 when the platform did not come up, 2 on a wrong setting."""
    parser = argparse.ArgumentParser(prog="python -m jangada.local")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--algorithms", default="", help="comma-separated; all when empty")
    parser.add_argument("--watch", action="store_true", help="start again what is changed on disk")
    parser.add_argument("--on-demand", action="store_true", help="executors start with the first job")
    parser.add_argument("--functions", type=Path, action="append", default=[])
    parser.add_argument("--stack", type=Path, action="append", default=[])
    options = parser.parse_args()
    wanted = [name for name in options.algorithms.split(",") if name]
    try:
        run_platform(
            Settings.from_env(os.environ),
            os.environ,
            host=options.host,
            algorithms=wanted,
            functions=options.functions,
            stacks=options.stack,
            on_demand=options.on_demand,
            watch=_tell if options.watch else None,
        )
    except (ConfigurationError, AlreadyRunningError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except StartFailedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())

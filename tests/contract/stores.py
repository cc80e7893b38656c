"""Over what the contract suites of the stores run."""

from __future__ import annotations

import pytest

from tests.servers import FERRETDB

STORES = [
    "memory",
    "mongo",
    pytest.param(
        "ferretdb",
        marks=pytest.mark.skipif(FERRETDB is None, reason="no FerretDB: scripts/build_ferretdb.sh makes it"),
    ),
]

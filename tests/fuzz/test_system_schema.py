"""
What a generator makes of the document of ``/system``, right and wrong: every answer is one that the document names.

FUZZ_REQUESTS requests in all (10,000 in `make fuzz`), FUZZ_SEED chooses them.
"""

from __future__ import annotations

import json
from collections import Counter

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings

from jangada.gateway.openapi_system import document
from tests.fuzz.test_gateway import COUNT, SEED, WITHIN_S, stage, unharmed

__all__ = ["stage", "unharmed"]

pytestmark = pytest.mark.timeout(1800)

# Else the generator ends what the other tests need, or waits for lines that nobody writes.
_FIXED_QUERY = {"logs": {"follow": "false"}}
_SPARED = frozenset({"worker", "other"})


def test_every_answer_is_one_that_the_document_names(stage, unharmed):
    schema = schemathesis.openapi.from_dict(document("1"))
    modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    operations = [result.ok() for result in schema.get_all_operations()]
    each = max(2, COUNT // (len(operations) * len(modes)))
    seen: Counter[int] = Counter()
    session = requests.Session()
    for operation in operations:
        for mode in modes:
            _try(session, stage.port, operation, mode, each, seen)
    session.close()
    print(f"seed {SEED}: {sorted(seen.items())}")
    assert seen.total() > COUNT / 3
    # Else nothing was tested: many must be refused, and many be taken.
    assert sum(count for status, count in seen.items() if status < 300) > seen.total() / 20
    assert sum(count for status, count in seen.items() if 400 <= status < 500) > seen.total() / 20


def _try(session, port, operation, mode, count, seen) -> None:
    strategy = operation.as_strategy(generation_mode=mode)

    @seed(SEED)
    @settings(
        max_examples=count, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=strategy)
    def trial(case) -> None:
        if _would_harm(case):
            return
        operation_id = operation.definition.raw["operationId"]
        query = {**(case.query or {}), **_FIXED_QUERY.get(operation_id, {})}
        case.query = query
        answer = case.call(
            base_url=f"http://127.0.0.1:{port}", session=session, timeout=WITHIN_S, auth=("admin", "secret")
        )
        seen[answer.status_code] += 1
        described = {int(status) for status in operation.definition.raw["responses"]}
        # The path may have become another one, the method too: that is the router's to answer.
        assert answer.status_code in described | {404, 405, 301}, (
            f"seed {SEED}: {case.method} {case.formatted_path} {query} {str(case.body)[:300]!r}:"
            f" {answer.status_code} {answer.content[:200]!r}"
        )
        if answer.status_code == 500:
            assert operation_id == "alert"

    trial()


def _would_harm(case) -> bool:
    """Whether it might end the function by which it is seen that the gateway is unharmed."""
    said = json.dumps(case.body, default=str) + json.dumps(case.path_parameters, default=str)
    return any(name in said for name in _SPARED)

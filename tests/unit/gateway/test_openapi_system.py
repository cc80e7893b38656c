"""The document of ``/system`` says what there is: no route more, none less, none with another status."""

from __future__ import annotations

import re

from jangada.gateway.openapi_system import OPERATIONS, document
from jangada.gateway.routes import GUARDED_ROUTES


def test_every_route_is_described_and_nothing_else():
    described = {(one.method.upper(), one.path.replace("{name}", "x").rstrip("/")) for one in OPERATIONS}
    routed = set()
    for route in GUARDED_ROUTES:
        path = re.sub(r"\(\?P<name>[^)]*\)", "x", route.pattern.pattern).removesuffix("/?")
        routed |= {(method, path) for method in route.methods if path.startswith("/system")}
    assert described == routed


def test_every_reference_leads_somewhere_and_every_id_is_its_own():
    made = document("1.2.3")
    wanted = set(re.findall(r"#/components/schemas/(\w+)", str(made)))
    assert wanted == set(made["components"]["schemas"])
    ids = [operation["operationId"] for path in made["paths"].values() for operation in path.values()]
    assert len(set(ids)) == len(ids) == len(OPERATIONS)
    assert made["info"]["version"] == "1.2.3"

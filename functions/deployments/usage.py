"""Usage over HTTP: what the ledger says, by day, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any

from flask import Flask, Response, request

from jangada.deployments.deployment import Prices
from jangada.deployments.ledger import UsageKey, Used
from jangada.deployments.service import shared_deployment
from jangada.errors import FieldError, ForbiddenError, InvalidRequestError
from jangada.http.auth import caller
from jangada.http.openapi import Answer, Parameter, documented
from jangada.http.render import respond
from jangada.tenants import Caller, Scope
from jangada.wiring import Services

from .usage_answers import UsageLine, UsageReport

_DAYS = 30
_MOST_DAYS = 366
_CSV = "text/csv"
_PARAMETERS = (
    Parameter(
        "from", f"the first day in UTC; {_DAYS} days before `to` unless given", {"type": "string", "format": "date"}
    ),
    Parameter("to", "the last day in UTC; today unless given", {"type": "string", "format": "date"}),
    Parameter("tenant", "only this tenant's; another than your own takes the scope `admin`"),
    Parameter("deployment", "only this deployment's"),
    Parameter("format", "`csv` for a table, as `Accept: text/csv`", {"type": "string", "enum": ["json", "csv"]}),
)


def register(app: Flask, services: Services) -> None:
    """Add the route."""

    @app.get("/v1/usage")
    @documented(
        "Report usage",
        tag="usage",
        scopes=[Scope.USAGE_READ.value],
        parameters=_PARAMETERS,
        description="What attempts used, and how long slots stood warm and idle, by day, tenant and deployment. "
        "Your tenant's; everybody's for an administrator. It lags a few seconds behind.",
        answers={200: Answer("by day; with `format=csv` a table with the same columns", UsageReport)},
        problems=[403, 422],
    )
    def report_usage() -> Response:
        who = caller(Scope.USAGE_READ)
        first, last = _days(services.clock().date())
        as_csv = _wants_csv()
        found = services.ledger.usage(
            first.isoformat(), last.isoformat(), tenant_id=_tenant(who), deployment=request.args.get("deployment")
        )
        prices = _prices(services)
        lines = [_line(key, used, prices.get(key.deployment)) for key, used in found.items()]
        if as_csv:
            return _table(lines, first, last)
        return respond({"object": "usage", "first_day": first.isoformat(), "last_day": last.isoformat(), "data": lines})


def _tenant(who: Caller) -> str | None:
    """Whose usage is asked for; None is everybody's."""
    asked = request.args.get("tenant")
    if who.is_admin or asked == who.tenant_id:
        return asked
    if asked is not None:
        raise ForbiddenError("another tenant's usage takes the scope admin", extra={"scope": "admin"})
    return who.tenant_id


def _days(today: date) -> tuple[date, date]:
    last = _day("to") or today
    first = _day("from") or last - min(timedelta(days=_DAYS), last - date.min)
    if first > last:
        raise _refused("from", f"expected no day after `to`, {last}")
    if (last - first).days >= _MOST_DAYS:
        raise _refused("from", f"expected at most {_MOST_DAYS} days in all")
    return first, last


def _day(name: str) -> date | None:
    text = request.args.get(name)
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise _refused(name, "expected a day such as 2026-01-31") from error


def _wants_csv() -> bool:
    asked = request.args.get("format")
    if asked not in {None, "json", "csv"}:
        raise _refused("format", "expected json or csv")
    if asked is not None:
        return asked == "csv"
    return request.accept_mimetypes.best_match(["application/json", _CSV]) == _CSV


def _prices(services: Services) -> dict[str, Prices]:
    """Of every deployment that there is."""
    found = {record.name: shared_deployment(record).prices for record in services.algorithms.page()}
    return found | {one.name: one.prices for one in services.deployments.page()}


def _line(key: UsageKey, used: Used, price: Prices | None) -> dict[str, Any]:
    amounts = {name: round(value, 6) for name, value in asdict(used).items()}
    cost = None
    if price is not None:
        cost = round(price.cpu_s * (used.cpu_s + used.idle_s) + price.gpu_s * (used.gpu_s + used.idle_gpu_s), 6)
    return {
        "day": key.day,
        "tenant": key.tenant_id,
        "deployment": key.deployment,
        "algorithm": key.algorithm,
        "gpu_type": key.gpu_type,
        **amounts,
        "cost": cost,
    }


def _table(lines: list[dict[str, Any]], first: date, last: date) -> Response:
    text = io.StringIO()
    table = csv.DictWriter(text, list(UsageLine.model_fields))
    table.writeheader()
    table.writerows(lines)
    name = f"usage-{first}-{last}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Vary": "Accept"}
    return Response(text.getvalue(), 200, headers, content_type=f"{_CSV}; charset=utf-8")


def _refused(name: str, detail: str) -> InvalidRequestError:
    return InvalidRequestError(f"query parameter {name}: {detail}", errors=[FieldError(f"/query/{name}", detail)])

"""What a node's executors ask: claims, leases, outcomes, bells, usage. All by a node's session."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from flask import Flask, Response, request
from pydantic import TypeAdapter, ValidationError

from jangada.algorithms.algorithm import AlgorithmRecord
from jangada.errors import FieldError, InvalidRequestError
from jangada.http.body import read_json
from jangada.http.holding import Holding
from jangada.http.openapi import Answer, documented
from jangada.http.render import respond
from jangada.jobs.job import RanBy
from jangada.nodes.work import Desk
from jangada.wiring import Services

from .answers import Exchanged, Heard, Kept, Known, LeaseStates
from .requests import (
    AlgorithmName,
    AlgorithmReport,
    BellRequest,
    DeskRequest,
    EventsRequest,
    ExchangeRequest,
    LeasesRequest,
    UsedRequest,
)
from .session import node_of

_TAG = "node executors"
_READ = (400, 413, 415, 422)
_ALGORITHM = TypeAdapter(AlgorithmRecord)
AGAIN_S = 2.0
"""When an executor that cannot be told of the bell is to look for itself."""


def register(app: Flask, services: Services) -> None:
    """Add the routes."""
    _register_jobs(app, services)
    _register_reports(app, services)
    _register_bell(app, services)
    _register_algorithms(app, services)


def desk_of(services: Services, said: DeskRequest, ran_by: RanBy | None = None) -> Desk:
    """The executor that the current request is from."""
    return Desk(node_of(services), said.queue, said.executor_id, ran_by)


def _register_jobs(app: Flask, services: Services) -> None:
    work = services.nodes.work

    @app.post("/v1/nodes/work/exchange")
    @documented(
        "Store outcomes and claim jobs",
        tag=_TAG,
        body=ExchangeRequest,
        description="Outcomes are stored under their attempt's fence: a stale one changes nothing. May be repeated; "
        "with the same `token` and `again` it brings what an answer that got lost had claimed.",
        answers={200: Answer("leases", Exchanged)},
        problems=_READ,
    )
    def exchange() -> Response:
        node_of(services)
        said = read_json(ExchangeRequest)
        version, *more = said.ran_by
        desk = desk_of(services, said, RanBy(version or "", *more))
        for told in said.told:
            work.emit(desk, told.receipt, [(event.kind, event.data) for event in told.events])
        call = None if said.token is None else (said.token, said.again)
        return respond(work.exchange(desk, said.completions, said.want, running=said.running, call=call))

    @app.post("/v1/nodes/work/start")
    @documented("Say that jobs run now", tag=_TAG, body=LeasesRequest, answers={204: Answer("said")}, problems=_READ)
    def start() -> Response:
        node_of(services)
        said = read_json(LeasesRequest)
        work.start(desk_of(services, said), said.receipts)
        return Response(status=204)

    @app.post("/v1/nodes/work/renew")
    @documented(
        "Keep leases",
        tag=_TAG,
        body=LeasesRequest,
        description="Every 0.5 s while jobs run: the answers bring cancels.",
        answers={200: Answer("what became of each", LeaseStates)},
        problems=_READ,
    )
    def renew() -> Response:
        node_of(services)
        said = read_json(LeasesRequest)
        states = work.renew(desk_of(services, said), said.receipts)
        return respond({"states": [state.value for state in states]})

    @app.post("/v1/nodes/work/ring")
    @documented("Wake another executor", tag=_TAG, body=DeskRequest, answers={204: Answer("rung")}, problems=_READ)
    def ring() -> Response:
        node_of(services)
        work.ring(desk_of(services, read_json(DeskRequest)))
        return Response(status=204)


def _register_reports(app: Flask, services: Services) -> None:
    @app.post("/v1/nodes/work/events")
    @documented(
        "Report progress and lines",
        tag=_TAG,
        body=EventsRequest,
        answers={200: Answer("whether the lease still held", Kept)},
        problems=_READ,
    )
    def events() -> Response:
        node_of(services)
        said = read_json(EventsRequest)
        told = [(event.kind, event.data) for event in said.events]
        return respond({"kept": services.nodes.work.emit(desk_of(services, said), said.receipt, told)})

    @app.post("/v1/nodes/work/usage")
    @documented("Report usage", tag=_TAG, body=UsedRequest, answers={204: Answer("noted")}, problems=_READ)
    def usage() -> Response:
        node_of(services)
        said = read_json(UsedRequest)
        services.nodes.usage.append(desk_of(services, said), said.entries)
        return Response(status=204)


def _register_bell(app: Flask, services: Services) -> None:
    holding = Holding(services.settings.threads)

    @app.post("/v1/nodes/bell")
    @documented(
        "Wait for a queue's bell",
        tag=_TAG,
        body=BellRequest,
        description="Held for at most 25 s. A hint: a lost bell costs time, never a job.",
        answers={200: Answer("whether it rang", Heard)},
        problems=_READ,
    )
    def bell() -> Response:
        node = node_of(services)
        said = read_json(BellRequest)
        is_gone = request.environ.get("waitress.client_disconnected") or (lambda: False)
        with _place(holding) as is_held:
            heard = services.nodes.work.hear(node, said.queue, said.wait_s if is_held else 0.0, is_gone=is_gone)
        return respond({"heard": heard, "is_busy": not is_held, "again_s": AGAIN_S})


@contextlib.contextmanager
def _place(holding: Holding) -> Iterator[bool]:
    is_held = holding.enter()
    try:
        yield is_held
    finally:
        if is_held:
            holding.leave()


def _register_algorithms(app: Flask, services: Services) -> None:
    @app.post("/v1/nodes/algorithms/known")
    @documented(
        "Look an algorithm up", tag=_TAG, body=AlgorithmName, answers={200: Answer("the algorithm", Known)},
        problems=_READ,
    )  # fmt: skip
    def known() -> Response:
        node_of(services)
        found = services.nodes.catalog.get(read_json(AlgorithmName).name)
        return respond({"algorithm": None if found is None else _ALGORITHM.dump_python(found, mode="json")})

    @app.post("/v1/nodes/algorithms")
    @documented(
        "Describe an algorithm",
        tag=_TAG,
        body=AlgorithmReport,
        description="What an untrusted node says is left aside.",
        answers={200: Answer("whether it was kept", Kept)},
        problems=_READ,
    )
    def describe_algorithm() -> Response:
        node = node_of(services)
        said = read_json(AlgorithmReport)
        try:
            record = _ALGORITHM.validate_python(said.algorithm)
        except ValidationError as error:
            detail = f"expected an algorithm: {error.errors()[0]['msg']}"
            raise InvalidRequestError(detail, errors=[FieldError("/algorithm", detail)]) from None
        return respond({"kept": services.nodes.catalog.put(node, record, as_newest=said.as_newest)})

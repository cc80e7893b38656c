"""One platform in memory, and two ways for an executor to deal with it: beside it, and over HTTPS."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import urllib3
from urllib3.exceptions import ProtocolError

from functions.nodes.handler import create_app
from jangada.clock import utc_now
from jangada.deployments.deployment import Deployment, Lane, Placement, Trust
from jangada.deployments.node import Node
from jangada.deployments.replica import Replica, Wanted
from jangada.deployments.scaling import Reason, ScalingPolicy
from jangada.executor.dealings import Execution
from jangada.ids import new_id
from jangada.jobs.execution import JobExecution
from jangada.jobs.job import Job, Policy, RanBy
from jangada.remote.execution import RemoteExecution
from jangada.remote.identity import NodeIdentity, new_private_key
from jangada.remote.link import NodeLink
from jangada.settings import Settings
from jangada.tenants import Tenant
from jangada.wiring import Services

TENANT = "acme"
QUEUE = "dep.shop"
RAN_BY = RanBy("1.0.0", None, "ocr@production")


class AppPool:
    """Stands in for urllib3's pool: requests go to *app* directly, or get lost on the way."""

    def __init__(self, app: Any) -> None:
        self._client = app.test_client()
        self.is_cut = False
        self.lost_answers = 0
        """So many requests arrive, and their answers do not."""
        self.sent: list[tuple[str, str]] = []

    def request(self, method: str, url: str, *, body: Any, headers: Any, preload_content: bool, **_: Any) -> Any:
        if self.is_cut:
            raise ProtocolError("the link is cut")
        path = "/" + url.partition("://")[2].partition("/")[2]
        self.sent.append((method, path))
        answer = self._client.open(path, method=method, data=body, headers=headers)
        if self.lost_answers:
            self.lost_answers -= 1
            raise ProtocolError("the answer got lost")
        return urllib3.HTTPResponse(
            body=io.BytesIO(answer.data),
            status=answer.status_code,
            headers=dict(answer.headers),
            preload_content=preload_content,
        )

    def clear(self) -> None:
        """Nothing is kept."""


class Stage:
    """The platform, a deployment *shop*, and nodes that join it."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.app = create_app(services)
        services.tenants.insert_tenant(Tenant(TENANT, TENANT, utc_now()))
        now = utc_now()
        self.shop = Deployment(
            "shop",
            "echo",
            QUEUE,
            now,
            now,
            tenant_id=TENANT,
            scaling=ScalingPolicy(minimum=4, maximum=8),
            placement=Placement(allows_untrusted=True),
            rolled_at=now,
        )
        assert services.deployments.insert(self.shop)
        services.deployments.put_wanted(Wanted("shop", 8, Reason.MINIMUM, now))

    def join(self, name: str = "desktop", trust: Trust = Trust.TRUSTED) -> tuple[NodeLink, AppPool]:
        """A node that joined, as it calls."""
        _, token = self.services.nodes.accounts.create_token(trust=trust, labels={}, valid_s=60, by="key_test")
        pool = AppPool(self.app)
        made = NodeIdentity("https://jangada.example", "", new_private_key())
        answer = NodeLink(made, pool=pool).join({"token": token, "public_key": made.public_key, "name": name})
        return NodeLink(replace(made, node_id=answer["id"]), pool=pool), pool

    def serve(self, link: NodeLink, lane: Lane | None = None) -> Replica:
        """The node of *link* gets a replica of the lane (*shop*'s unless given)."""
        store = self.services.deployments
        node_id = link.identity.node_id
        now = utc_now()
        until = now + timedelta(seconds=60)
        trust = self.services.nodes.accounts.get(node_id).trust
        store.put_node(Node(node_id, node_id, 4000, 4096, until, trust=trust, algorithms={"echo": ("1.0.0",)}))
        made = store.claim_replica(lane or self.shop.stable, node_id, now=now, until=until)
        assert made is not None
        return made

    def remote(self, link: NodeLink, *, executor_id: str | None = None, **options: Any) -> RemoteExecution:
        return RemoteExecution(
            link, queue_name=QUEUE, executor_id=executor_id or new_id("exe"), ran_by=RAN_BY, **options
        )

    def direct(self, **options: Any) -> JobExecution:
        return JobExecution(
            self.services.queue,
            self.services.store,
            queue_name=QUEUE,
            executor_id=new_id("exe"),
            ran_by=RAN_BY,
            **{"lease_s": self.services.settings.lease_s} | options,
        )

    def submit(self, input: Any = None, **facts: Any) -> str:
        policy = Policy(**facts.pop("policy", {}))
        job = Job(
            id=new_id("job"),
            tenant_id=TENANT,
            algorithm="echo",
            algorithm_version="1.0.0",
            deployment="shop",
            queue=QUEUE,
            input=input,
            created_at=utc_now(),
            policy=policy,
            **facts,
        )
        return self.services.jobs.submit(job).id

    def job(self, job_id: str) -> Job:
        return self.services.jobs.get(job_id, TENANT)


@pytest.fixture
def stage(tmp_path) -> Iterator[Stage]:
    settings = replace(Settings.from_env({}), secrets_dir=tmp_path, lease_s=0.5)
    services = Services.in_memory(settings)
    yield Stage(services)
    services.close()


@pytest.fixture(params=["direct", "https"])
def execution(request: pytest.FixtureRequest, stage: Stage) -> Execution:
    """An executor's dealings, one way or the other."""
    if request.param == "direct":
        return stage.direct()
    link, _ = stage.join()
    stage.serve(link)
    return stage.remote(link)

"""One slow receiver holds few senders; lanes and tenants take turns."""

from dataclasses import replace

from jangada.jobs.queue import Lease, LeaseAction
from jangada.webhooks.lanes import Held, Lanes

from .test_delivery import made


def held(number: int, url: str = "https://a.example.com/", tenant: str = "acme") -> Held:
    lease = Lease("webhooks", f"msg_{number}", 0, 1, tenant, b"", LeaseAction.RUN, 0, 0)
    return Held(lease, replace(made(), id=f"msg_{number}", url=url, tenant_id=tenant))


def taken(lanes: Lanes) -> list[Held]:
    found = []
    while (one := lanes.next()) is not None:
        found.append(one)
    return found


def test_an_endpoint_has_at_most_two_in_flight():
    lanes = Lanes()
    for number in range(10):
        assert lanes.add(held(number)) is None
    first = taken(lanes)
    assert [one.delivery.id for one in first] == ["msg_0", "msg_1"]
    lanes.done(first[0])
    assert [one.delivery.id for one in taken(lanes)] == ["msg_2"]


def test_another_endpoint_does_not_wait():
    lanes = Lanes()
    for number in range(10):
        lanes.add(held(number))
    lanes.add(held(10, "https://b.example.com/"))
    assert {one.endpoint for one in taken(lanes)} == {"a.example.com", "b.example.com"}


def test_a_tenant_with_many_endpoints_does_not_take_every_sender():
    lanes = Lanes(per_tenant=3)
    for number in range(10):
        lanes.add(held(number, f"https://h{number}.example.com/"))
    lanes.add(held(10, "https://other.example.com/", "globex"))
    found = taken(lanes)
    assert len(found) == 4
    assert {one.delivery.tenant_id for one in found} == {"acme", "globex"}


def test_a_full_lane_refuses_with_growing_delays():
    lanes = Lanes(waiting_per_lane=2)
    assert [lanes.add(held(number)) for number in range(2)] == [None, None]
    delays = [lanes.add(held(number)) for number in range(2, 3000)]
    assert delays == sorted(delays)
    assert 5 <= delays[0] < 10
    assert delays[-1] == 600


def test_drop_forgets_only_what_waits():
    lanes = Lanes(per_endpoint=1)
    for number in range(3):
        lanes.add(held(number))
    in_flight = taken(lanes)
    lanes.drop({"msg_0", "msg_1"})
    assert [one.delivery.id for one in lanes.waiting()] == ["msg_2"]
    lanes.done(in_flight[0])
    assert [one.delivery.id for one in taken(lanes)] == ["msg_2"]

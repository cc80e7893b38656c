"""taskiq on Redis streams, acknowledged once the result is saved."""

import common
from taskiq.serializers import ORJSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

broker = (
    RedisStreamBroker(common.URL, queue_name="peer", consumer_id="0")
    .with_result_backend(RedisAsyncResultBackend(common.URL, result_ex_time=3600))
    .with_serializer(ORJSONSerializer())
)


@broker.task
async def noop():
    """Nothing."""


@broker.task
async def blob(text: str) -> str:
    """The text it is given."""
    return text


TASKS = {"noop": noop, "blob": blob}


async def enqueue(kind, arguments):
    """One job."""
    return await TASKS[kind].kiq(*arguments)


async def round_trip(kind, arguments):
    """One job, and its result, looked for each millisecond."""
    task = await enqueue(kind, arguments)
    await task.wait_result(check_interval=0.001, timeout=common.WAIT_S)


if __name__ == "__main__":
    common.main(enqueue, round_trip, setup=broker.startup, teardown=broker.shutdown)

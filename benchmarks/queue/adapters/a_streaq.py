"""streaQ."""

import common
from streaq import Worker

worker = Worker(redis_url=common.URL, concurrency=common.CONCURRENCY, queue_name="peer")


@worker.task
async def noop():
    """Nothing."""


@worker.task
async def blob(text: str) -> str:
    """The text it is given."""
    return text


TASKS = {"noop": noop, "blob": blob}


async def enqueue(kind, arguments):
    """One job."""
    return await TASKS[kind].enqueue(*arguments)


async def round_trip(kind, arguments):
    """One job, and its result."""
    task = await enqueue(kind, arguments)
    await task.result(timeout=common.WAIT_S)


async def bulk(kind, arguments, count):
    """*count* jobs in pipelines."""
    for size in common.chunks(count):
        await worker.enqueue_many([TASKS[kind].enqueue(*arguments) for _ in range(size)])


async def setup():
    """Connect."""
    await worker.__aenter__()


async def teardown():
    """Disconnect."""
    await worker.__aexit__(None, None, None)


if __name__ == "__main__":
    common.main(enqueue, round_trip, bulk, setup=setup, teardown=teardown)

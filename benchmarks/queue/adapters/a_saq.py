"""saq."""

import common
from saq import Queue

queue = Queue.from_url(common.URL, name="peer")


async def noop(ctx):
    """Nothing."""


async def blob(ctx, *, text):  # noqa: ARG001 - every job gets one
    """The text it is given."""
    return text


settings = {"queue": queue, "functions": [noop, blob], "concurrency": common.CONCURRENCY}


async def enqueue(kind, arguments):
    """One job."""
    return await queue.enqueue(kind, **dict(zip(("text",), arguments, strict=False)))


async def round_trip(kind, arguments):
    """One job, and its result."""
    job = await enqueue(kind, arguments)
    await job.refresh(until_complete=common.WAIT_S)


if __name__ == "__main__":
    common.main(enqueue, round_trip, setup=queue.connect)

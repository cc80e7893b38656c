"""arq."""

import asyncio
import os
import sys

import common
from arq import create_pool, run_worker
from arq.connections import RedisSettings

REDIS = RedisSettings.from_dsn(common.URL)
pool = None


async def noop(ctx):
    """Nothing."""


async def blob(ctx, text):  # noqa: ARG001 - every job gets one
    """The text it is given."""
    return text


class Worker:
    """The worker's settings."""

    functions = [noop, blob]  # noqa: RUF012 - as arq wants it
    redis_settings = REDIS
    max_jobs = common.CONCURRENCY
    poll_delay = float(os.environ.get("PEER_POLL", "0.01"))
    log_results = False


async def setup():
    """Connect."""
    global pool  # noqa: PLW0603 - one client for the whole process
    pool = await create_pool(REDIS)


async def enqueue(kind, arguments):
    """One job."""
    return await pool.enqueue_job(kind, *arguments)


async def round_trip(kind, arguments):
    """One job, and its result."""
    job = await enqueue(kind, arguments)
    await job.result(timeout=common.WAIT_S, poll_delay=0.001)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        run_worker(Worker)
    else:
        common.main(enqueue, round_trip, setup=setup)

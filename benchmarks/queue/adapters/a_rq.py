"""rq."""

import common
import rq_tasks
from redis import Redis
from rq import Queue

if __name__ == "__main__":
    queue = Queue("peer", connection=Redis.from_url(common.URL))

    def enqueue(kind, arguments):
        """One job."""
        return queue.enqueue_call(getattr(rq_tasks, kind), args=arguments, timeout=180)

    def round_trip(kind, arguments):
        """One job, and its result."""
        result = enqueue(kind, arguments).latest_result(timeout=int(common.WAIT_S))
        if result.type != result.Type.SUCCESSFUL:
            raise RuntimeError(result.type)

    def bulk(kind, arguments, count):
        """*count* jobs in pipelines."""
        for size in common.chunks(count):
            queue.enqueue_many([Queue.prepare_data(getattr(rq_tasks, kind), arguments) for _ in range(size)])

    common.main(enqueue, round_trip, bulk)

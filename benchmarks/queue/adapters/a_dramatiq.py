"""dramatiq, with results."""

import common
import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

broker = RedisBroker(url=common.URL)
broker.add_middleware(Results(backend=RedisBackend(url=common.URL)))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def noop():
    """Nothing; a result of None would not be stored."""
    return 1


@dramatiq.actor(store_results=True)
def blob(text):
    """The text it is given."""
    return text


TASKS = {"noop": noop, "blob": blob}

if __name__ == "__main__":
    common.main(
        lambda kind, arguments: TASKS[kind].send(*arguments),
        lambda kind, arguments: TASKS[kind].send(*arguments).get_result(block=True, timeout=int(common.WAIT_S * 1000)),
    )

"""huey: at most once, as a job is taken from its list without an acknowledgement."""

import time

import common
from huey import RedisExpireHuey

huey = RedisExpireHuey("peer", url=common.URL, expire_time=3600, store_none=True)


@huey.task()
def noop():
    """Nothing."""


@huey.task()
def blob(text):
    """The text it is given."""
    return text


TASKS = {"noop": noop, "blob": blob}


def round_trip(kind, arguments):
    """One job, and its result, looked for twice per millisecond."""
    result = TASKS[kind](*arguments)
    deadline = time.monotonic() + common.WAIT_S
    while not huey.storage.has_data_for_key(result.id):
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.0005)


if __name__ == "__main__":
    import a_huey as module  # tasks carry their module's name, and __main__ is not what the consumer imports

    common.main(lambda kind, arguments: module.TASKS[kind](*arguments), module.round_trip)

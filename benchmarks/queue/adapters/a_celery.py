"""Celery, with late acknowledgement."""

import os

import common
from celery import Celery

app = Celery("a_celery", broker=common.URL, backend=common.URL)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=int(os.environ.get("PEER_PREFETCH", "4")),
    result_expires=3600,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="noop")
def noop():
    """Nothing."""


@app.task(name="blob")
def blob(text):
    """The text it is given."""
    return text


TASKS = {"noop": noop, "blob": blob}

if __name__ == "__main__":
    common.main(
        lambda kind, arguments: TASKS[kind].delay(*arguments),
        lambda kind, arguments: TASKS[kind].delay(*arguments).get(timeout=common.WAIT_S),
    )

"""As OpenFaaS' python3-http has it."""

from .greeting import GREETING


def handle(event, context):
    if event.path == "/fail":
        raise RuntimeError("the password is hunter2")
    if event.method == "GET":
        return {
            "statusCode": 200,
            "body": {"path": event.path, "q": event.query.get("q"), "host": bool(context.hostname)},
        }
    return {"statusCode": 201, "headers": {"X-Kind": "plain"}, "body": f"{GREETING} {event.body.decode()}"}

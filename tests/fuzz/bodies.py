"""Requests to ``/system`` whose bodies are nearly right: shapes from the contract, values from hell."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

TEXTS = (
    "", " ", "worker", "nobody", "openfaas-fn", "dev", "a.b", "../x", "/etc/passwd", "x" * 64, "x" * 10_000, "\x00",
    "é", "\ud83d\ude00", "🙂", "A_B", "-a", "a-", ".", "..", "%2e", "a\nb", "null", "1", "${X}", "__proto__",
    "$where", "a$b",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.5, 1e308, 10**30, 2**63, -(2**63), "", [], {}, [[]], [None], {"": ""}, {"a": None},
    {"a": 1}, ["a", 1], float("nan"), float("inf"), "1", [[[[[[[[]]]]]]]], {"$gt": 1}, {"a.b": "c"}, {"$set": "x"},
)  # fmt: skip
SHAPES: dict[str, tuple[str, ...]] = {
    "/system/functions": (
        "service", "image", "namespace", "envProcess", "envVars", "constraints", "secrets", "labels", "annotations",
        "limits", "requests", "readOnlyRootFilesystem", "functionName", "network",
    ),
    "/system/scale-function/worker": ("serviceName", "replicas", "namespace"),
    "/system/scale-function/nobody": ("serviceName", "replicas", "namespace"),
    "/system/secrets": ("name", "namespace", "value", "rawValue"),
    "/system/namespace/": ("name", "labels", "annotations"),
    "/system/namespace/dev": ("name", "labels", "annotations"),
    "/system/alert": ("alerts", "status", "receiver"),
}  # fmt: skip
QUERIES = (
    "", "", "", "?namespace=", "?namespace=dev", "?namespace=%00", "?namespace=%ff", "?usage=2", "?name=worker&tail=x",
    "?name=worker&tail=99999999999999999999", "?name=worker&since=yesterday", "?name=", "?namespace=a&namespace=b",
    "?&&=&",
)  # fmt: skip
READ_PATHS = (
    "/system/functions", "/system/function/worker", "/system/function/nobody", "/system/secrets", "/system/namespaces",
    "/system/namespace/dev", "/system/info", "/system/telemetry", "/system/logs", "/system/nothing",
)  # fmt: skip


class Sent(NamedTuple):
    """One request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def requests(seed: int, count: int, authorization: str) -> Iterator[Sent]:
    """*count* of them; nearly all say who they are."""
    dice = random.Random(seed)
    for _ in range(count):
        headers = {"Content-Type": dice.choice(("application/json", "application/json", "text/plain", "x"))}
        if dice.random() > 0.05:
            headers["Authorization"] = authorization
        if dice.random() < 0.2:
            yield Sent("GET", dice.choice(READ_PATHS) + dice.choice(QUERIES), headers, b"")
        else:
            path = dice.choice(tuple(SHAPES))
            method = dice.choice(("POST", "POST", "PUT", "DELETE", "PATCH"))
            yield Sent(method, path + dice.choice(QUERIES), headers, _body(dice, path))


def _body(dice: random.Random, path: str) -> bytes:
    shape = dice.random()
    if shape < 0.05:
        return dice.choice(
            (b"", b"{", b"[]", b"null", b"\xff", b'"x"', b"{}" * 2, b"[" * 5000, b'{"a":' * 2000, b"NaN")
        )
    names = SHAPES[path]
    body = {name: _value(dice, name) for name in names if dice.random() < 0.6}
    if path == "/system/alert" and dice.random() < 0.7:
        body["alerts"] = [{"status": dice.choice(("firing", "resolved", 1)), "labels": _value(dice, "labels")}] * 2
    if dice.random() < 0.1:
        body[dice.choice(TEXTS)] = dice.choice(VALUES)
    text = json.dumps(body)
    if shape < 0.15:
        at = dice.randrange(len(text))
        text = text[:at] + dice.choice(('"', "}", ",", "\\", "\\u0000", "")) + text[at + 1 :]
    return text.encode("utf-8", "surrogatepass")


def _value(dice: random.Random, name: str) -> Any:
    if dice.random() < 0.3:
        return dice.choice(VALUES)
    if name in {"labels", "annotations", "envVars", "limits", "requests"}:
        return {_key(dice): dice.choice((*TEXTS, "10", "true", "0", "101")) for _ in range(dice.randrange(4))}
    if name in {"secrets", "constraints"}:
        return [dice.choice(TEXTS) for _ in range(dice.randrange(3))]
    if name == "replicas":
        # Few that would be obeyed: this is about refusing, not about starting processes.
        return dice.choice((0, 1, 1, -1, 10**18, "2", 1.5))
    if name == "readOnlyRootFilesystem":
        return dice.choice((True, False, "true"))
    if name == "functionName":
        return dice.choice(TEXTS[3:])
    return dice.choice(TEXTS)


def _key(dice: random.Random) -> str:
    known = ("com.openfaas.scale.min", "com.openfaas.scale.max", "com.openfaas.scale.factor", "memory", "cpu",
             "openfaas", "function_name", "jangada.io/routes", "com.openfaas.queue")  # fmt: skip
    return dice.choice((*known, *TEXTS))

"""
`NodeStore` in MongoDB.

    node_tokens      _id token, record (JSON text)
    joined_nodes     _id node.revision, node_id, revision, record (JSON text): the highest counts, all are kept
    node_words       _id a word that may be said once, at_ms
    node_checks      _id job, record (JSON text)
    node_secrets     _id "first", secret

Apart from `nodes`, where any agent says what its machine has. Records are JSON text:
labels may hold dots and dollar signs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from jangada.clock import to_ms
from jangada.mongo_client import translated
from jangada.nodes.node import Check, JoinedNode, JoinToken

Document = dict[str, Any]

_TOKEN = TypeAdapter(JoinToken)
_NODE = TypeAdapter(JoinedNode)
_CHECK = TypeAdapter(Check)
_FORGOTTEN_AFTER = timedelta(days=1)


class MongoNodeStore:
    """A `NodeStore` on a MongoDB database."""

    def __init__(self, database: Database[Document]) -> None:
        self._tokens = database["node_tokens"]
        self._nodes = database["joined_nodes"]
        self._words = database["node_words"]
        self._checks = database["node_checks"]
        self._secrets = database["node_secrets"]

    def insert_token(self, token: JoinToken) -> None:
        """See `NodeStore`."""
        _insert(self._tokens, {"_id": token.id, "record": _TOKEN.dump_json(token).decode()})

    def get_token(self, token_id: str) -> JoinToken | None:
        """See `NodeStore`."""
        with translated():
            found = self._tokens.find_one({"_id": token_id})
        return _TOKEN.validate_json(found["record"]) if found else None

    def insert(self, node: JoinedNode) -> bool:
        """See `NodeStore`."""
        return self._insert(node, 0)

    def get(self, node_id: str) -> JoinedNode | None:
        """See `NodeStore`."""
        return self._latest(node_id)[0]

    def page(self) -> list[JoinedNode]:
        """See `NodeStore`."""
        with translated():
            found = sorted(self._nodes.find({}), key=lambda one: int(one["revision"]))
        nodes = {one["node_id"]: _NODE.validate_json(one["record"]) for one in found}
        return sorted(nodes.values(), key=lambda one: (one.name, one.id))

    def change(self, node_id: str, change: Callable[[JoinedNode], JoinedNode]) -> JoinedNode | None:
        """See `NodeStore`."""
        while True:
            before, revision = self._latest(node_id)
            if before is None:
                return None
            after = change(before)
            if after == before or self._insert(after, revision + 1):
                return after

    def _insert(self, node: JoinedNode, revision: int) -> bool:
        """Add what a node is from now on; False when somebody was faster: an id has one winner on every server."""
        record = _NODE.dump_json(node).decode()
        document = {"_id": f"{node.id}.{revision}", "node_id": node.id, "revision": revision, "record": record}
        return _insert(self._nodes, document)

    def _latest(self, node_id: str) -> tuple[JoinedNode | None, int]:
        with translated():
            found = max(self._nodes.find({"node_id": node_id}), key=lambda one: int(one["revision"]), default=None)
        return (None, 0) if found is None else (_NODE.validate_json(found["record"]), int(found["revision"]))

    def use_once(self, word: str, now: datetime) -> bool:
        """See `NodeStore`."""
        # An insert under one id has one winner on every server.
        is_first = _insert(self._words, {"_id": word, "at_ms": to_ms(now)})
        with translated():
            self._words.delete_many({"at_ms": {"$lt": to_ms(now - _FORGOTTEN_AFTER)}})
        return is_first

    def insert_check(self, check: Check) -> None:
        """See `NodeStore`."""
        _insert(self._checks, {"_id": check.job_id, "record": _CHECK.dump_json(check).decode()})

    def checks(self, job_ids: Sequence[str] | None) -> list[Check]:
        """See `NodeStore`."""
        where = {} if job_ids is None else {"_id": {"$in": list(job_ids)}}
        with translated():
            return [_CHECK.validate_json(one["record"]) for one in self._checks.find(where)]

    def delete_check(self, job_id: str) -> None:
        """See `NodeStore`."""
        with translated():
            self._checks.delete_one({"_id": job_id})

    def secret(self, made: str) -> str:
        """See `NodeStore`."""
        _insert(self._secrets, {"_id": "first", "secret": made})
        with translated():
            found = self._secrets.find_one({"_id": "first"})
        return str(found["secret"]) if found else made


def _insert(collection: Any, document: Document) -> bool:
    with translated():
        try:
            collection.insert_one(document)
        except DuplicateKeyError:
            return False
    return True

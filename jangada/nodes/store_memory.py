"""Joined nodes in this process' memory: for tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from jangada.nodes.node import Check, JoinedNode, JoinToken


class MemoryNodeStore:
    """A `NodeStore` that forgets everything with its process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[str, JoinToken] = {}
        self._nodes: dict[str, JoinedNode] = {}
        self._words: set[str] = set()
        self._checks: dict[str, Check] = {}
        self._secret: str | None = None

    def insert_token(self, token: JoinToken) -> None:
        """See `NodeStore`."""
        with self._lock:
            self._tokens[token.id] = token

    def get_token(self, token_id: str) -> JoinToken | None:
        """See `NodeStore`."""
        return self._tokens.get(token_id)

    def insert(self, node: JoinedNode) -> bool:
        """See `NodeStore`."""
        with self._lock:
            return self._nodes.setdefault(node.id, node) is node

    def get(self, node_id: str) -> JoinedNode | None:
        """See `NodeStore`."""
        return self._nodes.get(node_id)

    def page(self) -> list[JoinedNode]:
        """See `NodeStore`."""
        with self._lock:
            return sorted(self._nodes.values(), key=lambda one: (one.name, one.id))

    def change(self, node_id: str, change: Callable[[JoinedNode], JoinedNode]) -> JoinedNode | None:
        """See `NodeStore`."""
        with self._lock:
            node = self._nodes.get(node_id)
            if node is not None:
                node = self._nodes[node_id] = change(node)
            return node

    def use_once(self, word: str, now: datetime) -> bool:  # noqa: ARG002 - it forgets with its process
        """See `NodeStore`."""
        with self._lock:
            is_first = word not in self._words
            self._words.add(word)
            return is_first

    def insert_check(self, check: Check) -> None:
        """See `NodeStore`."""
        with self._lock:
            self._checks.setdefault(check.job_id, check)

    def checks(self, job_ids: Sequence[str] | None) -> list[Check]:
        """See `NodeStore`."""
        with self._lock:
            return [one for one in self._checks.values() if job_ids is None or one.job_id in job_ids]

    def delete_check(self, job_id: str) -> None:
        """See `NodeStore`."""
        with self._lock:
            self._checks.pop(job_id, None)

    def secret(self, made: str) -> str:
        """See `NodeStore`."""
        with self._lock:
            self._secret = self._secret or made
            return self._secret

"""Where joined nodes are kept: one protocol, `store_mongo.py` and `store_memory.py` implement it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from jangada.nodes.node import Check, JoinedNode, JoinToken


class NodeStore(Protocol):
    """Raises `StoreUnavailableError` when the server is away."""

    def insert_token(self, token: JoinToken) -> None:
        """Add one; ids are new."""
        ...

    def get_token(self, token_id: str) -> JoinToken | None:
        """The token of that id, used or not, or None."""
        ...

    def insert(self, node: JoinedNode) -> bool:
        """Add one; False when there is one of that id. Of several at once one is added."""
        ...

    def get(self, node_id: str) -> JoinedNode | None:
        """The node of that id, revoked or not, or None."""
        ...

    def page(self) -> list[JoinedNode]:
        """Every node, by name."""
        ...

    def change(self, node_id: str, change: Callable[[JoinedNode], JoinedNode]) -> JoinedNode | None:
        """
        Keep what *change* makes of the node, and return it; None when there is none.

        Of several at once each sees what those before it made: *change* may be called more than once.
        """
        ...

    def use_once(self, word: str, now: datetime) -> bool:
        """True for the first who says *word*, ever within a day; what is older is forgotten."""
        ...

    def insert_check(self, check: Check) -> None:
        """Put *check* aside; one that is there for the job stays."""
        ...

    def checks(self, job_ids: Sequence[str] | None) -> list[Check]:
        """Those put aside: of these jobs, or all."""
        ...

    def delete_check(self, job_id: str) -> None:
        """Forget the job's."""
        ...

    def secret(self, made: str) -> str:
        """The secret that all replicas seal with: the one that is there, else *made* from now on."""
        ...

"""
One wait for the disk per group of writes, where the server would wait once per document.

On a single server with journaled writes a bulk may sync its log for every document
(the embedded one does: it more than halves the rate). So a group is written without
that wait, and one small journaled write follows: the log is sequential, hence when
that one is safe, all before it are. A replica set acknowledges a bulk as a whole;
there the group is written as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.write_concern import WriteConcern

Document = dict[str, Any]

SMALLEST_GROUP = 3
"""Below this the additional write costs more than it saves."""


class GroupCommit:
    """Gives the collection to write a group to, and makes the group durable before the block ends."""

    def __init__(self, collection: Collection[Document]) -> None:
        self._journaled = collection
        concern = collection.write_concern.document
        self._groups = concern.get("w", 1) == 1 and bool(concern.get("j"))
        self._unsynced = collection.with_options(write_concern=WriteConcern(w=1, j=False))
        database: Database[Document] = collection.database
        self._marks = database["commit_marks"]
        # A few documents for all processes: enough that they seldom meet, and nothing to clean up.
        self._mark_id = f"mark-{os.getpid() % 16}"

    @contextmanager
    def writing(self, size: int) -> Iterator[Collection[Document]]:
        """
        The collection for a group of *size* writes; when the block ends without an
        error other than a partly refused bulk, what it wrote is durable.
        """
        if not self._groups or size < SMALLEST_GROUP:
            yield self._journaled
            return
        try:
            yield self._unsynced
        finally:
            # Also after an error: a bulk that was refused in part has written its other part.
            self._marks.update_one({"_id": self._mark_id}, {"$inc": {"number": 1}}, upsert=True)

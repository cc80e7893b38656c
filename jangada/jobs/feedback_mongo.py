"""Feedback in MongoDB: collection `feedback`."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import orjson
from pymongo import ASCENDING
from pymongo.database import Database
from pymongo.errors import PyMongoError

from jangada.errors import StoreUnavailableError
from jangada.jobs.feedback import Feedback


class MongoFeedbackStore:
    """Implements `FeedbackStore`."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._collection = database["feedback"]

    def create_indexes(self) -> None:
        """Create what `of_job`, and readers by algorithm, need. Idempotent."""
        try:
            self._collection.create_index([("job_id", ASCENDING)])
            self._collection.create_index([("algorithm", ASCENDING), ("created_at", ASCENDING)])
        except PyMongoError as error:
            raise StoreUnavailableError(f"MongoDB: {error}", retry_after_s=2) from error

    def add(self, feedback: Feedback) -> None:
        """See `FeedbackStore.add`."""
        document = {
            "_id": feedback.id,
            "job_id": feedback.job_id,
            "tenant_id": feedback.tenant_id,
            "algorithm": feedback.algorithm,
            "algorithm_version": feedback.algorithm_version,
            "correct": feedback.correct,
            # As text: JSON allows keys and numbers that BSON does not.
            "label": orjson.dumps(feedback.label).decode(),
            "comment": feedback.comment,
            "created_at": feedback.created_at,
        }
        try:
            self._collection.insert_one(document)
        except PyMongoError as error:
            raise StoreUnavailableError(f"MongoDB: {error}", retry_after_s=2) from error

    def of_job(self, job_id: str, tenant_id: str) -> list[Feedback]:
        """See `FeedbackStore.of_job`."""
        try:
            found = list(self._collection.find({"job_id": job_id}).sort("created_at", ASCENDING))
        except PyMongoError as error:
            raise StoreUnavailableError(f"MongoDB: {error}", retry_after_s=2) from error
        return [_feedback(one) for one in found if one["tenant_id"] == tenant_id]


def _feedback(found: dict[str, Any]) -> Feedback:
    at = found["created_at"]
    return Feedback(
        id=found["_id"],
        job_id=found["job_id"],
        tenant_id=found["tenant_id"],
        algorithm=found["algorithm"],
        algorithm_version=found["algorithm_version"],
        correct=found["correct"],
        label=orjson.loads(found["label"]),
        comment=found["comment"],
        created_at=at if at.tzinfo is not None else at.replace(tzinfo=UTC),
    )

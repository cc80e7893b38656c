"""
Algorithm records in MongoDB, collection ``algorithms``, one document per algorithm.

Schemas are kept as JSON text: they hold keys such as ``$ref`` and ``$defs``
that MongoDB would take for operators.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC
from typing import Any

import pymongo.errors
from pymongo.database import Database

from jangada.algorithms.algorithm import AlgorithmRecord
from jangada.algorithms.manifest import Limits
from jangada.errors import StoreUnavailableError


class MongoAlgorithmStore:
    """An `AlgorithmStore` on a MongoDB database."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._records = database["algorithms"]

    def put(self, record: AlgorithmRecord) -> None:
        """See `AlgorithmStore.put`."""
        with _translated():
            self._records.replace_one({"_id": record.name}, _to_document(record), upsert=True)

    def get(self, name: str) -> AlgorithmRecord | None:
        """See `AlgorithmStore.get`."""
        with _translated():
            document = self._records.find_one({"_id": name})
        return None if document is None else _from_document(document)

    def page(self) -> list[AlgorithmRecord]:
        """See `AlgorithmStore.page`."""
        with _translated():
            documents = list(self._records.find({}))
        return sorted(map(_from_document, documents), key=lambda record: record.name)

    def delete(self, name: str) -> bool:
        """See `AlgorithmStore.delete`."""
        with _translated():
            return self._records.delete_one({"_id": name}).deleted_count > 0


def _to_document(record: AlgorithmRecord) -> dict[str, Any]:
    document = asdict(record)
    document["_id"] = document.pop("name")
    document["input_schema"] = json.dumps(record.input_schema)
    document["output_schema"] = json.dumps(record.output_schema)
    return document


def _from_document(document: dict[str, Any]) -> AlgorithmRecord:
    values = dict(document)
    values["name"] = values.pop("_id")
    values["limits"] = Limits(**values["limits"])
    values["input_schema"] = json.loads(values["input_schema"])
    values["output_schema"] = json.loads(values["output_schema"])
    if values["updated_at"].tzinfo is None:
        values["updated_at"] = values["updated_at"].replace(tzinfo=UTC)
    return AlgorithmRecord(**values)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except pymongo.errors.PyMongoError as error:
        raise StoreUnavailableError(f"MongoDB does not answer: {type(error).__name__}", retry_after_s=2) from error

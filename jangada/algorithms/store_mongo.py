"""
Algorithm records in MongoDB: in ``algorithms`` one document per algorithm, in ``algorithm_versions`` one per version.

Schemas are kept as JSON text: they hold keys such as ``$ref`` and ``$defs``
that MongoDB would take for operators.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from datetime import UTC
from typing import Any

import pymongo.errors
from pymongo.database import Database

from jangada.algorithms.algorithm import AlgorithmRecord
from jangada.algorithms.manifest import Limits
from jangada.errors import StoreUnavailableError

_FIELDS = frozenset(one.name for one in fields(AlgorithmRecord))
_LIMITS = frozenset(one.name for one in fields(Limits))


class MongoAlgorithmStore:
    """An `AlgorithmStore` on a MongoDB database."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._records = database["algorithms"]
        self._versions = database["algorithm_versions"]

    def put(self, record: AlgorithmRecord, *, as_newest: bool = True) -> None:
        """See `AlgorithmStore.put`."""
        document = _to_document(record)
        place = f"{record.name}@{record.version}"
        with _translated():
            self._versions.replace_one({"_id": place}, {"_id": place, "record": document}, upsert=True)
            if as_newest:
                self._records.replace_one({"_id": record.name}, document, upsert=True)
                return
            with suppress(pymongo.errors.DuplicateKeyError):
                self._records.insert_one(document)

    def get_version(self, name: str, version: str) -> AlgorithmRecord | None:
        """See `AlgorithmStore.get_version`."""
        with _translated():
            found = self._versions.find_one({"_id": f"{name}@{version}"})
        return None if found is None else _from_document(found["record"])

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
            self._versions.delete_many({"record._id": name})
            return self._records.delete_one({"_id": name}).deleted_count > 0


def _to_document(record: AlgorithmRecord) -> dict[str, Any]:
    document = asdict(record)
    document["_id"] = document.pop("name")
    document["input_schema"] = json.dumps(record.input_schema)
    document["output_schema"] = json.dumps(record.output_schema)
    return document


def _from_document(document: dict[str, Any]) -> AlgorithmRecord:
    # What a newer release has added is nothing to an older one: both run at once while the platform is rolled.
    values = {name: value for name, value in document.items() if name in _FIELDS}
    values["name"] = document["_id"]
    values["limits"] = Limits(**{name: value for name, value in values["limits"].items() if name in _LIMITS})
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

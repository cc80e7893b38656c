"""Bytes by reference: files that jobs read and write."""

from jangada.artifacts.artifact import FILE_ID, PURPOSES, Artifact
from jangada.artifacts.store import CHUNK_BYTES, ArtifactStore, Source

__all__ = ["CHUNK_BYTES", "FILE_ID", "PURPOSES", "Artifact", "ArtifactStore", "Source"]

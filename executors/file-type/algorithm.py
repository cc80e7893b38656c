"""Tells what a file is by its content."""

from __future__ import annotations

from magika import Magika
from pydantic import BaseModel, ConfigDict, Field

from jangada.algorithms.authoring import AlgorithmFailure, Context, File

ACCEPT_FROM = 0.8
"""Below this score the answer is a guess: a tiny XML came back as text with 0.45 (reference workloads §1)."""


class In(BaseModel):
    """A file whose type is wanted."""

    model_config = ConfigDict(extra="forbid")

    file: File = Field(description="Any file; its name and declared media type are not looked at.")


class Out(BaseModel):
    """What the file is."""

    label: str = Field(description="Short name such as pdf, jpeg, python, empty, unknown.")
    mime: str = Field(description="Media type.")
    group: str = Field(description="document, image, code, text, archive, …")
    description: str
    score: float = Field(description="0 to 1.")
    accepted: bool = Field(description="True when the score is at least 0.8.")
    size_bytes: int


class FileType:
    """See the module."""

    def setup(self) -> None:
        """Load the network; 0.3 s."""
        self._magika = Magika()
        self._magika.identify_bytes(b"warm up, so that the first job does not pay for it")

    def run(self, input: In, context: Context) -> Out:  # noqa: ARG002
        """Identify the file; an empty one is `empty`, never an error."""
        answer = self._magika.identify_path(input.file.path)
        if not answer.ok:
            raise AlgorithmFailure(f"the file cannot be examined: {answer.status}")
        kind = answer.output
        score = round(float(answer.score), 4)
        return Out(
            label=str(kind.label),
            mime=kind.mime_type,
            group=kind.group,
            description=kind.description,
            score=score,
            accepted=score >= ACCEPT_FROM,
            size_bytes=input.file.path.stat().st_size,
        )

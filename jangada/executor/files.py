"""
Bytes in and out of a job: the parent puts input files into the work folder and keeps output files.

The child sees paths only; it has no credentials and needs no network.
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import shutil
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import orjson

from jangada.algorithms.references import FileReference, find_files
from jangada.errors import NotFoundError, TooLargeError
from jangada.executor.messages import Done
from jangada.executor.running import SlotJob
from jangada.jobs.job import AttemptFailure, ErrorCode

if TYPE_CHECKING:
    from jangada.artifacts import Artifact
    from jangada.artifacts.store import ArtifactStore
    from jangada.jobs.queue import Lease

FETCH_TIMEOUT_S = 60.0
JSON_MEDIA_TYPE = "application/json"
_WORK_FILE = "data:jangada/work-file,"


class Fetched(Protocol):
    """What an answer to a download has."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case."""
        ...


class Download(Protocol):
    """`OutboundGuard.download`: the only way to an address that a client named."""

    def __call__(self, url: str, to: BinaryIO, *, max_bytes: int, timeout_s: float) -> Fetched:
        """Write what is behind *url* to *to*; raises `OutboundError`."""
        ...


class JobArtifacts(Protocol):
    """As much of an `ArtifactStore` as a job's files take."""

    def get(self, artifact_id: str, tenant_id: str | None = None) -> Artifact | None:
        """The record, or None when there is none (of that tenant)."""
        ...

    def open(self, artifact: Artifact) -> BinaryIO:
        """Its bytes, to be closed by the caller. Raises `NotFoundError` when they are gone."""
        ...

    def put(self, tenant_id: str, source: Path, *, media_type: str, filename: str, purpose: str) -> Artifact:
        """Keep the bytes of a local file. Raises `TooLargeError`."""
        ...


class FilesFailure(Exception):  # noqa: N818 — carries an AttemptFailure, which is a value
    """Raised when a job's files cannot be put in place or kept."""

    def __init__(self, failure: AttemptFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class JobFiles:
    """Materialises inputs and keeps outputs. Blocking; called on threads of their own, several at once."""

    def __init__(
        self,
        artifacts: Callable[[], ArtifactStore] | None,
        download: Callable[[], Download],
        *,
        max_file_bytes: int,
        of_lease: Callable[[Lease], JobArtifacts] | None = None,
    ) -> None:
        """
        *artifacts* and *download* are asked for when the first job needs them: many algorithms never do.

        *of_lease*: there is no store of all files, but one of each job's own.
        """
        self._make_artifacts = artifacts
        self._of_lease = of_lease
        self._make_download = download
        self._max_bytes = max_file_bytes

    @cached_property
    def _artifacts(self) -> ArtifactStore:
        if self._make_artifacts is None:
            raise TypeError("there are only stores of each job's own files")
        return self._make_artifacts()

    def _store(self, job: SlotJob) -> JobArtifacts:
        return self._artifacts if self._of_lease is None else self._of_lease(job.lease)

    @cached_property
    def _download(self) -> Download:
        return self._make_download()

    def prepare(self, job: SlotJob, schema: dict[str, Any] | None) -> None:
        """
        Load the input when it is a file, and put the files it names into the work folder.

        *schema* tells which values are files; None: the input holds none. Raises
        `FilesFailure`: ``invalid_input`` for what is missing, expired, another
        tenant's, refused or too large, ``dependency`` for what does not answer.
        """
        if job.orders.input_file is not None:
            job.orders = dataclasses.replace(job.orders, input_json=self._load_input(job), input_file=None)
        if schema is None:
            return
        placed: dict[str, list[str | None]] = {}
        left = self._max_bytes
        for reference in find_files(schema, job.orders.input, "/input"):
            if reference.kind == "data" or reference.value in placed:
                continue
            job.work_dir.mkdir(parents=True, exist_ok=True)
            target = job.work_dir / f"in-{len(placed):03d}"
            place = self._place_file if reference.kind == "file" else self._place_url
            placed[reference.value] = [str(target), place(job, reference, target, left)]
            left -= target.stat().st_size
            target.chmod(0o444)
        job.files = placed

    def keep(self, job: SlotJob, done: Done) -> tuple[Any, str | None]:
        """
        Keep what the job saved and name it in the output; ``(output, None)`` or ``(None, file id)`` of a large one.

        Only files that the output refers to are kept. Raises `FilesFailure` for
        what is larger than a file may be.
        """
        names = {name: (shown, media) for name, shown, media in done.saved}
        spilled = job.work_dir / done.spilled if done.spilled else None
        if spilled is not None and not names:
            return None, self._put(job, spilled, "output.json", JSON_MEDIA_TYPE)
        output = done.output if spilled is None else orjson.loads(spilled.read_bytes())
        output = self._swap(job, output, names, {})
        if spilled is None:
            return output, None
        spilled.write_bytes(json.dumps(output, ensure_ascii=False, separators=(",", ":")).encode())
        return None, self._put(job, spilled, "output.json", JSON_MEDIA_TYPE)

    def _load_input(self, job: SlotJob) -> bytes:
        file_id = job.orders.input_file or ""
        store = self._store(job)
        artifact = store.get(file_id, job.lease.tenant_id)
        if artifact is None:
            raise _invalid(f"/input: the file {file_id} that holds the input is gone")
        with store.open(artifact) as stream:
            content = stream.read()
        try:
            orjson.loads(content)
        except orjson.JSONDecodeError:
            raise _invalid(f"/input: the file {file_id} that holds the input is not JSON") from None
        return content

    def _place_file(self, job: SlotJob, reference: FileReference, target: Path, left: int) -> str | None:
        store = self._store(job)
        artifact = store.get(reference.value, job.lease.tenant_id)
        if artifact is None:
            raise _invalid(f"{reference.pointer}/file: no file {reference.value} (it may have expired)")
        if artifact.size_bytes > left:
            raise _invalid(f"{reference.pointer}/file: the job's files are larger than {self._max_bytes} bytes")
        try:
            # A copy, never a link: user code may write to what it was given, and the store's bytes are shared.
            with store.open(artifact) as stream, target.open("wb") as out:
                shutil.copyfileobj(stream, out, 1024 * 1024)
        except NotFoundError:
            raise _invalid(f"{reference.pointer}/file: the bytes of {reference.value} are gone") from None
        return artifact.media_type

    def _place_url(self, _job: SlotJob, reference: FileReference, target: Path, left: int) -> str | None:
        from jangada.webhooks.guard import OutboundError

        where = f"{reference.pointer}/url"
        try:
            with target.open("wb") as out:
                reply = self._download(reference.value, out, max_bytes=left, timeout_s=FETCH_TIMEOUT_S)
        except OutboundError as error:
            if error.reason in {"refused", "too_large"}:
                raise _invalid(f"{where}: {error}") from None
            raise FilesFailure(AttemptFailure(ErrorCode.DEPENDENCY, f"{where}: {error}", retryable=True)) from None
        if reply.status == http.client.OK:
            return reply.headers.get("content-type")
        message = f"{where}: answered {reply.status}"
        if reply.status >= http.client.INTERNAL_SERVER_ERROR or reply.status == http.client.TOO_MANY_REQUESTS:
            raise FilesFailure(AttemptFailure(ErrorCode.DEPENDENCY, message, retryable=True))
        raise _invalid(message)

    def _swap(self, job: SlotJob, value: Any, names: dict[str, tuple[str, str]], ids: dict[str, str]) -> Any:
        """*value* with every reference to a saved file replaced by the id it is kept under."""
        if isinstance(value, list):
            return [self._swap(job, member, names, ids) for member in value]
        if not isinstance(value, dict):
            return value
        data = value.get("data")
        if len(value) == 1 and isinstance(data, str) and data.startswith(_WORK_FILE):
            name = data.removeprefix(_WORK_FILE)
            if name in names:
                if name not in ids:
                    ids[name] = self._put(job, job.work_dir / name, *names[name])
                return {"file": ids[name]}
        return {key: self._swap(job, member, names, ids) for key, member in value.items()}

    def _put(self, job: SlotJob, path: Path, filename: str, media_type: str) -> str:
        if path.is_symlink() or not path.is_file():
            message = f"the saved file {filename} is not there any more"
            raise FilesFailure(AttemptFailure(ErrorCode.ALGORITHM_ERROR, message))
        try:
            artifact = self._store(job).put(
                job.lease.tenant_id, path, media_type=media_type, filename=filename, purpose="output"
            )
        except TooLargeError as error:
            message = f"the output file {filename} cannot be kept: {error}"
            raise FilesFailure(AttemptFailure(ErrorCode.ALGORITHM_ERROR, message)) from None
        return artifact.id


def _invalid(message: str) -> FilesFailure:
    return FilesFailure(AttemptFailure(ErrorCode.INVALID_INPUT, message))

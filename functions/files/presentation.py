"""A file as the API shows it, and its name as a header."""

from __future__ import annotations

import re
import unicodedata
from typing import Any
from urllib.parse import quote

from jangada.artifacts import Artifact
from jangada.http.links import href

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}\Z")
_UNKNOWN_TYPE = "application/octet-stream"
_MAX_NAME = 255


def file_object(artifact: Artifact) -> dict[str, Any]:
    """The file object of the API."""
    return {
        "id": artifact.id,
        "object": "file",
        "filename": artifact.filename,
        "media_type": artifact.media_type,
        "size_bytes": artifact.size_bytes,
        "sha256": artifact.sha256,
        "purpose": artifact.purpose,
        "created_at": artifact.created_at,
        "expires_at": artifact.expires_at,
        "urls": {"self": href(f"/v1/files/{artifact.id}"), "content": href(f"/v1/files/{artifact.id}/content")},
    }


def clean_filename(text: str | None) -> str:
    """The last part of the name an uploader gave, without control characters; ``file`` when nothing is left."""
    name = re.split(r"[/\\]", text or "")[-1]
    # Cc, Cf, Cs, Zl, Zp: nothing that could break a header, a terminal or a log line, or reverse a name.
    name = "".join(c for c in name if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}).strip()
    return name[-_MAX_NAME:] if name.strip(". ") else "file"


def clean_media_type(text: str | None) -> str:
    """The media type an uploader gave, without parameters; unknown when it does not look like one."""
    bare = (text or "").partition(";")[0].strip().lower()
    return bare if _MEDIA_TYPE.match(bare) else _UNKNOWN_TYPE


def content_disposition(filename: str) -> str:
    """``attachment`` with the name in both of RFC 6266's forms, the ASCII one without what confuses parsers."""
    plain = unicodedata.normalize("NFKD", filename).encode("ascii", "ignore").decode()
    plain = re.sub(r'["\\%]', "_", plain) or "file"
    if plain == filename:
        return f'attachment; filename="{plain}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"

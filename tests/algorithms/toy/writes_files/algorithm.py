"""Reads the files it is given and saves new ones."""

import os
from pathlib import Path

from pydantic import BaseModel

from jangada.algorithms import Context, File


class Input(BaseModel):
    files: list[File]
    large: int = 0


class Output(BaseModel):
    sizes: list[int]
    media_types: list[str | None]
    joined: File
    padding: str


class Algorithm:
    def run(self, input: Input, context: Context) -> Output:
        assert Path.cwd() == context.work_dir
        Path("scratch").write_text("left behind")
        contents = [file.read_bytes() for file in input.files]
        os.environ["TOY_LAST"] = context.job_id
        return Output(
            sizes=[len(content) for content in contents],
            media_types=[file.media_type for file in input.files],
            joined=context.save("joined.bin", b"".join(contents), "text/plain"),
            padding="x" * input.large,
        )

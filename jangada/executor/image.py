"""
What goes into an algorithm's image: ``python -m jangada.executor.image <folder> --stage <folder>``.

Called by the container recipes, which know neither YAML nor shared folders. The
stage holds ``executors/`` (the algorithm with what it shares), ``main`` (a link
to the algorithm), ``requirements.txt`` and ``apt.txt``.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from jangada.algorithms.manifest import AlgorithmManifest, load_manifest
from jangada.errors import ConfigurationError

_LEAVE_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".venv", "tests")


def stage_image(manifest: AlgorithmManifest, stage: Path, *, gpu: bool = False) -> None:
    """
    Lay out *manifest*'s image in *stage*.

    With *gpu* a folder's ``requirements-gpu.txt``, where there is one, takes the
    place of its ``requirements.txt``.
    """
    executors = stage / "executors"
    folders = (manifest.folder, *manifest.shared_folders)
    for folder in folders:
        shutil.copytree(folder, executors / folder.name, ignore=_LEAVE_OUT, dirs_exist_ok=True)
    (stage / "main").symlink_to(Path("executors") / manifest.folder.name)
    wanted = []
    for file in manifest.requirements_for(gpu=gpu):
        text = file.read_text(encoding="utf-8").rstrip()
        wanted += [_at(executors / manifest.folder.name, line) for line in text.splitlines()]
    (stage / "requirements.txt").write_text("\n".join(wanted) + "\n", encoding="utf-8")
    (stage / "apt.txt").write_text("".join(f"{name}\n" for name in manifest.apt), encoding="utf-8")


def _at(folder: Path, line: str) -> str:
    """*line* of a requirements file; a path in it is relative to the algorithm's folder, not to where pip runs."""
    return str(folder.absolute() / line) if line.startswith(("./", "../")) else line


def main(arguments: list[str] | None = None) -> int:
    """The command; 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m jangada.executor.image", description=stage_image.__doc__)
    parser.add_argument("folder", type=Path, help="the algorithm's folder")
    parser.add_argument("--stage", type=Path, required=True, help="where to lay it out")
    parser.add_argument("--gpu", action="store_true", help="prefer requirements-gpu.txt")
    options = parser.parse_args(arguments)
    try:
        stage_image(load_manifest(options.folder.resolve()), options.stage, gpu=options.gpu)
    except ConfigurationError as error:
        sys.stderr.write(f"jangada.executor.image: {error.detail}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

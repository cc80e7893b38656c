"""A build backend (PEP 517) for a distribution without files; it needs nothing from a registry."""

from __future__ import annotations

import zipfile
from pathlib import Path

_NAME = "sentence_transformers-2.2.0+weights.only"
_METADATA = "Metadata-Version: 2.1\nName: sentence-transformers\nVersion: 2.2.0+weights.only\n"
_WHEEL = "Wheel-Version: 1.0\nGenerator: empty_wheel\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def build_wheel(
    wheel_directory: str,
    config_settings: dict[str, str] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Write the wheel and return its file name; the settings of PEP 517 change nothing."""
    del config_settings, metadata_directory
    name = f"{_NAME}-py3-none-any.whl"
    folder = f"{_NAME}.dist-info"
    with zipfile.ZipFile(Path(wheel_directory) / name, "w") as wheel:
        wheel.writestr(f"{folder}/METADATA", _METADATA)
        wheel.writestr(f"{folder}/WHEEL", _WHEEL)
        wheel.writestr(f"{folder}/RECORD", f"{folder}/METADATA,,\n{folder}/WHEEL,,\n{folder}/RECORD,,\n")
    return name


def build_sdist(sdist_directory: str, config_settings: dict[str, str] | None = None) -> str:
    """Refuse: this is only ever built in place."""
    raise NotImplementedError("built in place only")

"""Tesseract, through tesserocr (its wheel brings the library; the language data comes from the machine)."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

# One page gains nothing from a second thread, it only burns a core that another job could use. The library
# reads this when it is loaded, hence before the import below.
os.environ.setdefault("OMP_THREAD_LIMIT", "1")

from documents.engines.engine import EngineName
from documents.lines import Line
from documents.prepare import WORK_DPI, Prepared

_DATA_FOLDERS = (
    "usr/share/tesseract-ocr/*/tessdata",
    "usr/share/tessdata",
    "usr/local/share/tessdata",
    "opt/homebrew/share/tessdata",
)
_SURE_ORIENTATION = 2.0
# Table rules and frames come back as these.
_RULES = re.compile(r"^[|\[\]_—–~=¦`'\"\\/.,:;-]+$")
_EDGE = re.compile(r"^[|\[\]_¦\s]+|[|\[\]_¦\s]+$")


def find_data() -> Path | None:
    """The folder with Portuguese language data: $TESSDATA_PREFIX, else where distributions put it."""
    prefix = os.environ.get("TESSDATA_PREFIX")
    folders = [Path(prefix), Path(prefix) / "tessdata"] if prefix else []
    for pattern in _DATA_FOLDERS:
        folders += sorted(Path("/").glob(pattern), reverse=True)
    return next((folder for folder in folders if (folder / "por.traineddata").is_file()), None)


def is_installed() -> bool:
    """True when both the library and Portuguese data are here."""
    return importlib.util.find_spec("tesserocr") is not None and find_data() is not None


class TesseractEngine:
    """One tesseract per language combination, kept warm."""

    name: EngineName = "tesseract"

    def __init__(self) -> None:
        import tesserocr

        folder = find_data()
        if folder is None:
            raise RuntimeError("tesseract's Portuguese data is not installed")
        self._maker = tesserocr
        # Its picture library complains on stderr about specks at the margin; nothing is wrong then.
        tesserocr.set_leptonica_log_level(tesserocr.LeptLogLevel.NONE)
        self._folder = folder
        self._readers: dict[str, Any] = {}
        self._osd = None
        if (folder / "osd.traineddata").is_file():
            self._osd = tesserocr.PyTessBaseAPI(path=str(folder), lang="osd", psm=tesserocr.PSM.OSD_ONLY)
        self._reader(["por"])

    def upright(self, page: Prepared) -> Prepared:
        """See `Engine`. Asks the orientation model; too little text makes it refuse, then the page stays."""
        if self._osd is None:
            return page
        _show(self._osd, page.image)
        try:
            found = self._osd.DetectOrientationScript()
        except RuntimeError:
            found = None
        finally:
            self._osd.Clear()
        if not found or found["orient_conf"] <= _SURE_ORIENTATION:
            return page
        return page.turned((360 - int(found["orient_deg"])) % 360)

    def read(self, page: Prepared, lang: list[str]) -> list[Line]:
        """See `Engine`. Page segmentation mode 3: others lose titles (measured, reference workloads §1)."""
        reader = self._reader(lang)
        reader.SetPageSegMode(self._maker.PSM.AUTO)
        _show(reader, page.image)
        try:
            if not reader.Recognize():
                return []
            table = reader.GetTSVText(0)
        finally:
            reader.Clear()
        return _lines(table)

    def read_strip(self, strip: np.ndarray) -> tuple[str, float]:
        """See `Engine`."""
        reader = self._reader(["por"])
        reader.SetPageSegMode(self._maker.PSM.SINGLE_LINE)
        _show(reader, strip)
        try:
            text = reader.GetUTF8Text().strip()
            return text, reader.MeanTextConf() / 100
        finally:
            reader.Clear()

    def _reader(self, lang: list[str]) -> Any:
        known = [code for code in lang if (self._folder / f"{code}.traineddata").is_file()] or ["por"]
        # Portuguese data reads English as well; loading both models doubles the time per page.
        key = "por" if "por" in known else known[0]
        if key not in self._readers:
            self._readers[key] = self._maker.PyTessBaseAPI(path=str(self._folder), lang=key)
        return self._readers[key]


def _show(reader: Any, image: np.ndarray) -> None:
    image = np.ascontiguousarray(image)
    height, width = image.shape
    reader.SetImageBytes(image.tobytes(), width, height, 1, width)
    reader.SetSourceResolution(WORK_DPI)


def _lines(table: str) -> list[Line]:
    """Words of tesseract's TSV joined to lines, cut where the gap is as wide as between table cells."""
    rows: dict[tuple[str, ...], list[tuple[str, float, float, float, float, float]]] = {}
    for record in table.splitlines():
        cells = record.split("\t")
        if len(cells) < 12 or cells[0] != "5":
            continue
        text = "\t".join(cells[11:]).strip()
        left, top, width, height = (float(cell) for cell in cells[6:10])
        if not text or (_RULES.match(text) and text not in ("-", "–", "/")):
            continue
        rows.setdefault(tuple(cells[2:5]), []).append(
            (text, float(cells[10]) / 100, left, top, left + width, top + height)
        )
    lines: list[Line] = []
    for words in rows.values():
        usual = float(np.median([word[5] - word[3] for word in words]))
        start = 0
        for index in range(1, len(words) + 1):
            if index == len(words) or words[index][2] - words[index - 1][4] > max(2.2 * usual, 24):
                line = _join(words[start:index])
                if line is not None:
                    lines.append(line)
                start = index
    return lines


def _join(words: list[tuple[str, float, float, float, float, float]]) -> Line | None:
    text = _EDGE.sub("", " ".join(word[0] for word in words))
    if not any(character.isalnum() for character in text):
        return None
    size = sum(len(word[0]) for word in words)
    confidence = sum(max(0.0, word[1]) * len(word[0]) for word in words) / size
    # A speck read as one letter; a real single character is read with more certainty.
    if len(text) <= 2 and confidence < 0.5:
        return None
    return Line(
        text,
        confidence,
        min(w[2] for w in words),
        min(w[3] for w in words),
        max(w[4] for w in words),
        max(w[5] for w in words),
    )

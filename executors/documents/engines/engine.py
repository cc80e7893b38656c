"""What every recognition engine can do, and which one is taken."""

from __future__ import annotations

import os
from typing import Literal, Protocol

import numpy as np

from documents.lines import Line
from documents.prepare import Prepared
from jangada.algorithms.authoring import AlgorithmFailure

EngineName = Literal["tesseract", "rapidocr"]


class Engine(Protocol):
    """Reads prepared pages. Holds its models, one page at a time."""

    name: EngineName

    def upright(self, page: Prepared) -> Prepared:
        """*page* turned by the quarter turns that make its text stand upright; unchanged when nothing tells."""

    def read(self, page: Prepared, lang: list[str]) -> list[Line]:
        """The segments of text on *page*, in reading order; empty when there is none."""

    def read_strip(self, strip: np.ndarray) -> tuple[str, float]:
        """Text and confidence (0 to 1) of a picture that holds a single line."""


def installed_engines() -> list[EngineName]:
    """The engines whose code and data are on this machine, best value per CPU second first."""
    from documents.engines import neural, tesseract

    found: list[EngineName] = []
    if tesseract.is_installed():
        found.append("tesseract")
    if neural.is_installed():
        found.append("rapidocr")
    return found


def load_engine(name: EngineName) -> Engine:
    """A ready engine. Loading takes 0.2 s (tesseract) to 3 s (rapidocr, cold)."""
    if name == "tesseract":
        from documents.engines.tesseract import TesseractEngine

        return TesseractEngine()
    from documents.engines.neural import RapidEngine

    return RapidEngine()


class Engines:
    """The engines of this process, each loaded when it is first needed and kept."""

    def __init__(self) -> None:
        self.installed = installed_engines()
        self._loaded: dict[EngineName, Engine] = {}
        forced = os.environ.get("JANGADA_OCR_ENGINE", "auto")
        if forced not in ("auto", "", "tesseract", "rapidocr"):
            raise AlgorithmFailure(f"JANGADA_OCR_ENGINE is {forced!r}; expected auto, tesseract or rapidocr")
        self._forced = forced if forced not in ("auto", "") else None
        if not self.installed:
            raise AlgorithmFailure(
                "no recognition engine: neither tesserocr with Portuguese data nor rapidocr is installed"
            )

    def choose(self, wanted: str = "auto") -> Engine:
        """The engine *wanted*, or for "auto" the one the environment forces, else the best installed."""
        name = wanted if wanted != "auto" else self._forced or self.installed[0]
        if name not in self.installed:
            raise AlgorithmFailure(f"engine {name} is not installed here; installed: {', '.join(self.installed)}")
        return self._load(name)  # type: ignore[arg-type]

    def other(self, engine: Engine) -> Engine | None:
        """An engine made by someone else, for a second opinion; nothing when there is none or one is forced."""
        if self._forced is not None:
            return None
        for name in self.installed:
            if name != engine.name:
                return self._load(name)
        return None

    def _load(self, name: EngineName) -> Engine:
        if name not in self._loaded:
            self._loaded[name] = load_engine(name)
        return self._loaded[name]

"""Text without accents and case, for matching; what is stored always keeps both."""

from __future__ import annotations

import unicodedata
from functools import lru_cache


@lru_cache(maxsize=4096)
def _fold_character(character: str) -> str:
    if character in "–—‐‑−":
        return "-"
    if character in "º°":
        return "o"
    if character == "ª":
        return "a"
    base = unicodedata.normalize("NFD", character)[0].lower()
    return base if len(base) == 1 else character


def fold(text: str) -> str:
    """*text* without accents, in lower case, of the same length: offsets into one are offsets into the other."""
    return "".join(map(_fold_character, text))


def letters_of(text: str) -> str:
    """Only the folded letters and digits of *text*, for comparing two readings of the same words."""
    return "".join(character for character in fold(text) if character.isalnum())

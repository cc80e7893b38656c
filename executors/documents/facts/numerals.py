"""Portuguese numbers written in words, as certificates and receipts carry them."""

from __future__ import annotations

import re

_UNITS = {
    "zero": 0,
    "um": 1,
    "uma": 1,
    "primeiro": 1,
    "dois": 2,
    "duas": 2,
    "tres": 3,
    "quatro": 4,
    "cinco": 5,
    "seis": 6,
    "meia": 6,
    "sete": 7,
    "oito": 8,
    "nove": 9,
    "dez": 10,
    "onze": 11,
    "doze": 12,
    "treze": 13,
    "quatorze": 14,
    "catorze": 14,
    "quinze": 15,
    "dezesseis": 16,
    "dezasseis": 16,
    "dezessete": 17,
    "dezoito": 18,
    "dezenove": 19,
    "vinte": 20,
    "trinta": 30,
    "quarenta": 40,
    "cinquenta": 50,
    "sessenta": 60,
    "setenta": 70,
    "oitenta": 80,
    "noventa": 90,
    "cem": 100,
    "cento": 100,
    "duzentos": 200,
    "duzentas": 200,
    "trezentos": 300,
    "trezentas": 300,
    "quatrocentos": 400,
    "quatrocentas": 400,
    "quinhentos": 500,
    "quinhentas": 500,
    "seiscentos": 600,
    "seiscentas": 600,
    "setecentos": 700,
    "setecentas": 700,
    "oitocentos": 800,
    "oitocentas": 800,
    "novecentos": 900,
    "novecentas": 900,
}
_WORD = "(?:" + "|".join(sorted([*_UNITS, "mil"], key=len, reverse=True)) + ")"
NUMBER_WORDS = rf"{_WORD}(?:[\s,]+(?:e\s+)?{_WORD})*"
"""Matches a number in folded words."""


def number_from_words(text: str) -> int | None:
    """The number that folded *text* spells ("dois mil e dezenove" → 2019), below a million; nothing if it is none."""
    total, group, seen = 0, 0, False
    for word in re.findall(r"[a-z]+", text):
        if word == "e":
            continue
        if word == "mil":
            total, group, seen = total + max(group, 1) * 1000, 0, True
        elif word in _UNITS:
            group, seen = group + _UNITS[word], True
        else:
            return None
    return total + group if seen else None

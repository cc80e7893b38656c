"""
CPF and CNPJ numbers: found by shape, believed only when their check digits agree.

Rules of Receita Federal: modulo 11, remainders below 2 give digit 0. Since July 2026 the first
twelve places of a CNPJ may be letters, worth their ASCII code less 48; the check digits stay numeric.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from documents.facts.folding import fold
from documents.facts.found import Found
from documents.lines import Reading

_TO_DIGIT = str.maketrans("OoQDIil|!SsBZzGA", "0000111115582264")
_LOOKALIKES = {
    "0": "ODQ",
    "O": "0Q",
    "D": "0O",
    "Q": "0O",
    "1": "IL",
    "I": "1L",
    "L": "1I",
    "5": "S",
    "S": "5",
    "8": "B",
    "B": "8",
    "2": "Z",
    "Z": "2",
    "6": "G",
    "G": "6",
    "4": "A",
    "A": "4",
    "V": "Y",
    "Y": "V",
    "U": "V",
}
# Engines drop spaces: "CPF860.019.596-92". A letter may stand before a digit, a digit may not.
_CPF = re.compile(
    r"(?:(?<![\w.,/\-])|(?<=[^\W\d_])(?=\d))"
    r"(?P<a>[\dOoQDIil|!SsBZzGA]{3})\s?[.,·]?\s?(?P<b>[\dOoQDIil|!SsBZzGA]{3})\s?[.,·]?\s?"
    r"(?P<c>[\dOoQDIil|!SsBZzGA]{3})\s?[-–—−.,/~]?\s?(?P<d>[\dOoQDIil|!SsBZzGA]{2})(?![\d/]|[.,-]\d)"
)
_CNPJ = re.compile(
    r"(?:(?<![\w.,/\-])|(?<=CNPJ)|(?<=cnpj)|(?<=CGC)|(?<=MF)|(?<=[nN][º°o]))"
    r"(?P<a>[0-9A-Za-z|!]{2})\s?[.,·]?\s?(?P<b>[0-9A-Za-z|!]{3})\s?[.,·]?\s?(?P<c>[0-9A-Za-z|!]{3})\s?"
    r"(?P<slash>[/\\|])?\s?(?P<d>[0-9A-Za-z|!]{4})\s?(?P<dash>[-–—−.,~])?\s?(?P<e>[\dOoQDIil|!SsBZzGA]{2})"
    r"(?![\d/]|[.,-]\d)"
)
_CNPJ_WEIGHTS = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)


def _check_digit(places: str, weights: tuple[int, ...]) -> str:
    remainder = sum((ord(place) - 48) * weight for place, weight in zip(places, weights, strict=True)) % 11
    return "0" if remainder < 2 else str(11 - remainder)


def is_cpf(digits: str) -> bool:
    """True for eleven digits whose last two are the check digits of the others; all-equal ones are never issued."""
    if len(digits) != 11 or not digits.isdecimal() or len(set(digits)) == 1:
        return False
    first = _check_digit(digits[:9], tuple(range(10, 1, -1)))
    return digits[9] == first and digits[10] == _check_digit(digits[:10], tuple(range(11, 1, -1)))


def is_cnpj(places: str) -> bool:
    """True for fourteen places (letters allowed in the first twelve) with right check digits."""
    if not re.fullmatch(r"[0-9A-Z]{12}[0-9]{2}", places) or len(set(places)) == 1:
        return False
    first = _check_digit(places[:12], _CNPJ_WEIGHTS[1:])
    return places[12] == first and places[13] == _check_digit(places[:13], _CNPJ_WEIGHTS)


@dataclass(frozen=True)
class Identifiers:
    """What was found, and the lines that look like a number but fail their digits: worth a second look."""

    cpf: list[Found]
    cnpj: list[Found]
    doubtful_lines: list[int]


def find_identifiers(reading: Reading) -> Identifiers:
    """Every CPF and CNPJ of *reading* whose check digits agree, in order, each value once."""
    text = reading.text
    folded = fold(text)
    doubtful: list[int] = []
    taken: list[tuple[int, int]] = []
    cnpj: dict[str, Found] = {}
    for match in _CNPJ.finditer(text):
        raw = match.group(0)
        shaped = match["slash"] is not None and (match["dash"] is not None or raw.count(".") >= 2)
        if sum(character.isdigit() for character in raw) < 4:
            continue
        if not shaped and not _is_labelled(folded, match.start(), "cnpj", reading):
            continue
        value, confidence = _cnpj_value("".join(match.group(*"abcde")))
        if value is None:
            if shaped:
                doubtful.append(reading.line_at(match.start()))
            continue
        taken.append(match.span())
        cnpj.setdefault(value, _found(value, confidence, match, reading))
    cpf: dict[str, Found] = {}
    for match in _CPF.finditer(text):
        raw = match.group(0)
        if any(start < match.end() and match.start() < end for start, end in taken):
            continue
        if sum(character.isdigit() for character in raw) < 7:
            continue
        shaped = bool(re.search(r"[-–—−~]\s?\S{2}$", raw)) or len(re.findall(r"[.,·]", raw)) >= 2
        # A telephone number has eleven digits too, and one in a hundred passes by chance: plain digits
        # need the word next to them.
        if not shaped and not _is_labelled(folded, match.start(), "cpf", reading):
            continue
        plain = "".join(match.group(*"abcd"))
        digits = plain.translate(_TO_DIGIT)
        if not is_cpf(digits):
            if shaped and len(set(digits)) > 1:
                doubtful.append(reading.line_at(match.start()))
            continue
        value = f"{digits[:3]}.{digits[3:6]}.{digits[6:9]}-{digits[9:]}"
        cpf.setdefault(value, _found(value, 0.99 if digits == plain else 0.9, match, reading))
    return Identifiers(list(cpf.values()), list(cnpj.values()), sorted(set(doubtful)))


def _cnpj_value(raw: str) -> tuple[str | None, float]:
    plain = raw.replace("|", "1").replace("!", "1")
    upper = plain.upper()
    places = upper[:12] + plain[12:].translate(_TO_DIGIT)
    if is_cnpj(places):
        return _punctuated(places), 0.99 if places == raw else 0.9
    # Most numbers are still digits only: read every letter as the digit it resembles, if all resemble one.
    digits = plain.translate(_TO_DIGIT)
    if digits.isdecimal() and is_cnpj(digits):
        return _punctuated(digits), 0.9
    # Digits alone that fail are a number misread, not a number with letters.
    if places.isdecimal():
        return None, 0.0
    repaired = {
        candidate
        for index, place in enumerate(places[:12])
        for other in _LOOKALIKES.get(place, "")
        if is_cnpj(candidate := places[:index] + other + places[index + 1 :])
    }
    # Two ways to make the digits agree would be a coin toss.
    return (_punctuated(repaired.pop()), 0.8) if len(repaired) == 1 else (None, 0.0)


def _punctuated(places: str) -> str:
    return f"{places[:2]}.{places[2:5]}.{places[5:8]}/{places[8:12]}-{places[12:]}"


def _is_labelled(folded: str, start: int, label: str, reading: Reading) -> bool:
    before = re.sub(r"[^a-z]", "", folded[max(0, start - 30) : start])
    if label in before:
        return True
    here = reading.lines[reading.line_at(start)]
    for line in reading.lines:
        if label not in re.sub(r"[^a-z]", "", fold(line.text)):
            continue
        near = 0 < here.middle - line.middle < 2.6 * max(line.height, here.height)
        if near and min(line.right, here.right) > max(line.left, here.left):
            return True
    return False


def _found(value: str, confidence: float, match: re.Match[str], reading: Reading) -> Found:
    return Found(value, confidence, reading.line_at(match.start()), match.start(), match.end(), match.group(0))

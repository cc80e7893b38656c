"""Dates in Portuguese and English, in digits, with month names, and spelled out; only days the calendar has."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from documents.facts.folding import fold
from documents.facts.found import Found
from documents.facts.numerals import NUMBER_WORDS, number_from_words
from documents.lines import Reading

_MONTHS_PT = "janeiro fevereiro marco abril maio junho julho agosto setembro outubro novembro dezembro".split()  # noqa: SIM905
_MONTHS_EN = "january february march april may june july august september october november december".split()  # noqa: SIM905
_SHORT_PT = "jan fev mar abr mai jun jul ago set out nov dez".split()  # noqa: SIM905
_SHORT_EN = "jan feb mar apr may jun jul aug sep oct nov dec".split()  # noqa: SIM905
_MONTH = {name: i for names in (_MONTHS_PT, _MONTHS_EN, _SHORT_PT, _SHORT_EN) for i, name in enumerate(names, 1)}
_MONTH["sept"] = 9
_LONG = "(?P<month>" + "|".join(sorted({*_MONTHS_PT, *_MONTHS_EN}, key=len, reverse=True)) + ")"
_ANY = "(?P<month>" + "|".join(sorted(_MONTH, key=len, reverse=True)) + ")"
_YEAR = r"(?P<year>(?:1[89]|20)\s?\d\s?\d|[12]\.\d{3})"
_DAY = r"(?P<day>[0-3]?[0-9oOlI]|[1lI])"

# Every pattern runs on folded text, where º is o: "1º" is "1o".
_PATTERNS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(r"(?<![\d./\-])(?P<year>(?:19|20)\d\d)-(?P<month>\d\d)-(?P<day>\d\d)(?![\d\-/]|\.\d)"), "iso"),
    (
        re.compile(
            r"(?:(?<![\w./\-,])|(?<=[a-z][a-z])(?=\d))(?P<day>[0-3oil]?[\doil])\s?(?P<sep>[/.\-])\s?(?P<month>[01oil]?[\doil])\s?(?P=sep)\s?"
            r"(?P<year>(?:1[89]|2[0o])[\doil]{2})(?![\d/]|[.\-,]\d)"
        ),
        "numeric",
    ),
    (
        re.compile(
            r"(?:(?<![\w./\-,])|(?<=[a-z][a-z])(?=\d))(?P<day>[0-3]\d)(?P<sep>[/.\-])(?P<month>[01]\d)(?P=sep)(?P<year>\d\d)"
            r"(?![\d/]|[.\-,]\d)"
        ),
        "two-digit",
    ),
    (
        re.compile(
            rf"(?:(?<![\w./])|(?<=[a-z][a-z])(?=\d))(?P<day>[0-3]?\d|[li]\d|\d[li])\s?(?:[oa.]{{1,2}}\s?)?(?:\([a-z\s]{{2,16}}\)\s*)?(?:dias?\s+)?"
            rf"(?:do\s+mes\s+)?(?:de|of|do)\s*{_LONG},?\s*(?:(?:do\s+ano\s+)?de|do|,)?\s*{_YEAR}(?!\d)"
        ),
        "named",
    ),
    (
        re.compile(
            rf"(?:(?<![\w./])|(?<=[a-z][a-z])(?=\d))(?P<day>[0-3]?\d)(?:st|nd|rd|th)?\s*(?:day\s+of\s+|of\s+)?{_ANY}[.,]?\s*{_YEAR}(?!\d)"
        ),
        "named",
    ),
    (
        re.compile(
            rf"(?:(?<![\w./])|(?<=[a-z][a-z])(?=\d))(?P<day>[0-3]?\d)\s?[/.\-]\s?{_ANY}\s?[/.\-]\s?(?P<year>(?:19|20)?\d\d)(?!\d)"
        ),
        "named",
    ),
    (re.compile(rf"(?<!\w){_ANY}\.?\s*(?P<day>[0-3]?\d)(?:st|nd|rd|th)?(?:\s*[,.]\s*|\s+){_YEAR}(?!\d)"), "named"),
    (
        re.compile(
            rf"(?<!\w)(?P<day>{NUMBER_WORDS})\s+(?:\([\d]{{1,2}}o?\)\s*)?(?:dias?\s+)?(?:do\s+mes\s+)?de\s*{_LONG},?\s*"
            rf"(?:do\s+ano\s+)?de\s+(?P<year>{NUMBER_WORDS}|(?:19|20)\d\d)(?!\w)"
        ),
        "words",
    ),
    (
        re.compile(
            rf"(?:(?<![\w./])|(?<=[a-z][a-z])(?=\d))(?P<day>[0-3]?\d)\s*(?:\([a-z\s]{{2,16}}\)\s*)?(?:dias?\s+)?(?:do\s+mes\s+)?de\s*{_LONG},?\s*"
            rf"(?:do\s+ano\s+)?de\s+(?P<year>{NUMBER_WORDS})(?!\w)"
        ),
        "words",
    ),
]
_LABEL = re.compile(r"data|date|dia|emiss|emitid|venc|nasc|valid|\bem\b|due|issued|\bde\b\s*$")
_REPAIR = str.maketrans("oil", "011")
_PIVOT_AHEAD = 10
"""A two-digit year up to this many years from now belongs to this century (a contract ends in the near future)."""


@dataclass(frozen=True)
class Dates:
    """Dates of one page in order of appearance; *ambiguous* when day and month of an English page may be swapped."""

    found: list[Found]
    ambiguous: bool


def find_dates(reading: Reading, *, english: bool = False, today: dt.date | None = None) -> Dates:
    """Every date of *reading* as YYYY-MM-DD, each value once. In Portuguese the day comes first, always."""
    now = today or dt.datetime.now(dt.UTC).date()
    text = fold(reading.text)
    candidates: list[tuple[int, int, re.Match[str], str]] = []
    for pattern, kind in _PATTERNS:
        for match in pattern.finditer(text):
            if not any(start < match.end() and match.start() < end for start, end, _, _ in candidates):
                candidates.append((match.start(), match.end(), match, kind))
    candidates.sort(key=lambda item: item[0])
    month_first = english and _month_first(candidates)
    dates: dict[str, Found] = {}
    ambiguous = False
    for start, end, match, kind in candidates:
        if kind == "two-digit" and match["sep"] == "." and not _LABEL.search(text[max(0, start - 25) : start]):
            # 84.71.30 is a goods code, 14.01.12 a service code: a dotted short date needs a word before it.
            continue
        value = _value(match, kind, now, month_first=month_first)
        if value is None:
            continue
        if english and kind in ("numeric", "two-digit") and not month_first and value.day <= 12:
            ambiguous = ambiguous or value.day != value.month
        confidence = {"two-digit": 0.85, "words": 0.9}.get(kind, 0.98)
        iso = value.isoformat()
        dates.setdefault(iso, Found(iso, confidence, reading.line_at(start), start, end, reading.text[start:end]))
    return Dates(list(dates.values()), ambiguous)


def _month_first(candidates: list[tuple[int, int, re.Match[str], str]]) -> bool:
    """True when a date of this page only makes sense with the month first, and none only with the day first."""
    firsts, seconds = [], []
    for _, _, match, kind in candidates:
        if kind in ("numeric", "two-digit") and match["day"].isdecimal() and match["month"].isdecimal():
            firsts.append(int(match["day"]))
            seconds.append(int(match["month"]))
    return any(12 < second <= 31 for second in seconds) and all(first <= 12 for first in firsts)


def _value(match: re.Match[str], kind: str, now: dt.date, *, month_first: bool) -> dt.date | None:
    if kind == "words":
        day = number_from_words(match["day"]) if not match["day"].isdecimal() else int(match["day"])
        year = int(match["year"]) if match["year"].isdecimal() else number_from_words(match["year"])
        month = _MONTH[match["month"]]
        return _calendar(year, month, day, now)
    day_text = match["day"].lower().translate(_REPAIR)
    year_text = re.sub(r"[\s.]", "", match["year"]).translate(_REPAIR)
    if not day_text.isdecimal() or not year_text.isdecimal():
        return None
    day, year = int(day_text), int(year_text)
    month_text = match["month"]
    if month_text in _MONTH:
        month = _MONTH[month_text]
    else:
        month_text = month_text.translate(_REPAIR)
        if not month_text.isdecimal():
            return None
        month = int(month_text)
        if month_first:
            day, month = month, day
    if year < 100:
        year += 2000 if year <= now.year % 100 + _PIVOT_AHEAD else 1900
    return _calendar(year, month, day, now)


def _calendar(year: int | None, month: int, day: int | None, now: dt.date) -> dt.date | None:
    if year is None or day is None or not 1850 <= year <= now.year + 60:
        return None
    try:
        return dt.date(year, month, day)
    except ValueError:
        return None

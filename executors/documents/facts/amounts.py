"""Amounts of money as decimal strings: never floats, and only where a currency or a money label says so."""

from __future__ import annotations

import re
from dataclasses import dataclass

from documents.facts.folding import fold
from documents.facts.found import Found
from documents.facts.labels import header_above, row_before
from documents.lines import Reading

# "RS", "R8" and "R5" are how engines misread R$.
_NUMBER = r"(?P<number>\d{1,3}(?:\s?[.,]\s?[\dOo]{3})*(?:\s?[.,]\s?[\dOo]{2})?|\d+(?:\s?[.,]\s?\d{2})?)(?![\d]|[.,]\d)"
_WITH_SYMBOL = re.compile(
    r"(?:(?<![A-Za-z])|(?<=[a-z])(?=R\$|US\$))(?P<symbol>US\s?[$S]|U\s?\$\s?S?|USD|R\s?\$\s?\$?|R[S85§](?=\s?\d{1,3}(?:[.,]\d{3})*[.,]\d{2}(?!\d))|BRL|EUR|GBP|CA\$|€|£|\$)"
    r"\s*[:=]?\s*(?P<sign>-\s?)?" + _NUMBER
)
_SYMBOL_AFTER = re.compile(
    r"(?<![\d.,/\-])" + _NUMBER + r"\s?(?P<symbol>USD|BRL|EUR|GBP|€|reais\b|dollars\b|dolares\b|euros\b)"
)
_BARE = re.compile(
    r"(?<![\w.,/\-$])(?P<number>\d{1,3}(?:\.\d{3})+,\d{2}|\d{1,6},\d{2}|\d{1,3}(?:,\d{3})+\.\d{2}|\d{1,6}\.\d{2})"
    r"(?!\s?%|[\w/]|[.,\-]\d|\s?(?:kg|km|m2|m²|mm|cm|ha|un|hs?\b))"
)
_MONEY_LABEL = re.compile(
    r"valor|total|r\$|preco|liquid|brut|desconto|salario|vencimentos|proventos|provento|saldo|multa|juros|amount|price|tarifa"
    r"|parcela|mensalidade|importancia|quantia|\bpago\b|troco|balance|paid|fee|tax\b|deducoes|honorarios|imposto"
)
_NOT_MONEY = re.compile(
    r"qtd|quant|qty|aliq|%|perc|peso|ncm|cfop|codigo|\bcod\b|hora|area|medida|indice|nota\b.*\bfinal|media|frequencia|volume|ref\b|referencia"
)
_SCALE = re.compile(r"\s*(?:mil\b|milh|bilh|mi\b|bi\b|million|billion|thousand|k\b)")
_CURRENCY = {"€": "EUR", "EUR": "EUR", "£": "GBP", "GBP": "GBP", "CA$": "CAD", "BRL": "BRL", "USD": "USD", "$": "USD"}


@dataclass(frozen=True)
class FoundAmount:
    """An amount with its ISO 4217 currency."""

    found: Found
    currency: str


def find_amounts(reading: Reading, *, english: bool = False) -> list[FoundAmount]:
    """Every amount of *reading*, in order, each pair of value and currency once."""
    text = reading.text
    folded = fold(text)
    spans: list[tuple[int, int]] = []
    amounts: list[FoundAmount] = []
    for pattern in (_WITH_SYMBOL, _SYMBOL_AFTER):
        for match in pattern.finditer(text):
            value = _decimal(match["number"])
            if value is None or _overlaps(spans, match.span()) or _SCALE.match(folded, match.end()):
                continue
            symbol = match["symbol"].replace(" ", "")
            # "- RS 90.010,00" would be the state, not the currency.
            if symbol == "RS" and re.search(r"[-/]\s*$", text[: match.start()]):
                continue
            spans.append(match.span())
            confidence = 0.98 if symbol in ("R$", "US$", "USD", "BRL", "EUR", "€", "$") else 0.85
            amounts.append(FoundAmount(_found(value, confidence, match, reading), _currency(symbol, english=english)))
    usual = amounts[0].currency if amounts else "USD" if english else "BRL"
    for match in _BARE.finditer(text):
        if _overlaps(spans, match.span()):
            continue
        index = reading.line_at(match.start())
        decimal_comma = "," in match["number"][-3:]
        if decimal_comma == english or not _is_money(reading, index, folded, match.start()):
            continue
        value = _decimal(match["number"])
        if value is not None:
            spans.append(match.span())
            amounts.append(FoundAmount(_found(value, 0.8, match, reading), usual))
    unique: dict[tuple[str, str], FoundAmount] = {}
    for amount in sorted(amounts, key=lambda item: item.found.start):
        unique.setdefault((amount.found.value, amount.currency), amount)
    return list(unique.values())


def _currency(symbol: str, *, english: bool) -> str:
    if symbol.startswith(("US", "U$")):
        return "USD"
    if symbol in _CURRENCY:
        return "BRL" if symbol == "$" and not english else _CURRENCY[symbol]
    return {"dollars": "USD", "dolares": "USD", "euros": "EUR"}.get(symbol, "BRL")


def _decimal(number: str) -> str | None:
    """
    *number* with a point before two decimals and no thousands marks.

    The last mark followed by two digits starts the cents whatever it is; engines swap comma and point.
    """
    plain = re.sub(r"\s", "", number).replace("O", "0").replace("o", "0")
    cents = re.search(r"[.,](\d{2})$", plain)
    whole = plain[: cents.start()] if cents else plain
    groups = re.split(r"[.,]", whole)
    if len(groups) > 1 and (any(len(group) != 3 for group in groups[1:]) or not 1 <= len(groups[0]) <= 3):
        return None
    digits = "".join(groups)
    if not digits.isdecimal() or len(digits) > 13:
        return None
    return f"{int(digits)}.{cents[1] if cents else '00'}"


def _is_money(reading: Reading, index: int, folded: str, start: int) -> bool:
    line_start = reading.offsets[index]
    before = folded[max(line_start, start - 40) : start]
    # The closest words decide: those before it in its line, then its row, then its column's head.
    if re.search(r"[a-z]{3}", before):
        return bool(_MONEY_LABEL.search(before)) and not _NOT_MONEY.search(before[-20:])
    head = header_above(reading, index)
    if _NOT_MONEY.search(head) and not re.search(r"valor|r\$|preco|total", head):
        return False
    return bool(_MONEY_LABEL.search(head)) or bool(_MONEY_LABEL.search(row_before(reading, index)[-40:]))


def _overlaps(spans: list[tuple[int, int]], span: tuple[int, int]) -> bool:
    return any(start < span[1] and span[0] < end for start, end in spans)


def _found(value: str, confidence: float, match: re.Match[str], reading: Reading) -> Found:
    start = match.start()
    return Found(value, confidence, reading.line_at(match.start("number")), start, match.end(), match.group(0).strip())

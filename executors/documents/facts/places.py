"""Where and when a document was made: its place-date line, else its issue date."""

from __future__ import annotations

import re
from dataclasses import dataclass

from documents.facts.folding import fold
from documents.facts.found import Found
from documents.facts.labels import header_above, row_before
from documents.lines import Reading

_UF = "AC|AL|AP|AM|BA|CE|DF|ES|GO|MA|MT|MS|MG|PA|PB|PR|PE|PI|RJ|RN|RS|RO|RR|SC|SP|SE|TO"
_PLACE_WORD = r"[A-ZÀ-Ý][A-Za-zÀ-ÿ'’\-]*"
_PLACE = re.compile(
    rf"(?P<place>{_PLACE_WORD}(?:\s+(?:d[aeo]s?\s+|D[AEO]S?\s+)?{_PLACE_WORD}){{0,5}})\s*(?:(?:[-–/,]\s*(?P<uf>{_UF})\b|\(\s*(?P<uf2>[A-Z]{{2}})\s*\)))?\s*[,.:;\-–]?\s*(?:[Ee]m|[Aa]os?|EM|AOS)?\s*$"
)
_ISSUE = re.compile(
    r"emiss|emitid|expedic|expedid|data d[oae] (?:documento|nota|recibo|contrato|pedido|fatura|proposta|laudo|exame|reuniao|assinatura|cadastro|declaracao)"  # noqa: E501
    r"|(?:invoice|issue|order|receipt) date|date of issue|issued|dated|^date\b|^data\b|\bdata ?:|\bdate ?:|assinad[oa] em|signed|entered into as of|effective as of|dou fe|preenchid"  # noqa: E501
)
_NOT_MADE = re.compile(
    r"nasc|valid|venc|due\b|protocol|vigor|vigenc|\bate\b|until|admiss|inicio|termino|fim\b|expir|entrega|deliver|born|birth|prazo|competencia|periodo|"
    r"\blei\b|decreto|portaria n|conforme|datad[oa] de|referente|a partir|desde|pagamento|payment|"
    r"sessao|registro|commenc|terminat|saida"
)
_PAID = re.compile(r"data d[eo] pagamento|payment date|paid on")
_NUMBERED_ACT = re.compile(
    r"(?:portaria|decreto|lei|resolucao|instrucao|edital|ato|deliberacao)\b.{0,40}\d.{0,12}\bde\s*$"
)
_IN_PLACE = re.compile(r"\b(?:em|n?a cidade de|comarca de|n?o municipio de|in|at)\s+$")
_NO_PLACE = frozenset(
    ["em", "aos", "ao", "date", "dia", "until", "on", "by", "due", "desde", "ate", "de", "from", "data", "periodo"]
)
_SEAT = re.compile(
    r"(?:prefeitura(?: municipal| do municipio)?|camara municipal|municipio|prefeitura da cidade|governo municipal) d[eoa] (?P<place>.{3,40}?)(?:\s*[-–/,]\s*(?P<uf>[a-z]{2}))?$"  # noqa: E501
)


@dataclass(frozen=True)
class Production:
    """Date and place at which the document was made; either may be unknown."""

    date: Found | None
    place: str | None
    place_line: int | None
    confidence: float


def find_production(reading: Reading, dates: list[Found], author: str | None = None) -> Production:
    """
    The date the page was made on, never a birth, due, validity or protocol date.

    A place in front of a date marks the place-date line; then a label of issue; then the only date left.
    """
    best: tuple[float, Found, str | None] | None = None
    for date in dates:
        score, place = _score(reading, date)
        # Of two equal ones the lower is nearer to the signature.
        if score > 0 and (best is None or score >= best[0]):
            best = (score, date, place)
    if best is None:
        place, line = seat(reading, author)
        return Production(None, place, line, 0.5 if place else 0.0)
    score, date, place = best
    place_line: int | None = date.line if place else None
    if place is None:
        place, place_line = seat(reading, author)
    return Production(date, place, place_line, min(0.95, 0.4 + 0.13 * score))


def _score(reading: Reading, date: Found) -> tuple[float, str | None]:
    line_start = reading.offsets[date.line]
    before = reading.text[line_start : date.start]
    after = reading.text[date.end : date.end + 3]
    folded = fold(before)
    # A sentence may begin on the line above; only there the words just before it count as well.
    context = fold(reading.text[max(0, date.start - 60) : date.start])
    if _NUMBERED_ACT.match(folded) and reading.lines[date.line].middle < 0.4 * reading.height:
        # "PORTARIA Nº 12, DE 3 DE MAIO DE 2019": acts carry their date in the title.
        return 3.2, None
    place = _place_before(reading, date)
    if place is not None:
        return 4.0, place
    heads = f"{folded} {row_before(reading, date.line)[-40:]}" if folded.strip(" :.-") == "" else folded
    if folded.strip(" :.-") == "":
        heads += " " + header_above(reading, date.line)
    if _PAID.search(heads[-30:]):
        # A payslip often bears no other date; any better one wins.
        return 0.5, None
    if _NOT_MADE.search(heads[-45:]) and not re.search(r"emiss|emitid|expedi", heads[-25:]):
        return 0.0, None
    if _ISSUE.search(heads[-45:]):
        return 3.5, None
    if not folded.strip() and not after.strip(" .\n"):
        return 2.0, None
    if _NOT_MADE.search(context[-30:]):
        return 0.0, None
    spelled = bool(re.search(r"[a-z]{4}", fold(date.text)))
    low = reading.lines[date.line].middle > 0.5 * reading.height
    return 1.0 + 0.8 * spelled + 0.4 * low, None


def _place_before(reading: Reading, date: Found) -> str | None:
    """The place of "Place - UF, date": at the start of a line or a sentence, or after "em"."""
    line_start = reading.offsets[date.line]
    here = re.sub(r"\s+", " ", reading.text[line_start : date.start])
    if not here.strip() and date.line and re.search(r"(?:,|\baos?|\bem)\s*$", fold(reading.lines[date.line - 1].text)):
        # "… em Vila do Manguezal, aos / 6 (seis) dias …": the line above ends where the date begins.
        line_start = reading.offsets[date.line - 1]
        here = re.sub(r"\s+", " ", reading.text[line_start : date.start])
    found = _PLACE.search(here)
    if found is None or len(here) > 100 or _NOT_MADE.search(fold(here[found.start() :])):
        return None
    lead = fold(here[: found.start()])
    if found.start() == 0 and date.line:
        # "… assinam em Campo das / Carnaúbas, aos 7 …": the place began on the line above.
        whole = re.sub(r"\s+", " ", reading.text[max(0, line_start - 60) : date.start])
        longer = _PLACE.search(whole)
        if longer and _IN_PLACE.search(fold(whole[: longer.start()])):
            found, lead = longer, "em "
    name = fold(found["place"])
    if (
        _ISSUE.search(name)
        or name in _NO_PLACE
        or not (len(lead) <= 12 or _IN_PLACE.search(lead) or re.search(r"[.;:]\s*$", lead))
    ):
        return None
    if _NOT_MADE.search(lead[-30:]) and not _IN_PLACE.search(lead):
        return None
    # In brackets any two letters are a state, but only one that exists is worth repeating.
    state = found["uf"] or (found["uf2"] if found["uf2"] in _UF.split("|") else None)
    place = found["place"]
    if state is None and (glued := re.fullmatch(rf"(.+)-({_UF})", place)):
        # "Macapá-AP": a hyphen belongs to names of places too, so it was read as one.
        place, state = glued[1], glued[2]
    return place + (f" - {state}" if state else "")


def seat(reading: Reading, author: str | None) -> tuple[str | None, int | None]:
    """The town that a letterhead names ("Prefeitura Municipal de …"), and its line."""
    for index, line in enumerate(reading.lines):
        match = _SEAT.search(fold(line.text).rstrip(" ."))
        if match and len(line.text) < 90:
            return as_place(line.text[match.start("place") : match.end("place")]), index
    if author and (match := _SEAT.search(fold(author))):
        return as_place(author[match.start("place") : match.end("place")]), None
    return None, None


def as_place(text: str) -> str:
    """A place printed in capitals, in ordinary case."""
    if text.upper() != text:
        return text
    return " ".join(
        word.lower() if fold(word) in ("de", "da", "do", "das", "dos", "e") else word[:1] + word[1:].lower()
        for word in text.split()
    )

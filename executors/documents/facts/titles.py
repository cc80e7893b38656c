"""The title of a document: what it calls itself, or a name made from kind, number and date."""

from __future__ import annotations

import re
from dataclasses import dataclass

from documents.facts.folding import fold
from documents.facts.kinds import BY_SLUG, KINDS, prominence
from documents.lines import Line, Reading, same_row

LETTERHEAD = re.compile(
    r"^(?:prefeitura|governo|estado d|municipio|secretaria|ministerio|republica|poder |camara|tribunal|universidade|instituto|"  # noqa: E501
    r"fundacao|departamento|serventia|cartorio|escola|colegio|hospital|conselho|diretoria|gabinete|superintendencia|autarquia|"
    r"coordenadoria|divisao|\d+ ?o? (?:tabelionato|oficio|cartorio|vara))"
)
_CONTACT = re.compile(
    r"cnpj|cpf|telefone|\btel\b|fone|e-?mail|www\.|https?:|@|\bcep\b|^rua |^av|^praca|\d{2}/\d{2}/\d{4}"
)
# The official marks NF-e, NFS-e and NFC-e in the shapes engines misread them; no word looks like these.
_FISCAL_MARK = re.compile(r"(?<!\w)N[FEP]([SC5]?)-[ecoEO](?!\w)")
_LABEL_END = re.compile(r":\s*$")


@dataclass(frozen=True)
class Title:
    """The title, how sure, and the first line that shows it (none for a title made up from the rest)."""

    text: str
    confidence: float
    line: int | None


def find_title(reading: Reading, slug: str | None, *, attributed: str) -> Title:
    """The most title-like line for a document of kind *slug*; *attributed* when the page names itself nowhere."""
    candidates: list[tuple[float, int]] = []
    for index, line in enumerate(reading.lines):
        score = _score(line, reading, slug)
        if score > 0:
            candidates.append((score, index))
    if not candidates:
        return Title(attributed, 0.4, None)
    score, index = max(candidates, key=lambda item: (item[0], -item[1]))
    text = _with_continuation(reading, index)
    if slug == "nota_fiscal":
        text = _FISCAL_MARK.sub(lambda mark: f"NF{mark[1].upper().replace('5', 'S')}-e", text)
    return Title(text, round(min(0.97, 0.4 + 0.35 * score), 2), index)


def _score(line: Line, reading: Reading, slug: str | None) -> float:
    text = fold(line.text)
    letters = sum(character.isalpha() for character in text)
    if letters < 3 or len(text) > 130 or line.top > 0.75 * reading.height:
        return 0.0
    weight = prominence(line, reading)
    own = BY_SLUG[slug].heading.match(text) if slug else None
    other = None if own else next((kind for kind in KINDS if kind.heading.match(text)), None)
    if own is None and slug and (inside := BY_SLUG[slug].heading.search(text[:70])):
        lead = text[: inside.start()].strip()
        own = inside if re.search(r"[-–:|/]$", lead) or (weight > 0.62 and not LETTERHEAD.match(text)) else None
    if own is None and (LETTERHEAD.match(text) or _CONTACT.search(text)):
        return 0.0
    if _LABEL_END.search(text) and own is None:
        return 0.0
    score = weight
    if own is not None:
        score += 1.0
        # "Invoice date: …", "Contrato: 12/2020" in a form are labels and not the title.
        if re.match(r"\s*(?:date|number|data|valor)?\s*:", text[own.end() :]):
            score -= 0.6
    elif other is not None:
        score += 0.15
    else:
        # A line that names no kind is a title only when it stands out.
        score = weight if weight > 0.68 and len(text) > 5 and not re.search(r"\d{4,}", text) else 0.0
        if score and re.search(r"\b(?:ltda|s\.?/?a\.?|eireli|me|epp|ltd|inc|llc|corp)\b\.?$", text):
            score = 0.0
    # Prose begins like a title too: "Contrato que entre si celebram …" goes on to the margin.
    if text.rstrip().endswith((".", ",", ";")) and len(text) > 60 and line.text.upper() != line.text:
        score -= 0.5
    return score


def _with_continuation(reading: Reading, index: int) -> str:
    """The title's line joined with its number to the right and with the lines it runs on to."""
    first = reading.lines[index]
    text = first.text
    last = first
    for other in reading.lines[index + 1 :]:
        if same_row(first, other):
            if (
                re.match(r"(?:no?\b|no?[.:]|#|num)", fold(other.text))
                and len(other.text) < 30
                and not re.search(r"\d\s*$", text)
            ):
                text = f"{text} {other.text}"
            continue
        gap = other.top - last.bottom
        if gap > 1.1 * max(last.height, other.height) or not -0.5 * first.height < gap:
            break
        if not _continues(last, other, reading):
            break
        text, last = f"{text} {other.text}", other
    return _tidy(text)


def _continues(line: Line, other: Line, reading: Reading) -> bool:
    # Accents and cedillas alone change a line's height by half.
    alike = 0.6 < other.height / line.height < 1.65
    capitals = line.text.upper() == line.text
    same_case = capitals == (other.text.upper() == other.text)
    centred = abs(other.centre - line.centre) < 0.03 * reading.width
    aligned = abs(other.left - line.left) < 0.8 * line.height
    text = fold(other.text)
    if _LABEL_END.search(text) or LETTERHEAD.match(text) or _CONTACT.search(text) or ":" in text:
        return False
    if any(kind.heading.match(text) for kind in KINDS) and not re.search(
        r"\b(?:d[eao]s?|e|of|and|para|-)\s*$", fold(line.text)
    ):
        return False
    runs_on = bool(
        re.search(r"(?:\b(?:d[eao]s?|e|em|com|para|of|and|for|the|n[ao]s?|entre|por)|[-–,])\s*$", fold(line.text))
    )
    runs_on = runs_on or bool(re.match(r"(?:d[eao]s?|e|ao?s?|para|of|and|for)\s", text))
    number = bool(re.match(r"(?:no?[.\s]*\d|\d+/\d{4})", text)) and len(text) < 30
    wide = line.right - line.left > 0.5 * reading.width
    return (
        alike
        and same_case
        and (centred or (aligned and wide))
        and (runs_on or number or (capitals and wide and len(text) > 6))
    )


def _tidy(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip(" |_.:;—–-*•")

"""What a document is about: its subject line, the phrase that states its object, or words of its kind."""

from __future__ import annotations

import re
from dataclasses import dataclass

from documents.facts.folding import fold
from documents.facts.kinds import BY_SLUG
from documents.facts.labels import labelled_values
from documents.lines import Reading

_LINE = r"assunto|ref(?:erencia|\.)?|objeto|subject|re|ementa|finalidade|motivo"
_CELL = (
    r"discriminacao d[oe]s? servicos?|descricao d[oe]s? servicos?|descricao d[oe]s? produtos?|description(?: of (?:services|goods))?|"  # noqa: E501
    r"historico|descricao|servicos? prestados?|referente a|item description"
)
_PHRASES = (
    r"(?:deliberar(?:em)? sobre|para tratar d[aeo]s?|para discutir)\s+(?:a |o |as |os )?(?P<subject>[^.;,]{6,120})",
    r"(?:referentes? (?:a|ao|aos|as)|relativ[oa]s? (?:a|ao|aos|as)|proveniente d[eoa]|correspondentes? (?:a|ao))\s+(?P<subject>[^.;,\n]{6,120})",  # noqa: E501
    r"tem (?:por|como) objeto (?:a |o |as |os )?(?P<subject>[^.;,]{6,140})",
    r"(?:do objeto|objeto)\W{1,6}(?:o presente \w+ )?(?:a |o )?(?P<subject>[^.;,]{8,140})",
    r"services rendered:?\s*(?P<subject>[^.;,]{4,100})",
    r"(?:in payment (?:for|of)|as payment for|payment for|for the provision of|shall provide|regarding)\s+(?P<subject>[^.;,]{4,100})",  # noqa: E501
)
_HEAD = re.compile(r"\b(?:qty|quantity|unit price|qtd|quant|valor unit|valor total|aliquota|proventos|descontos)\b")
_KIND_PHRASES = {
    "requerimento": (
        r"requer(?:er|emos)?,?(?: a vossa (?:senhoria|excelencia),?)?\s+(?:a |o |as |os |se digne )?(?P<subject>[^.;,]{6,90}?)(?: pag[oa]s? | em duplicidade| no valor|[.;,])",  # noqa: E501
    ),
}
_BY_KIND = ("holerite", "boleto", "guia_de_recolhimento")
"""Forms whose only phrases are the names of their columns."""
_TITLE_FIRST = (
    "certidao",
    "declaracao",
    "atestado",
    "ficha_cadastral",
    "laudo",
    "alvara",
    "certificado",
    "comprovante",
)
"""Kinds whose title says what is certified; their sentences speak of other things as well."""
_LEAD = re.compile(
    r"^(?:a |o |as |os )?(?:prestacao d[eo]s? )?servicos? d[eoa]s? |^(?:a |o |as |os )|^the ", re.IGNORECASE
)


@dataclass(frozen=True)
class Subject:
    """Key words or a phrase, how sure, and the line that shows it (none when it follows from the kind alone)."""

    words: list[str]
    confidence: float
    line: int | None


def find_subject(reading: Reading, slug: str | None, title: str) -> Subject | None:
    """The subject as the page states it, else what its title or its kind says; nothing for an unknown kind."""
    if slug in _BY_KIND:
        return Subject(list(BY_SLUG[slug].words), 0.7, None)
    for labels, confidence in ((_LINE, 0.92), (_CELL, 0.8)):
        for item in labelled_values(reading, labels, _phrase):
            if labels == _LINE and item.label in ("re", "ref", "for") and item.line != item.label_line:
                continue
            return Subject([_short(item.value)], confidence, item.line)
    rest = _after_kind(title, slug)
    if rest and slug in _TITLE_FIRST:
        return Subject([rest, *BY_SLUG[slug].words], 0.75, None)
    text = re.sub(r"\s", " ", reading.text)
    folded = fold(text)
    for pattern in (*_PHRASES, *_KIND_PHRASES.get(slug or "", ())):
        match = re.search(pattern, folded)
        if match:
            words = _short(text[match.start("subject") : match.end("subject")])
            if len(words) > 3:
                return Subject([words], 0.78, reading.line_at(match.start("subject")))
    if rest and slug:
        return Subject([rest, *BY_SLUG[slug].words], 0.65, None)
    return Subject(list(BY_SLUG[slug].words), 0.5, None) if slug else None


def _phrase(text: str) -> str | None:
    text = text.strip(" :.-–—|")
    letters = sum(character.isalpha() for character in text)
    return (
        text
        if letters >= 5 and letters > 0.5 * len(text) and len(text) < 200 and not _HEAD.search(fold(text))
        else None
    )


def _short(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip(" .,:;-–—")
    while (cut := _LEAD.match(fold(text))) and cut.end() < len(text) - 3:
        text = text[cut.end() :]
    return text[:160].strip()


def _after_kind(title: str, slug: str | None) -> str | None:
    if slug is None:
        return None
    folded = fold(title)
    match = BY_SLUG[slug].heading.match(folded)
    if match is None:
        return None
    rest = re.sub(r"\b[Nn][ºo°.]*\s*\d.*$", "", title[match.end() :])
    rest = re.sub(r"^\s*(?:negativa|positiva|de|da|do|das|dos|of)\b\s*", "", rest, flags=re.IGNORECASE)
    rest = re.sub(r"^\s*(?:de|da|do|das|dos|of|-|–)\s+", "", rest, flags=re.IGNORECASE).strip(" -–:.")
    if fold(rest).startswith(("ao ", "a ")):
        return None
    return rest.lower() if len(rest) > 4 and not any(character.isdigit() for character in rest) else None

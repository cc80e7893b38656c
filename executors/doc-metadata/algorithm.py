"""
From a scanned document to the metadata that Decreto 10.278/2020 asks for.

Reads every page, finds what the pages state, adds what the submission and the system know, and says
where a person has to look. Values come with their source, their confidence and the words that show them.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path

from compliance import assess, excluded_kind
from documents.checking import checked
from documents.engines.engine import Engine, Engines
from documents.facts.amounts import FoundAmount, find_amounts
from documents.facts.authors import Author, find_author
from documents.facts.dates import Dates, find_dates
from documents.facts.folding import fold
from documents.facts.found import Found
from documents.facts.identifiers import Identifiers, find_identifiers
from documents.facts.kinds import KindGuess, guess_kind, names_a_kind
from documents.facts.people import find_people
from documents.facts.places import Production, find_production
from documents.facts.subjects import Subject, find_subject
from documents.facts.titles import Title, find_title
from documents.lines import Reading
from documents.pages import SourcePage
from documents.reading import UNCOVERED_LIMIT, PageReading, strip_of
from documents.request import PageRequest, read_document
from documents.spelling import mended
from elements import (
    Amount,
    Compliance,
    Date,
    Evidence,
    Fields,
    Hash,
    HashElement,
    Metadata,
    Number,
    PageFacts,
    Person,
    Submission,
    Text,
    TimeAndPlace,
    TimeAndPlaceElement,
    Words,
)
from pydantic import BaseModel, Field

from jangada.algorithms.authoring import Context

REVIEW_BELOW = 0.6
"""An inferred element less sure than this asks for a person."""
_EXPECTED = {
    "nota_fiscal": ("identifier", "date", "amount"),
    "recibo": ("amount", "date"),
    "contrato": ("date",),
    "invoice": ("date", "amount"),
    "certidao": ("date",),
    "oficio": ("date",),
    "boleto": ("date", "amount"),
    "fatura": ("date", "amount"),
    "holerite": ("amount",),
}
"""What a kind cannot do without; its absence means that something was not read."""
_BROKEN_YEAR = re.compile(r"(?:\bde\s?|[/.-])(?:1[89]|20)\d{3}\b")
"""A year of five digits: the engine saw one digit as two."""
_NUMBER = re.compile(r"\d{2}")
_PUBLIC = re.compile(
    r"prefeitura|municipio|municipal|governo|secretaria d|ministerio|estado d|camara|tribunal|autarquia|federal|estadual|publica"  # noqa: E501
)
_ENGLISH = re.compile(r"\b(?:the|of|and|for|to|this|is|date|due|by|we|you|please|with|total)\b")
_PORTUGUESE = re.compile(r"\b(?:de|da|do|que|para|em|os|com|por|uma?|ao|na|no|nome|valor|data)\b")


class In(PageRequest):
    """A scanned document, and what its sender knows about it."""

    submission: Submission = Field(default_factory=Submission, description="What a page cannot tell.")
    include_text: bool = Field(default=False, description="Return the text of every page as well.")


class Out(BaseModel):
    """Metadata of a document, with the grounds for it."""

    metadata: Metadata
    fields: Fields
    compliance: Compliance
    needs_review: bool = Field(description="True when a person should look before this is relied on.")
    review_reasons: list[str]
    pages: list[PageFacts]
    pages_total: int = Field(description="Pages the file has; more than in `pages` when `max_pages` cut it short.")
    kind_scores: dict[str, float] = Field(description="The kinds that came closest, with their scores.")
    language: str = Field(description="pt or en: the language most words are from.")
    engine: str = Field(description="Recognition engine asked first.")
    dpi: int | None = Field(description="Resolution of the first page.")
    orientation: int = Field(description="Degrees clockwise by which the first page had to be turned.")
    skew_deg: float = Field(description="Angle of the first page's lines after that.")
    timings_ms: dict[str, float]


@dataclass(frozen=True)
class _PageFindings:
    """What one page states."""

    result: PageReading
    identifiers: Identifiers
    dates: Dates
    amounts: list[FoundAmount]
    people: list[Found]
    disputed_lines: list[int]
    """Lines with a date or an amount that two readings see differently."""

    def evidence(self, line: int, text: str | None = None) -> Evidence:
        shown = self.result.reading.lines[line]
        return Evidence(page=self.result.number, line=line, box=self.result.box(shown), text=text or shown.text)


class DocMetadata:
    """See the module."""

    def setup(self) -> None:
        """Load the engine that `auto` means and the one that checks it, so that no job pays for them."""
        self._engines = Engines()
        self._engines.other(self._engines.choose())

    def run(self, input: In, context: Context) -> Out:
        """Read the wanted pages and state what they say. Raises `InvalidInput` for a file without a readable page."""
        started = time.perf_counter()
        engine = self._engines.choose(input.engine)
        other = self._engines.other(engine) if input.engine == "auto" else None
        sources: list[SourcePage] = []
        findings: list[_PageFindings] = []
        total = 0
        rules_s = 0.0
        for document, source, result in read_document(input, self._engines, context):
            total = document.page_count
            # Pixels of pages that are done would add up to gigabytes; the facts about the file stay.
            sources.append(SourcePage(source.number, source.image[:0], source.dpi, source.master))
            rules_started = time.perf_counter()
            findings.append(_find(result, engine, other))
            rules_s += time.perf_counter() - rules_started
        assembled = time.perf_counter()
        out = _assemble(input, context, sources, findings, total, engine)
        finished = time.perf_counter()
        out.timings_ms = {
            "read": round(1000 * (assembled - started - rules_s), 1),
            "rules": round(1000 * (finished - assembled + rules_s), 1),
            "total": round(1000 * (finished - started), 1),
        }
        return out


def _find(result: PageReading, engine: Engine, other: Engine | None) -> _PageFindings:
    reading = result.reading
    english = _is_english(reading.text)
    identifiers = find_identifiers(reading)
    if identifiers.doubtful_lines:
        reading = _second_look(result, identifiers.doubtful_lines, other or engine)
    uncheckable = {date.line for date in find_dates(reading, english=english).found}
    uncheckable |= {amount.found.line for amount in find_amounts(reading, english=english)}
    uncheckable |= {reading.line_at(match.start()) for match in _BROKEN_YEAR.finditer(reading.text)}
    # A number in a title ("OFÍCIO Nº 568/2020") names the document, and has no check digit either.
    uncheckable |= {
        index for index, line in enumerate(reading.lines) if _NUMBER.search(line.text) and names_a_kind(line)
    }
    result = replace(result, reading=reading)
    reading, disputed = checked(result, sorted(uncheckable), engine, other)
    return _PageFindings(
        replace(result, reading=reading),
        find_identifiers(reading),
        find_dates(reading, english=english),
        find_amounts(reading, english=english),
        find_people(reading),
        disputed,
    )


def _second_look(result: PageReading, doubtful: list[int], engine: Engine) -> Reading:
    """The reading with doubtful lines read again, alone, where that makes a number's digits agree."""
    lines = list(result.reading.lines)
    changed = False
    for index in doubtful[:8]:
        text, confidence = engine.read_strip(strip_of(result, lines[index]))
        again = replace(lines[index], text=mended(text), confidence=confidence)
        alone = find_identifiers(Reading([again], result.reading.width, result.reading.height))
        if not alone.doubtful_lines and (alone.cpf or alone.cnpj):
            lines[index] = again
            changed = True
    return Reading(lines, result.reading.width, result.reading.height) if changed else result.reading


def _is_english(text: str) -> bool:
    folded = fold(text)
    return len(_ENGLISH.findall(folded)) > len(_PORTUGUESE.findall(folded))


def _assemble(
    input: In, context: Context, sources: list[SourcePage], findings: list[_PageFindings], total: int, engine: Engine
) -> Out:
    text = "\n".join(item.result.reading.text for item in findings)
    first = next((item for item in findings if not item.result.is_blank), findings[0])
    reading = first.result.reading
    kind, shown_on = _kind(findings)
    production, production_page = _production(findings, shown_on)
    author = find_author(shown_on.result.reading, kind.slug)
    title = find_title(
        shown_on.result.reading, kind.slug, attributed=_attributed_title(kind.slug, production.date, reading)
    )
    subject = find_subject(shown_on.result.reading, kind.slug, title.text)
    fields = _fields(findings)
    metadata = _metadata(
        input,
        context,
        kind=kind,
        shown_on=shown_on,
        author=author,
        title=title,
        subject=subject,
        production=production,
        production_page=production_page,
        blank=not text.strip(),
    )
    masters = [source.master for source in sources]
    public = input.submission.public_body
    if public is None:
        public = bool(author and _PUBLIC.search(fold(author.name)))
    missing = _missing(metadata, public=public)
    compliance = assess(
        masters, input.dpi, metadata.genero.value, excluded=excluded_kind(kind.slug, text, masters), missing=missing
    )
    reasons = _reasons(findings, metadata, fields, compliance, kind, total)
    return Out(
        metadata=metadata,
        fields=fields,
        compliance=compliance,
        needs_review=bool(reasons),
        review_reasons=reasons,
        pages=[
            _page_facts(item, source, include_text=input.include_text)
            for item, source in zip(findings, sources, strict=True)
        ],
        pages_total=total,
        kind_scores=kind.scores,
        language="en" if _is_english(text) else "pt",
        engine=engine.name,
        dpi=input.dpi or masters[0].dpi,
        orientation=findings[0].result.page.orientation,
        skew_deg=round(findings[0].result.page.skew_deg, 2),
        timings_ms={},
    )


def _kind(findings: list[_PageFindings]) -> tuple[KindGuess, _PageFindings]:
    """The first page that shows a kind decides: what follows are its annexes."""
    guesses = [(guess_kind(item.result.reading), item) for item in findings if not item.result.is_blank]
    for guess, item in guesses:
        if guess.slug is not None:
            return guess, item
    return guesses[0] if guesses else (KindGuess(None, 0.0, None, {}), findings[0])


def _production(findings: list[_PageFindings], shown_on: _PageFindings) -> tuple[Production, _PageFindings]:
    """From the page of the title, else from the last page on, where documents are signed."""
    order = [shown_on] + [item for item in reversed(findings) if item is not shown_on]
    best: tuple[Production, _PageFindings] | None = None
    for item in order:
        if item.result.is_blank:
            continue
        production = find_production(item.result.reading, item.dates.found)
        if best is None or production.confidence > best[0].confidence + 0.1:
            best = (production, item)
    return best or (Production(None, None, None, 0.0), shown_on)


def _attributed_title(slug: str | None, date: Found | None, reading: Reading) -> str:
    kind = (slug or "documento").replace("_", " ").capitalize()
    number = re.search(r"\bn[o.]{1,2}\s*(\d[\d./-]{0,14}\d)", fold(reading.text))
    return kind + (f" nº {number[1]}" if number else "") + (f" de {date.value}" if date else "")


def _fields(findings: list[_PageFindings]) -> Fields:
    fields = Fields()
    seen: set[tuple[str, str]] = set()

    def is_new(group: str, value: str) -> bool:
        fresh = (group, value) not in seen
        seen.add((group, value))
        return fresh

    for item in findings:
        for group, numbers in (("cpf", item.identifiers.cpf), ("cnpj", item.identifiers.cnpj)):
            for number in numbers:
                if is_new(group, number.value):
                    getattr(fields, group).append(
                        Number(
                            value=number.value,
                            confidence=number.confidence,
                            evidence=item.evidence(number.line, number.text),
                        )
                    )
        for date in item.dates.found:
            if is_new("date", date.value):
                fields.dates.append(
                    Date(value=date.value, confidence=date.confidence, evidence=item.evidence(date.line, date.text))
                )
        for amount in item.amounts:
            if is_new("amount", amount.found.value + amount.currency):
                fields.amounts.append(
                    Amount(
                        value=amount.found.value,
                        currency=amount.currency,
                        confidence=amount.found.confidence,
                        evidence=item.evidence(amount.found.line, amount.found.text),
                    )
                )
        for person in item.people:
            if is_new("person", fold(person.value)):
                fields.people.append(
                    Person(
                        value=person.value,
                        confidence=person.confidence,
                        evidence=item.evidence(person.line, person.text),
                    )
                )
    return fields


def _metadata(
    input: In,
    context: Context,
    *,
    kind: KindGuess,
    shown_on: _PageFindings,
    author: Author | None,
    title: Title,
    subject: Subject | None,
    production: Production,
    production_page: _PageFindings,
    blank: bool,
) -> Metadata:
    sent = input.submission

    def submitted(value: str | None) -> Text:
        return Text(value=value, source="submitted", confidence=1.0 if value else 0.0)

    produced_line = production.date.line if production.date else production.place_line
    return Metadata(
        assunto=Words(
            value=subject.words if subject else [],
            source="inferred",
            confidence=subject.confidence if subject else 0.0,
            evidence=shown_on.evidence(subject.line) if subject and subject.line is not None else None,
        ),
        autor=Text(
            value=author.name if author else None,
            source="inferred",
            confidence=author.confidence if author else 0.0,
            evidence=shown_on.evidence(author.line) if author else None,
        ),
        data_local_digitalizacao=TimeAndPlaceElement(
            value=TimeAndPlace(time=sent.scanned_at or _now(), place=sent.place),
            source="submitted" if sent.scanned_at or sent.place else "system",
            confidence=1.0,
        ),
        identificador=Text(
            value=sent.identifier or context.job_id, source="submitted" if sent.identifier else "system", confidence=1.0
        ),
        responsavel=submitted(sent.responsible),
        titulo=Text(
            value=None if blank else title.text,
            source="inferred",
            confidence=0.0 if blank else title.confidence,
            evidence=shown_on.evidence(title.line) if title.line is not None else None,
        ),
        tipo_documental=Text(
            value=kind.slug,
            source="inferred",
            confidence=kind.confidence,
            evidence=shown_on.evidence(kind.line) if kind.line is not None else None,
        ),
        hash=HashElement(value=Hash(value=_sha256(input.page.path)), source="system", confidence=1.0),
        classe=submitted(sent.classification),
        data_producao=TimeAndPlaceElement(
            value=TimeAndPlace(time=production.date.value if production.date else None, place=production.place),
            source="inferred",
            confidence=round(production.confidence, 2),
            evidence=production_page.evidence(produced_line) if produced_line is not None else None,
        ),
        destinacao=submitted(sent.destination),
        genero=Text(value=None if blank else "textual", source="inferred", confidence=0.0 if blank else 0.9),
        prazo_guarda=submitted(sent.retention),
    )


def _missing(metadata: Metadata, *, public: bool) -> list[str]:
    due = [
        "assunto",
        "autor",
        "data_local_digitalizacao",
        "identificador",
        "responsavel",
        "titulo",
        "tipo_documental",
        "hash",
    ]
    if public:
        due += ["classe", "data_producao", "destinacao", "genero", "prazo_guarda"]
    missing = []
    for name in due:
        value = getattr(metadata, name).value
        if not value or (isinstance(value, TimeAndPlace) and not (value.time and value.place)):
            missing.append(name)
    return missing


def _reasons(
    findings: list[_PageFindings],
    metadata: Metadata,
    fields: Fields,
    compliance: Compliance,
    kind: KindGuess,
    total: int,
) -> list[str]:
    reasons = [f"pages_not_read: {total - len(findings)}"] if total > len(findings) else []
    for item in findings:
        reasons += _page_reasons(item)
    if kind.slug is None:
        reasons.append("tipo_documental_unknown")
    for name in ("assunto", "autor", "titulo", "tipo_documental"):
        element = getattr(metadata, name)
        if element.value and element.confidence < REVIEW_BELOW:
            reasons.append(f"{name}_unsure")
        elif not element.value and name != "tipo_documental":
            reasons.append(f"{name}_unknown")
    have = {"identifier": bool(fields.cpf or fields.cnpj), "date": bool(fields.dates), "amount": bool(fields.amounts)}
    reasons += [f"expected_{what}_not_found" for what in _EXPECTED.get(kind.slug or "", ()) if not have[what]]
    if compliance.excluded_kind:
        reasons.append(f"excluded: {compliance.excluded_kind}")
    return reasons


def _page_reasons(item: _PageFindings) -> list[str]:
    number = item.result.number
    if item.result.is_blank:
        return [f"blank_page: {number}"]
    reasons = []
    if item.result.uncovered > UNCOVERED_LIMIT:
        reasons.append(f"text_not_read: page {number}")
    if item.identifiers.doubtful_lines:
        reasons.append(f"check_digits_fail: page {number}, line {item.identifiers.doubtful_lines[0]}")
    if item.disputed_lines:
        reasons.append(f"readings_disagree: page {number}, line {item.disputed_lines[0]}")
    if item.dates.ambiguous:
        reasons.append(f"day_and_month_may_be_swapped: page {number}")
    return reasons


def _page_facts(item: _PageFindings, source: SourcePage, *, include_text: bool) -> PageFacts:
    result = item.result
    return PageFacts(
        page=result.number,
        text=result.reading.text if include_text else None,
        orientation=result.page.orientation,
        skew_deg=round(result.page.skew_deg, 2),
        dpi=source.master.dpi,
        engine=result.engine,
        confidence=round(result.reading.confidence, 3),
        uncovered=round(result.uncovered, 3),
        is_blank=result.is_blank,
    )


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

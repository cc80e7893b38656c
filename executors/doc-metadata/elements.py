"""The answer of doc-metadata: the elements of Annex II of Decreto 10.278/2020, extracted fields and compliance."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Source = Literal["inferred", "submitted", "system"]


class Evidence(BaseModel):
    """The words of the page that show a value."""

    page: int
    line: int = Field(description="Index of the line on that page, from 0.")
    box: list[list[int]] = Field(description="Four corners [x, y] in pixels of the stored page.")
    text: str


class Element(BaseModel):
    """One element of metadata."""

    source: Source
    confidence: float = Field(ge=0, le=1)
    evidence: Evidence | None = None


class Text(Element):
    """An element that is a text, or unknown."""

    value: str | None


class Words(Element):
    """An element that is a list of key words or phrases."""

    value: list[str]


class TimeAndPlace(BaseModel):
    """An instant or a day, and a place; either may be unknown."""

    time: str | None = Field(description="ISO 8601: a day for the original, an instant with offset for the scan.")
    place: str | None


class TimeAndPlaceElement(Element):
    """An element that is a time and a place."""

    value: TimeAndPlace


class Hash(BaseModel):
    """A checksum of the exact stored bytes."""

    algorithm: Literal["sha256"] = "sha256"
    value: str


class HashElement(Element):
    """The checksum element."""

    value: Hash


class Metadata(BaseModel):
    """Annex II: eight elements for every document, five more for public bodies (from `classe` on)."""

    assunto: Words = Field(description="Subject: key words or a phrase.")
    autor: Text = Field(description="Person or body that issued the document.")
    data_local_digitalizacao: TimeAndPlaceElement = Field(description="When and where it was scanned.")
    identificador: Text = Field(description="Unique identifier of the digital document.")
    responsavel: Text = Field(description="Person or firm responsible for the scan.")
    titulo: Text = Field(description="Title the document bears, or one made from kind, number and date.")
    tipo_documental: Text = Field(description="Kind of document, as a slug such as `oficio`; null when unsure.")
    hash: HashElement
    classe: Text = Field(description="Code in the classification plan. Never guessed.")
    data_producao: TimeAndPlaceElement = Field(description="When and where the original was made.")
    destinacao: Text = Field(description="Disposal or permanent keeping, from the retention schedule.")
    genero: Text = Field(description="textual, iconografico.")
    prazo_guarda: Text = Field(description="Retention period, from the retention schedule.")


class Number(BaseModel):
    """A CPF or CNPJ whose check digits agree (which does not prove that it was issued, or to whom)."""

    value: str
    confidence: float
    evidence: Evidence


class Date(BaseModel):
    """A day the calendar has."""

    value: str = Field(description="YYYY-MM-DD.")
    confidence: float
    evidence: Evidence


class Amount(BaseModel):
    """An amount of money."""

    value: str = Field(description="Decimal string with two places, such as 1234.56.")
    currency: str = Field(description="ISO 4217.")
    confidence: float
    evidence: Evidence


class Person(BaseModel):
    """A name that its surroundings mark as a person's."""

    value: str
    confidence: float
    evidence: Evidence


class Fields(BaseModel):
    """Values found on the pages, each once, in order of appearance."""

    cpf: list[Number] = []
    cnpj: list[Number] = []
    dates: list[Date] = []
    amounts: list[Amount] = []
    people: list[Person] = []


class Compliance(BaseModel):
    """What can be told about Annex I and Article 2; null where the file does not tell."""

    dpi_ok: bool | None = Field(description="At least 300 dpi.")
    colour_ok: bool | None = Field(description="Colours as the page's content asks for.")
    format_ok: bool | None = Field(description="Lossless, and PDF/A where Annex I asks for it.")
    excluded_kind: str | None = Field(
        description="Why the decree does not apply (Article 2): identification_document, mandatory_carriage, born_digital."  # noqa: E501
    )
    missing: list[str] = Field(description="Elements of Annex II without a value.")
    notes: list[str] = []


class Submission(BaseModel):
    """What whoever sends the scan knows and a page cannot tell."""

    model_config = ConfigDict(extra="forbid")

    responsible: str | None = Field(
        default=None, max_length=300, description="Person or firm responsible for the scan."
    )
    place: str | None = Field(default=None, max_length=200, description="Where it was scanned.")
    scanned_at: str | None = Field(
        default=None,
        max_length=40,
        pattern=r"^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$",
        description="When it was scanned, ISO 8601. The time of this job when left out.",
    )
    identifier: str | None = Field(default=None, max_length=200, description="Identifier in your own system.")
    classification: str | None = Field(default=None, max_length=200, description="Code in your classification plan.")
    destination: str | None = Field(default=None, max_length=200, description="Disposal or permanent keeping.")
    retention: str | None = Field(default=None, max_length=200, description="Retention period.")
    public_body: bool | None = Field(
        default=None,
        description="True when a public body is involved, which makes thirteen elements due instead of eight.",
    )


class PageFacts(BaseModel):
    """How one page was read."""

    page: int
    text: str | None = Field(description="The page's text, when it was asked for.")
    orientation: int = Field(description="Degrees clockwise by which the stored page had to be turned.")
    skew_deg: float
    dpi: int | None
    engine: str
    confidence: float
    uncovered: float = Field(description="Share of text-like ink that was not read.")
    is_blank: bool

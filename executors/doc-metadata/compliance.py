"""What the stored file and its content say about Annex I and Article 2 of Decreto 10.278/2020."""

from __future__ import annotations

import re

from documents.facts.folding import fold
from documents.pages import Master
from elements import Compliance

MIN_DPI = 300
"""Annex I asks 300 dpi of everything but plans and maps (600)."""
_IDENTIFICATION = {"carteira_de_identidade", "passaporte", "titulo_eleitoral"}
_MANDATORY_CARRIAGE = {"cnh", "crlv"}
_IDENTITY_PHRASES = (
    r"carteira de identidade|cedula de identidade",
    r"valida em todo o territorio nacional",
    r"polegar direito",
    r"republica federativa do brasil",
    r"registro geral",
    r"assinatura d[oe] titular",
    r"carteira nacional de habilitacao",
    r"secretaria d[ea] (?:estado d[ea] )?seguranca publica|instituto de identificacao",
    r"\bpassport\b|\bpassaporte\b",
    r"lei n.{0,4} ?7\.?116",
)


def excluded_kind(slug: str | None, text: str, masters: list[Master]) -> str | None:
    """Which exclusion of Article 2 seems to apply; such pages may be read, but not certified."""
    if slug in _IDENTIFICATION:
        return "identification_document"
    if slug in _MANDATORY_CARRIAGE:
        return "mandatory_carriage"
    folded = fold(text)
    # One such phrase stands in any form ("registro geral"); three make the document itself.
    if sum(bool(re.search(phrase, folded)) for phrase in _IDENTITY_PHRASES) >= 3:
        return "identification_document"
    if masters and all(master.born_digital for master in masters):
        return "born_digital"
    return None


def assess(
    masters: list[Master], dpi: int | None, genre: str | None, *, excluded: str | None, missing: list[str]
) -> Compliance:
    """Compare the stored pages with Annex I. *dpi* overrides what the file declares."""
    notes: list[str] = []
    known = [dpi] if dpi else [master.dpi for master in masters if master.dpi]
    dpi_ok = None if len(known) < (1 if dpi else len(masters)) or not known else min(known) >= MIN_DPI
    if dpi_ok is None:
        notes.append("the file does not tell its resolution")
    textual = genre != "iconografico"
    colours = {master.colour for master in masters}
    # Black on white may be kept in more colours than it needs; a picture may not be kept in fewer.
    colour_ok = (
        True if textual or colours == {"colour"} else None if "colour" in colours or "grey" in colours else False
    )
    if any(not master.lossless and master.format != "PDF" for master in masters):
        format_ok: bool | None = False
        notes.append("compression with loss: this file can be read, but it is not an acceptable master")
    elif all(master.format == "PDF" for master in masters):
        format_ok = all(master.pdf_a for master in masters)
        if not format_ok:
            notes.append("a PDF that does not declare PDF/A")
    elif textual:
        format_ok = False
        notes.append("lossless, but Annex I asks for PDF/A for printed text")
    else:
        format_ok = all(master.format == "PNG" for master in masters)
    return Compliance(
        dpi_ok=dpi_ok, colour_ok=colour_ok, format_ok=format_ok, excluded_kind=excluded, missing=missing, notes=notes
    )

"""Who issued a document: the issuer box, the letterhead, a party or the signature, by kind."""

from __future__ import annotations

import re
from dataclasses import dataclass

from documents.facts.folding import fold
from documents.facts.kinds import names_a_kind
from documents.facts.labels import labelled_values
from documents.facts.people import leading_name, signature_lines, titled, whole_name
from documents.facts.titles import LETTERHEAD
from documents.lines import Reading

_FIRM_END = re.compile(
    r"\b(?:ltda\.?(?:\s*-?\s*(?:me|epp))?|s\.\s?a\.?|s/a|eireli|epp|mei|me|ltd\.?|inc\.?|llc|corp\.?|gmbh|company|co\.|plc|limited)(?![\w])"
)
_INSTITUTION = re.compile(
    r"\b(?:prefeitura|camara|governo|secretaria|ministerio|tribunal|universidade|faculdade|escola|colegio|instituto|"
    r"fundacao|associacao|sindicato|cooperativa|cartorio|tabelionato|hospital|clinica|laboratorio|conselho|departamento|"
    r"autarquia|companhia|banco|empresa|municipio|estado de|estado do|creche|centro|igreja|condominio|servico|"
    r"unidade basica|unidade de saude|posto de saude|policlinica|drogaria|farmacia|livraria|papelaria|restaurante|"
    r"supermercado|mercado|loja|oficina|padaria|hotel|pousada|construtora|transportadora|imobiliaria|distribuidora|"
    r"shop|bookshop|store|restaurant|pharmacy|bakery|office|school|university|city of|council|department|clinic|"
    r"institute|foundation|association|bank)\b"
)
_WHOLE_BODY = re.compile(r"(?:prefeitura|camara|universidade|ministerio|tribunal|fundacao|instituto|municipio) ")
_OFFICE = re.compile(
    r"(?:gabinete|secretaria|departamento|divisao|setor|diretoria|coordenad|superintendencia|gerencia|pro-reitoria)"
)
"""An office is part of the body that the letterhead names as well, above or below it."""
_ABOVE_THE_BODY = re.compile(
    r"(?:estado d|republica|poder |governo federal|servico publico federal|sistema unico de saude|\*)"
)
"""What stands above the body's own name in a letterhead."""
_CONTACT = re.compile(
    r"\b(?:rua|av|avenida|rod|travessa|praca|cep|fone|tel|telefone|cnpj|street|st|avenue|road|suite|phone|vat|www)\b[.:]?\s|@"
)
_ISSUER_LABELS = {
    "nota_fiscal": r"(?:dados do )?prestador(?:a)?(?: d[eo]s? servicos?)?(?:\s*[-–/]\s*(?:nome|razao social)[^:]*)?|(?:dados do |identificacao do )?emitente|razao social(?: do (?:prestador|emitente))?|nome ?/ ?razao social|nome empresarial",  # noqa: E501
    "contrato": r"contratad[oa](?:\(a\))?|locador(?:a|\(a\))?|vendedor(?:a|\(a\))?|prestador(?:a)?|contractor|supplier|lessor|landlord|seller|service provider|provider",  # noqa: E501
    "termo_aditivo": r"contratad[oa](?:\(a\))?|locador(?:a|\(a\))?",
    "invoice": r"from|seller|issued by|supplier|vendor|remit to|company",
    "fatura": r"cedente|beneficiario|emitente|empresa|fornecedor|prestador",
    "boleto": r"cedente|beneficiario(?: final)?",
    "purchase_order": r"from|buyer|comprador|empresa|contratante|solicitante",
    "holerite": r"empresa|empregador|razao social",
    "recibo": r"recebedor|emitente|beneficiario|received by|payee|prestador|favorecido|issued by|cedente",
    "procuracao": r"outorgante",
    "requerimento": r"requerente|interessad[oa]",
    "memorando": r"de|from|remetente",
}
_SIGNED = ("recibo", "procuracao", "requerimento", "atestado", "declaracao", "carta", "laudo")
_SMALL_WORDS = frozenset(["&", "e", "de", "da", "do", "dos", "das", "and", "of"])
_KEEP_CAPITALS = frozenset(
    ["ME", "EPP", "MEI", "S.A.", "S/A", "SA", "EIRELI", "CNPJ", "LLC", "TI", "RH", "SUS", "INSS", "UF"]
)


@dataclass(frozen=True)
class Author:
    """The issuer's name, how sure, and the line that shows it."""

    name: str
    confidence: float
    line: int


def find_author(reading: Reading, slug: str | None) -> Author | None:
    """The person or body that issued the document; nothing when the page does not say."""
    labelled = _labelled(reading, slug)
    head = _letterhead(reading)
    if labelled is not None and (slug not in ("recibo", "memorando") or head is None):
        return labelled
    if slug == "contrato" or slug == "termo_aditivo":
        party = _inline_party(reading)
        if party is not None:
            return party
    if head is not None:
        return head
    if slug in _SIGNED or slug is None or slug in ("contrato", "oficio", "memorando", "certidao"):
        signed = _signature(reading)
        if signed is not None:
            return signed
    return labelled or _any_firm(reading) or _signature(reading)


def body_name(text: str) -> str | None:
    """The name of a firm, a body or a person that *text* begins with."""
    text = re.split(r"\s[-–]\s(?=CNPJ|CPF|C\.N)|[,;(]|\b(?:CNPJ|CPF|inscrit[oa])\b", text.strip(" :.-–—|"), maxsplit=1)[
        0
    ].strip()
    # "Nome/Razão Social: Fulana Ltda." under the heading of the issuer's box.
    text = re.sub(r"^[^:]{2,32}:\s*", "", text)
    folded = fold(text)
    firm = _FIRM_END.search(folded)
    if firm and firm.start() > 2:
        end = firm.end()
        return text[: end + 1].strip() if text[end : end + 1] == "." else text[:end].strip()
    if _INSTITUTION.search(folded) and 5 < len(text) < 90:
        return text
    return leading_name(text)


def _labelled(reading: Reading, slug: str | None) -> Author | None:
    labels = _ISSUER_LABELS.get(slug or "")
    if not labels:
        return None
    options = list(labelled_values(reading, labels, body_name))
    if slug == "nota_fiscal":
        # The same labels serve the customer's box; the issuer's comes first on every layout of these forms.
        options = [option for option in options if not re.search(r"tomador|destinatario", fold(option.value))][:1]
    for option in options:
        return Author(printed_case(option.value), 0.88, option.line)
    return None


def _inline_party(reading: Reading) -> Author | None:
    text = re.sub(r"\s", " ", reading.text)
    folded = fold(text)
    for pattern in (
        r"(?:contratad[oa]|locador(?:a)?|prestador(?:a)?|contractor|supplier|provider)\s*(?:\([^)]*\))?\s*[:,]\s*",
        r"de outro(?: lado)?,?\s*(?:como contratad[oa],?)?\s*(?:a empresa|o sr\.?|a sra\.?)?\s*",
        r"\band\s+",
    ):
        for match in re.finditer(pattern, folded):
            name = body_name(text[match.end() : match.end() + 110])
            if name:
                return Author(printed_case(name), 0.75, reading.line_at(match.end()))
    # "Fulana Ltda., …, doravante denominada CONTRATADA" names the party after the fact.
    match = re.search(
        r"(?:doravante|denominad[oa]|hereinafter)[^.;]{0,60}(?:contratad[oa]|locador|contractor|provider|supplier)",
        folded,
    )
    if match:
        window = text[max(0, match.start() - 330) : match.start()]
        firms = list(
            re.finditer(
                r"([A-ZÀ-Ý][\wÀ-ÿ&.'-]*(?:\s+(?:[A-ZÀ-Ý&][\wÀ-ÿ&.'-]*|d[aeo]s?|e|em))*?\s+(?:Ltda|LTDA|S\.A|S/A|EIRELI|ME|EPP|Ltd|Inc|LLC)\.?)",
                window,
            )
        )
        if firms:
            start = max(0, match.start() - 330) + firms[-1].start()
            return Author(printed_case(firms[-1].group(1)), 0.75, reading.line_at(start))
    return None


def _letterhead(reading: Reading) -> Author | None:
    """The first line at the top that names a body, else one at the foot."""
    zones = [(0.0, 0.24, 0.9), (0.86, 1.0, 0.7)]
    for top, bottom, confidence in zones:
        for index, line in enumerate(reading.lines):
            if not top * reading.height <= line.middle <= bottom * reading.height or len(line.text) > 100:
                continue
            folded = fold(line.text)
            if _ABOVE_THE_BODY.match(folded) and top == 0.0:
                continue
            if re.search(r":\s*\S", folded) and not LETTERHEAD.match(folded):
                continue
            firm = _FIRM_END.search(folded)
            heading = LETTERHEAD.match(folded) or (
                _INSTITUTION.search(folded) and len(folded) < 60 and not folded.endswith((",", "."))
            )
            if heading and _OFFICE.match(folded) and _has_whole_body(reading, top, bottom):
                continue
            if heading and not re.match(
                r"(?:a |ao |a sua|oficio|of |memorando|para|nota|contrato|certidao|declaracao|recibo)", folded
            ):
                return Author(printed_case(_without_contact(line.text)), confidence, index)
            if firm and firm.start() > 2 and folded[: firm.start()].count(" ") <= 8:
                name = body_name(_with_line_above(reading, index))
                if name:
                    return Author(printed_case(name), confidence - 0.05, index)
        if top == 0.0 and (trade := _name_over_address(reading, bottom)) is not None:
            return trade
    return None


def _name_over_address(reading: Reading, bottom: float) -> Author | None:
    """A short first line right above an address, a telephone or a tax number is the issuer's name."""
    for index, line in enumerate(reading.lines[:4]):
        folded = fold(line.text)
        if line.middle > bottom * reading.height:
            return None
        if _ABOVE_THE_BODY.match(folded) or not re.fullmatch(r"[^\d:]{4,60}", line.text) or names_a_kind(line):
            continue
        below = " ".join(fold(next_line.text) for next_line in reading.lines[index + 1 : index + 3])
        if _CONTACT.search(below):
            return Author(printed_case(line.text), 0.7, index)
    return None


def _with_line_above(reading: Reading, index: int) -> str:
    """The text of a line and, where it is only the end of a name ("Consulting LLC"), the line above it."""
    line = reading.lines[index]
    text = re.sub(r"^\W*[a-zà-ÿ]\s+", "", line.text)
    if index == 0 or len(text.split()) > 3:
        return text
    above = reading.lines[index - 1]
    near = line.top - above.bottom < line.height and abs(above.left - line.left) < 2 * line.height
    capitalised = all(
        word[:1].isupper() or word in ("&", "e", "de", "da", "do", "and", "of") for word in above.text.split()
    )
    if near and capitalised and re.fullmatch(r"[^\d:,.]{3,40}", above.text) and not _FIRM_END.search(fold(above.text)):
        return f"{above.text} {text}"
    return text


def _has_whole_body(reading: Reading, top: float, bottom: float) -> bool:
    """True when that zone of the page names a body that offices are parts of."""
    return any(
        _WHOLE_BODY.match(fold(line.text))
        for line in reading.lines
        if top * reading.height <= line.middle <= bottom * reading.height
    )


def _any_firm(reading: Reading) -> Author | None:
    for index, line in enumerate(reading.lines):
        firm = _FIRM_END.search(fold(line.text))
        if firm and 2 < firm.start() < 60 and line.text[:1].isupper():
            name = body_name(line.text)
            if name:
                return Author(printed_case(name), 0.5, index)
    return None


def _signature(reading: Reading) -> Author | None:
    for index in signature_lines(reading):
        name = whole_name(reading.lines[index].text)
        if name:
            return Author(titled(name), 0.75, index)
    return None


def _without_contact(text: str) -> str:
    return re.split(r"\s[-–|•]\s(?=CNPJ|Rua|Av|Tel|Fone|CEP)|\s*[-–|•,]?\s*(?:CNPJ|C\.N\.P\.J)\b", text, maxsplit=1)[
        0
    ].strip(" -–|•,.")


def printed_case(name: str) -> str:
    """A body's name printed in capitals, in ordinary case; abbreviations keep theirs."""
    name = name.strip(" |_-–")
    if name.upper() != name:
        return name
    words = []
    for word in name.split():
        plain = fold(word).strip(",")
        if word.strip(",") in _KEEP_CAPITALS:
            words.append(word)
        elif plain in ("de", "da", "do", "das", "dos", "e", "em", "of", "and") and words:
            words.append(word.lower())
        else:
            words.append(word[:1] + word[1:].lower())
    return " ".join(words)

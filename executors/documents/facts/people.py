"""
Names of people, only where the page itself says that a name stands there.

A run of capitalised words alone proves nothing (measured: 18 right of 41), so a label, a phrase or
a signature has to vouch for it.
"""

from __future__ import annotations

import re

from documents.facts.folding import fold, letters_of
from documents.facts.found import Found
from documents.facts.labels import labelled_values
from documents.lines import Line, Reading

_UP = "A-ZÀ-ÖØ-Ý"
_LOW = "a-zà-öø-ÿ"
_TOKEN = rf"[{_UP}](?:[{_LOW}]+|[{_UP}'’]+|\.)(?:[-'’][{_UP}][{_LOW}]+)*"
_PARTICLE = r"(?:d[aeo]s?|DE|D[AO]S?|e|E|di|del|van|von|der|la)"
_NAME = re.compile(rf"{_TOKEN}(?:\s+(?:{_PARTICLE}\s+){{0,2}}{_TOKEN}){{1,6}}")
_HONORIFIC = re.compile(
    r"^(?:(?:o|a|ao|os|as|pel[oa]|to|from|de)\s+)?(?:(?:(?:ilm|exm)[oa]s?\.?(?:\(a\))?|sr|sra|srta|dr|dra|prof|profa|senhora?|senhor\(a\)|doutora?|mr|mrs"
    r"|ms|eng|adv|sr\(a\)|d)\b\.?\s*(?:\(a\))?\.?\s*)*",
    re.IGNORECASE,
)
_NOT_IN_NAMES = frozenset(
    """
    prefeitura prefeito secretaria secretario municipal municipio estado estadual federal federativa republica
    governo ministerio rua avenida travessa praca rodovia alameda bairro cidade cep ltda sa me epp eireli mei
    servicos comercio engenharia construcoes solucoes tecnologia distribuidora industria companhia cia empresa
    consultoria escola colegio universidade faculdade instituto associacao fundacao sindicato cooperativa cartorio
    tribunal camara clinica hospital banco caixa brasil brasileiro brasileira diretor diretora departamento
    coordenador gerente contrato contratante contratada contratado nota fiscal cpf cnpj rg data valor total senhor
    senhora oficio recibo certidao declaracao ficha cadastral nome filiacao naturalidade nacionalidade endereco
    telefone email assunto testemunha testemunhas janeiro fevereiro marco abril maio junho julho agosto setembro
    outubro novembro dezembro january february march april june july august september october november december
    date due invoice bill amount subtotal trading ltd inc llc corp company services group holdings street road
    contract agreement pessoa fisica juridica registro geral orgao expedidor expedicao nascimento conselho setor
    divisao unidade gabinete superintendencia auditor auditora analista presidente chefe assessor tabeliao
    escrivao oficial escolar aluno aluna curso turma prestador tomador emitente destinatario cliente fornecedor
    vossa senhoria excelencia sua clausula primeira segunda terceira quarta objeto lei artigo processo pagamento
    vencimento emissao situacao ativa numero serie folha pagina via titulo matricula cargo locacao imovel
    residencial comercial instrumento particular locatario locador moradores assembleia ordinaria extraordinaria
    agencia recursos humanos compras almoxarifado gerencia comissao plenario funcao lotacao competencia periodo
    referencia descricao quantidade unitario observacoes atenciosamente respeitosamente sincerely yours dear
    payment terms description quantity price order purchase receipt certificate registered office manager director
    president secretary treasurer officer clerk customer vendor seller buyer client supplier prepared approved by
    cpfmf documento identidade estadocivil profissao solteiro solteira casado casada divorciado viuvo comunicacao
    interna memorando relatorio laudo parecer ata portaria edital requerimento procuracao atestado termo aditivo
    publica publico saude educacao obras fazenda administracao receita secretariat responsavel tecnico comarca
    foro vara juiz juiza locador locadora locataria pagador sacado recebedor favorecido outorgante outorgado diretoria
    administrativa construtora transportadora imobiliaria incorporadora analytics consulting partners industries for
    """.split()  # noqa: SIM905  (three hundred words, one to a line, would hide the code)
)
_LABELS = (
    r"nome(?:\s+(?:completo|social|civil|d[oae]s?\s+\w+(?:\(a\))?|empresarial|/\s*razao social))?|filiacao|(?:nome da )?mae|(?:nome do )?pai"  # noqa: E501
    r"|interessad[oa](?:\(a\))?|requerente|outorgantes?|outorgad[oa]s?|destinatari[oa]|(?:bill|sold|ship|invoice)(?:ed)? to|customer"  # noqa: E501
    r"|attention|attn|(?:full )?name|employee|pagador(?:\(a\))?|sacado|beneficiari[oa]|cliente|paciente|alun[oa](?:\(a\))?"  # noqa: E501
    r"|estudante|contratante|contratad[oa]|locador(?:a|\(a\))?|locatari[oa](?:\(a\))?|declarante|signatari[oa]|tomador(?:a)?(?: de servicos?)?(?:\s*[-–/]\s*nome)?"  # noqa: E501
    r"|a sua (?:senhoria|excelencia)(?: [oa](?: senhora?| sr\.?a?)?)?|ao? (?:ilm[oa]\.? )?(?:senhora?|sr\.?a?)(?:\(a\))?|(?:para|de|to|from)(?=\s*:)|ilm[oa]\.?(?:\(a\))?\.? sr\.?a?(?:\(a\))?\.?"  # noqa: E501
    r"|dear(?: mr\.?| mrs\.?| ms\.?)?|prezad[oa](?:\(a\))?(?: senhora?| sr\.?a?\.?)?|(?:received|recebido) (?:from|de)|servidor(?:a|\(a\))?|empregad[oa]|funcionari[oa](?:\(a\))?"  # noqa: E501
    r"|colaborador(?:a|\(a\))?|titular|proprietari[oa]|comprador(?:a|\(a\))?|vendedor(?:a|\(a\))?|cedente|responsavel(?: (?:legal|tecnico|pela? [a-z]+))?"  # noqa: E501
    r"|contribuinte|medic[oa]|perit[oa]|presidente|secretari[oa]|conjuge|prepared by|(?:approved|authori[sz]ed|requested|received|signed)(?: by)?|(?:aprovado|autorizado|recebido|conferido|solicitado) por|issued to|issued by|emitido por|assinado por|elaborado por"  # noqa: E501
    r"|solicitante|remetente|usuari[oa]|assinante|associad[oa]|emitente|prestador(?:a)?|client|buyer|seller|vendor|payer|payee|nome do tomador"  # noqa: E501
)
_BEFORE = re.compile(
    r"(?:recebi(?:emos)?\s+d[eoa](?:\s+sr\.?a?\.?(?:\(a\))?)?|em\s+nome\s+de|em\s+favor\s+d[eoa]|representad[oa](?:\(a\))?\s+(?:por|pel[oa])(?:\s+su?a?e?u?\s*\w*)?|"
    r"(?:declar|certific|atest)(?:o|amos)[^.;]{0,90}?\bque,?(?:[^.;]{0,30}?,)?|\beu,|received\s+from|certify\s+that|certifies\s+that|awarded\s+to|"
    r"on\s+behalf\s+of|by\s+and\s+between|between|presidiu(?:\s+a\s+\w+)?|secretariad[oa]\s+p(?:or|el[oa])|presidid[oa]\s+p(?:or|el[oa])|designar|nomear|exonerar|servidor(?:a|es|\(a\))?|alun[oa](?:\(a\))?|filh[oa]\s+de|"
    r"nomeia\s+e\s+constitui|procurador(?:a|\(a\))?|paciente|senhora?|sr\.?|sra\.?|sr\.?\(a\)\.?|dr\.?|dra\.?|pag[oa]\s+(?:a|por)|paid\s+(?:to|by)|represented\s+by)"
    r"\s*:?\s*(?:(?:o|a|os|as|ao)\s+)?(?:sr\.?|sra\.?|sr\.?\(a\)\.?|senhora?|senhor\(a\)|dr\.?|dra\.?|mr\.?|mrs\.?|ms\.?)?\s*$"
)
_AFTER = re.compile(
    r"^\s*[,(\-–]?\s*(?:brasileir|portador|inscrit|nascid|natural\s+d|residente|domiciliad|solteir|casad|divorciad|viuv|maior|matricula|(?:no\s+)?cpf|"
    r"rg\b|c\.?p\.?f|estado\s+civil|bearer|holder|resident|born|citizen)"
)
_ROLE = re.compile(
    r"secretari|diretor|prefeit|presidente|gerente|coordenador|auditor|contratante|contratad|locador|locatari|cpf|crm|crea|oab|"
    r"declarante|testemunha|tabeli|escriv|escrevent|oficial|chefe|assessor|responsavel|requerente|outorgante|medic|perit|engenheir|"
    r"contador|tesoureir|procurador|sindic|professor|juiz|manager|director|president|officer|secretary|treasurer|representative|"
    r"matricula|assinatura|signature|authorized|analista|fiscal|superintendente|emitente|recebedor|cargo|titular|administrador|accountant|"
    r"pregoeir|vice|reitor|comandante|delegad|supervisor|encarregad|relator|agente|tecnic"
)


_TOWN = re.compile(
    rf"(?P<town>{_TOKEN}(?:\s+(?:{_PARTICLE}\s+)?{_TOKEN}){{0,4}})\s*(?:[-–/,(]\s*(?:AC|AL|AP|AM|BA|CE|DF|ES|GO|MA|MT|MS|MG|PA|PB|PR|PE|PI|RJ|RN|RS|RO|RR|SC|SP|SE|TO)\b"
    rf"|,\s*(?:em\s+|aos\s+)?\d{{1,2}}º?\s*(?:\(|de\s|[./-]\s?\d))"
)
"""A name in front of a state or a date is a town."""
_FIRM_WORDS = frozenset(("ltda", "ltd", "inc", "llc", "sa", "me", "epp", "eireli", "corp", "company", "cia"))
_LEADING = frozenset(
    """
    recebi recebemos declaro declaramos declara certifico certificamos certifica atesto atestamos eu que nos
    designar nomear exonerar conceder autorizar received this by between and presidiu pelo pela
    """.split()  # noqa: SIM905  (three hundred words, one to a line, would hide the code)
)


def find_people(reading: Reading) -> list[Found]:
    """Names that a label, a phrase around them or a signature vouches for, each once, in order of appearance."""
    found: dict[str, Found] = {}

    def keep(name: str | None, line: int, confidence: float) -> None:
        if name is None:
            return
        key = letters_of(name)
        if key in towns:
            return
        start = reading.offsets[line]
        value = titled(name)
        if key not in found or found[key].confidence < confidence:
            found[key] = Found(value, confidence, line, start, start + len(reading.lines[line].text), name)

    towns = {letters_of(match["town"]) for match in _TOWN.finditer(reading.text)}

    for item in labelled_values(reading, _LABELS, leading_name):
        keep(item.value, item.line, 0.85)
    text = re.sub(r"\n|  ", lambda gap: " " * len(gap.group(0)), reading.text)
    folded = fold(text)
    for match in _NAME.finditer(text):
        for name, start, end in _name_parts(match):
            vouched = _BEFORE.search(folded[max(0, start - 130) : start]) or _AFTER.match(folded[end : end + 40])
            if vouched:
                keep(name, reading.line_at(start), 0.85)
    for index in signature_lines(reading):
        keep(whole_name(reading.lines[index].text), index, 0.8)
    return sorted(found.values(), key=lambda item: (item.line, item.start))


def _name_parts(match: re.Match[str]) -> list[tuple[str, int, int]]:
    parts = []
    at = match.start()
    for piece in _apart(match.group(0)):
        at = match.string.index(piece, at)
        name = _checked(piece)
        if name is not None:
            start = at + piece.find(name)
            parts.append((name, start, start + len(name)))
    return parts


def _apart(names: str) -> list[str]:
    """
    "Ana Souza Lima e Rui Dias Melo" are two people, "Ana Lima e Silva" is one.

    Two only where both sides are whole names of three words: a surname may hold an "e" as well.
    """
    sides = re.split(r"\s+[eE]\s+", names)
    whole = all(sum(len(word) > 3 for word in side.split()) >= 3 for side in sides)
    return sides if len(sides) > 1 and whole else [names]


def leading_name(text: str) -> str | None:
    """The name that *text* begins with, honorifics aside; nothing when it begins with something else."""
    rest = _HONORIFIC.sub("", text.strip(" :.-–—|,"), count=1)
    match = _NAME.match(rest)
    return _checked(match.group(0)) if match else None


def whole_name(text: str) -> str | None:
    """*text* when it is nothing but a name."""
    rest = _HONORIFIC.sub("", text.strip(" :.-–—|,_"), count=1).strip()
    match = _NAME.fullmatch(rest)
    return _checked(rest) if match else None


def _checked(text: str) -> str | None:
    """*text* up to the first word that no person is called; nothing when less than two words are left."""
    kept: list[str] = []
    words = text.split()
    # "Recebi de Maria Souza": a sentence begins with a capital as well.
    while words and (fold(words[0]) in _LEADING or re.fullmatch(_PARTICLE, words[0])):
        words = words[1:]
    for word in words:
        if fold(word).strip(".,'’") in _NOT_IN_NAMES:
            if not kept:
                return None
            if fold(word).strip(".,'’") in _FIRM_WORDS:
                return None
            # "Maria Souza Secretária": the role was set on the same line.
            break
        kept.append(word)
    while kept and re.fullmatch(_PARTICLE, kept[-1]):
        kept.pop()
    real = [word for word in kept if not re.fullmatch(_PARTICLE, word) and len(word.strip(".")) > 1]
    return " ".join(kept) if len(real) >= 2 else None


def signature_lines(reading: Reading) -> list[int]:
    """Lines in the lower part that hold only a name with a role, a document number or nothing under it."""
    foot = max((line.bottom for line in reading.lines), default=0.0)
    names = [i for i, line in enumerate(reading.lines) if line.middle > 0.35 * foot and whole_name(line.text)]
    signatures = []
    for index in names:
        line = reading.lines[index]
        under = _next_below(reading, line)
        if (
            under is not None
            and len(under.text) < 70
            and (_ROLE.search(fold(under.text)) or _is_apart(reading, line, under))
        ):
            signatures.append(index)
        elif under is None and reading.lines and line.middle > 0.45 * max(item.bottom for item in reading.lines):
            # The last line of its column, alone: a signature when something stands well above it.
            above = [item for item in reading.lines if item.bottom < line.top]
            if above and line.top - max(item.bottom for item in above) > 1.2 * line.height:
                signatures.append(index)
    return signatures


def _is_apart(reading: Reading, line: Line, under: Line) -> bool:
    """True for a centred name with room for a signature above it and a short line under it."""
    above = [item.bottom for item in reading.lines if item.bottom <= line.top + 0.3 * line.height]
    room = line.top - max(above) if above else 0.0
    return (
        room > 1.8 * line.height
        and abs(line.centre - under.centre) < line.height
        and len(under.text) < 45
        and ":" not in under.text
    )


def _next_below(reading: Reading, line: Line) -> Line | None:
    best: Line | None = None
    for other in reading.lines:
        gap = other.top - line.bottom
        near = -0.4 * line.height < gap < 2.2 * line.height and other.middle > line.bottom
        overlaps = min(other.right, line.right) > max(other.left, line.left)
        if near and overlaps and (best is None or other.top < best.top):
            best = other
    return best


def titled(name: str) -> str:
    """A name printed in capitals, in ordinary case; others unchanged."""
    if name.upper() != name:
        return name
    words = [word.lower() if re.fullmatch(_PARTICLE, word) else word[:1] + word[1:].lower() for word in name.split()]
    return " ".join(words)

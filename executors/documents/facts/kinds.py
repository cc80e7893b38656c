"""What kind of document a page is, by the words its kind cannot do without; unsure pages get no kind."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from documents.facts.folding import fold
from documents.lines import Line, Reading


@dataclass(frozen=True)
class Kind:
    """A kind: how its titles begin, and phrases that its body carries (patterns on folded text)."""

    slug: str
    title: str
    body: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """Subject words for a page without a subject line."""
    heading: re.Pattern[str] = field(init=False)
    phrases: tuple[re.Pattern[str], ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "heading", re.compile(rf"(?:{self.title})"))
        object.__setattr__(self, "phrases", tuple(re.compile(phrase) for phrase in self.body))


KINDS: tuple[Kind, ...] = (
    Kind(
        "oficio",
        r"oficio(?: circular| conjunto| interno)?\b|of\.? ?(?:circ\.? ?)?n[ o.]",
        (
            r"vossa (?:senhoria|excelencia)|v\. ?s\.?a|v\. ?ex",
            r"protestos de|elevada estima|distinta consideracao|apreco",
            r"^assunto\b|^ref",
            r"a sua (?:senhoria|excelencia)|ao? (?:ilmo|exmo|senhora?\b)",
            r"atenciosamente|respeitosamente|cordialmente",
            r"encaminhamos|solicitamos|cumpriment|informamos",
        ),
        ("correspondência oficial",),
    ),
    Kind(
        "memorando",
        r"memorando\b|memo\b|comunicacao interna|circular interna|c\.?i\.? n|memorandum",
        (r"^para ?:|^to ?:", r"^de ?:|^from ?:", r"^assunto|^subject", r"atenciosamente"),
        ("comunicação interna",),
    ),
    Kind(
        "nota_fiscal",
        r"nota fiscal|nfs-?e|nf-?e\b|nfc-?e\b|danfe\b|documento auxiliar da nota|cupom fiscal|(?:nota|documento) fiscal|danfse\b",  # noqa: E501
        (
            r"prestador",
            r"tomador",
            r"\bemitente",
            r"discriminacao d[oe]s? (?:servico|produto)|dados d[oe]s? produto|descricao d[oe]s? servico",
            r"chave de acesso",
            r"\biss(?:qn)?\b|\bicms\b|aliquota|base de calculo",
            r"codigo de (?:verificacao|autenticidade)",
            r"natureza da operacao|inscricao (?:municipal|estadual)",
            r"valor total da nota|valor liquido da nota|valor dos servicos",
        ),
        ("venda ou prestação de serviço",),
    ),
    Kind(
        "recibo",
        r"recibo\b(?! de pagamento de salario)|(?:official |payment |cash )?receipt\b|rpa\b",
        (
            r"recebi(?:emos)?\b",
            r"quitacao",
            r"a (?:importancia|quantia|soma) d|o valor de",
            r"pela qual|firm[oa] o presente|para clareza|por ser verdade",
            r"received from|sum of|payment (?:of|for)|amount received",
        ),
        ("pagamento",),
    ),
    Kind(
        "contrato",
        r"contrato\b|instrumento particular|(?:[a-z]+ ){0,3}(?:agreement|contract)\b|lease\b",
        (
            r"contratante",
            r"contratad[oa]|locatari|comodat",
            r"clausula",
            r"do objeto|tem por objeto|objeto d",
            r"\bforo\b|comarca",
            r"vigencia|vigorara|prazo d",
            r"locador|partes",
            r"hereinafter|whereas|the parties|party of|governing law",
        ),
        ("contratação",),
    ),
    Kind(
        "termo_aditivo",
        r"(?:\w+ )?(?:termo )?(?:de )?aditivo|\d+ ?o? termo aditivo|primeiro termo aditivo|amendment",
        (r"aditiv", r"permanecem inalterad|ratific|demais clausulas", r"prorroga"),
        ("alteração de contrato",),
    ),
    Kind(
        "certidao",
        r"certidao\b|certificate of (?!completion|attendance|achievement|participation)|clearance certificate|certificate\b(?! of (?:completion|attendance))",  # noqa: E501
        (
            r"certific(?:o|a|amos)\b",
            r"nao const(?:am|a)",
            r"\bdebitos?\b|divida ativa",
            r"valida (?:ate|por)|validade",
            r"ressalvad[oa]",
            r"livro|folhas?|registro|assento|termo",
            r"hereby certif|this is to certify",
        ),
        ("certificação",),
    ),
    Kind(
        "atestado",
        r"atestado\b|medical certificate",
        (r"atest(?:o|amos|a)\b", r"para os devidos fins", r"\bcid\b|repouso|afastamento|\bcrm\b"),
        ("atestado",),
    ),
    Kind(
        "declaracao",
        r"(?:auto)?declaracao\b|declaration\b|affidavit|statement of (?!account)",
        (
            r"declar(?:o|amos|a)\b",
            r"para (?:os devidos )?fins|a quem (?:possa )?interessar",
            r"por ser (?:expressao da )?verdade|sob as penas da lei|firm[oa]",
            r"matriculad|frequencia|reside|vinculo",
            r"i hereby declare|we hereby declare|to whom it may concern",
        ),
        ("declaração",),
    ),
    Kind(
        "ficha_cadastral",
        r"ficha\b|cadastro\b|formulario(?: de)? (?:cadastr|inscric)\w*|dados cadastrais|(?:registration|enrol?lment|application) form",  # noqa: E501
        (
            r"^nome\b|nome completo",
            r"filiacao|nome da mae|^mae\b",
            r"naturalidade",
            r"(?:data de )?nasc",
            r"orgao (?:expedidor|emissor)|registro geral|\brg\b",
            r"estado civil",
            r"telefone|celular|e-?mail",
            r"endereco|bairro|\bcep\b",
            r"profissao|escolaridade|sexo",
        ),
        ("cadastro",),
    ),
    Kind(
        "invoice",
        r"(?:commercial |tax |proforma |pro forma )?invoice\b(?! date| to| number:)",
        (
            r"bill(?:ed)? to|sold to|invoice to",
            r"due date|payment (?:is )?due|payment terms|net \d+",
            r"subtotal|sub total",
            r"total due|amount due|balance due|grand total",
            r"unit price|qty|quantity",
            r"invoice (?:no|number|date|#)",
        ),
        ("billing",),
    ),
    Kind(
        "fatura",
        r"fatura\b|duplicata\b|conta de (?:luz|energia|agua|telefone|gas)",
        (r"vencimento", r"total a pagar|valor a pagar", r"consumo|leitura|kwh", r"fatura n|numero da fatura|cliente"),
        ("cobrança",),
    ),
    Kind(
        "purchase_order",
        r"purchase order|(?:ordem|pedido|autorizacao) de (?:compra|fornecimento|servico)s?\b|p\.?o\.? (?:no|number|#)",
        (
            r"\bvendor\b|supplier|fornecedor",
            r"ship to|deliver|entrega",
            r"qty|quantity|quantidade|qtd",
            r"unit price|preco unit|valor unit",
        ),
        ("compra",),
    ),
    Kind(
        "boleto",
        r"boleto\b|recibo do (?:pagador|sacado)|ficha de compensacao",
        (
            r"linha digitavel|\d{5}\.\d{5} \d{5}\.\d{6}",
            r"nosso numero",
            r"cedente|beneficiario",
            r"sacado|pagador",
            r"agencia|codigo do beneficiario",
            r"pagavel",
        ),
        ("cobrança",),
    ),
    Kind(
        "holerite",
        r"holerite|contra-?cheque|demonstrativo d[eo] pagamento|recibo de pagamento de salario|folha de pagamento|payslip|pay ?stub",  # noqa: E501
        (r"\binss\b", r"\bfgts\b", r"proventos|vencimentos", r"descontos", r"salario|liquido a receber"),
        ("remuneração",),
    ),
    Kind(
        "procuracao",
        r"procuracao\b|instrumento (?:particular|publico) de procuracao|power of attorney|substabelecimento",
        (r"outorgante", r"outorgad[oa]", r"poderes", r"ad judicia|constitui"),
        ("representação",),
    ),
    Kind(
        "ata",
        r"ata\b(?: d[aeo]| n|$)|minutes of",
        (
            r"reuniram-se|reunia[om]|realizou-se",
            r"lavr(?:ada|ei)|lida e aprovada|presente ata",
            r"assembleia|reuniao",
            r"presentes|pauta|ordem do dia",
        ),
        ("reunião",),
    ),
    Kind(
        "portaria",
        r"portaria\b",
        (r"resolve", r"no uso d[ae]s?", r"art(?:igo)?\.? ?1", r"considerando", r"entra em vigor", r"designar|nomear"),
        ("ato administrativo",),
    ),
    Kind("decreto", r"decreto\b", (r"decreta", r"art(?:igo)?\.? ?1", r"entra em vigor"), ("ato normativo",)),
    Kind("resolucao", r"resolucao\b", (r"resolve", r"art(?:igo)?\.? ?1", r"entra em vigor"), ("ato normativo",)),
    Kind(
        "edital",
        r"edital\b|aviso de licitacao|pregao\b",
        (
            r"licitacao|pregao|concorrencia|chamamento|concurso",
            r"torna publico|faz saber",
            r"proposta|habilitacao|inscric",
            r"sessao",
        ),
        ("convocação pública",),
    ),
    Kind(
        "requerimento",
        r"requerimento\b|peticao\b|solicitacao\b",
        (
            r"(?:venho|vem).{0,40}requer|requer(?:er)?\b",
            r"nestes termos|pede deferimento|termos em que",
            r"deferimento",
            r"abaixo assinad",
        ),
        ("pedido",),
    ),
    Kind("laudo", r"laudo\b", (r"perit|vistori", r"conclu", r"metodologia|analise|exame"), ("avaliação técnica",)),
    Kind(
        "relatorio",
        r"relatorio\b|(?:[a-z]+ )?report\b",
        (r"introducao|introduction", r"conclus", r"resultado|results|atividades"),
        ("relato",),
    ),
    Kind("parecer", r"parecer\b", (r"opin", r"conclu", r"e o parecer|salvo melhor juizo"), ("parecer",)),
    Kind(
        "orcamento",
        r"orcamento\b|proposta (?:comercial|de precos?)|quotation\b|quote\b|estimate\b",
        (r"validade da proposta|valid (?:for|until)", r"condicoes de pagamento|payment terms", r"prazo de entrega"),
        ("proposta",),
    ),
    Kind(
        "nota_de_empenho",
        r"nota de empenho|empenho\b",
        (r"dotacao|elemento de despesa", r"credor", r"empenh"),
        ("despesa pública",),
    ),
    Kind(
        "guia_de_recolhimento",
        r"documento de arrecadacao|guia (?:de|da)\b|darf\b|\bdam\b|gps\b|\bgru\b",
        (r"codigo da receita", r"contribuinte", r"arrecadacao|recolhimento", r"vencimento"),
        ("tributos",),
    ),
    Kind(
        "comprovante",
        r"comprovante\b|proof of",
        (r"autenticacao|transacao|transferencia", r"agencia|conta", r"comprov"),
        ("comprovação",),
    ),
    Kind(
        "certificado",
        r"certificado\b|certificate of (?:completion|attendance|achievement|participation)|diploma\b",
        (r"concluiu|participou|completed", r"carga horaria|hours", r"curso|course"),
        ("formação",),
    ),
    Kind(
        "historico_escolar",
        r"historico escolar|boletim escolar|transcript",
        (r"disciplina", r"nota|media", r"carga horaria"),
        ("vida escolar",),
    ),
    Kind(
        "alvara",
        r"alvara\b|licenca (?:de|para)",
        (r"autoriza|concede", r"funcionamento|construcao", r"validade|exercicio"),
        ("licença",),
    ),
    Kind(
        "notificacao",
        r"notificacao\b|intimacao\b|auto de infracao",
        (r"notific|intim", r"prazo de", r"infracao|multa|debito"),
        ("notificação",),
    ),
    Kind("convite", r"convocacao\b|convite\b", (r"convoc|convid", r"assembleia|reuniao|evento"), ("convocação",)),
    Kind("despacho", r"despacho\b", (r"encaminhe-se|defiro|indefiro|arquive-se", r"processo"), ("processo",)),
    Kind(
        "termo",
        r"termo de (?!aditivo)\w+",
        (r"responsabilidade|compromisso|recebimento|entrega|posse|ciencia",),
        ("termo",),
    ),
    Kind(
        "carta",
        r"carta\b|letter of",
        (r"prezad|dear\b", r"atenciosamente|sincerely|best regards|cordialmente|yours (?:truly|faithfully)"),
        ("correspondência",),
    ),
    Kind(
        "carteira_de_identidade",
        r"carteira de identidade|cedula de identidade|identity card",
        (
            r"valida em todo o territorio nacional",
            r"registro geral",
            r"republica federativa do brasil",
            r"filiacao",
            r"lei n. 7\.?116|polegar",
        ),
        ("identificação",),
    ),
    Kind(
        "cnh",
        r"carteira nacional de habilitacao|driver'?s? licen[sc]e",
        (r"habilitacao", r"denatran|senatran|detran", r"cat\.? ?hab|categoria", r"registro"),
        ("identificação",),
    ),
    Kind("passaporte", r"passaporte\b|passport\b", (r"p<[a-z]{3}", r"nacionalidade|nationality"), ("identificação",)),
    Kind("titulo_eleitoral", r"titulo eleitoral", (r"zona", r"secao", r"justica eleitoral"), ("identificação",)),
    Kind("crlv", r"certificado de registro e licenciamento", (r"renavam", r"placa", r"chassi"), ("veículo",)),
)
BY_SLUG = {kind.slug: kind for kind in KINDS}

_TITLE_WEIGHT = 6.0
_PHRASE_WEIGHT = 1.0
_MIN_SCORE = 3.5
_MIN_MARGIN = 1.0


@dataclass(frozen=True)
class KindGuess:
    """The kind (none when unsure), how sure, the line that shows it and the best scores."""

    slug: str | None
    confidence: float
    line: int | None
    scores: dict[str, float]


def prominence(line: Line, reading: Reading) -> float:
    """How much a line looks like a heading, 0 to about 1: large, in capitals, short, high up."""
    letters = [character for character in line.text if character.isalpha()]
    if not letters:
        return 0.0
    capitals = sum(character.isupper() for character in letters) / len(letters)
    large = min(1.0, max(0.0, line.height / reading.median_height - 1.0))
    high = max(0.0, 1.0 - line.top / max(1.0, 0.6 * reading.height))
    short = 1.0 if len(line.text) <= 70 else 0.4 if len(line.text) <= 100 else 0.0
    return 0.3 * capitals + 0.25 * large + 0.3 * high + 0.15 * short


def names_a_kind(line: Line) -> bool:
    """True for a short line that begins as some kind's title does."""
    text = fold(line.text)
    return len(text) <= 90 and any(kind.heading.match(text) for kind in KINDS)


def guess_kind(reading: Reading) -> KindGuess:
    """Score every kind by its title and its phrases; abstain when nothing is clear."""
    folded_lines = [fold(line.text) for line in reading.lines]
    body = "\n".join(folded_lines)
    joined = body.replace("\n", " ")
    scores: dict[str, float] = {}
    shown: dict[str, int] = {}
    for kind in KINDS:
        best = 0.0
        for index, text in enumerate(folded_lines):
            value = _heading_value(kind, text, reading.lines[index], reading)
            if value > best:
                best, shown[kind.slug] = value, index
        hits = sum(
            1 for phrase in kind.phrases if re.search(phrase.pattern, body, re.MULTILINE) or phrase.search(joined)
        )
        # Few words of many are common language; most of them together are the kind.
        share = hits / len(kind.phrases) if kind.phrases else 0.0
        scores[kind.slug] = _TITLE_WEIGHT * best + _PHRASE_WEIGHT * hits * (0.5 + 0.5 * share)
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    (first, top), (_, second) = ranked[0], ranked[1]
    best_scores = {slug: round(score, 2) for slug, score in ranked[:3]}
    if top < _MIN_SCORE or (top - second < _MIN_MARGIN and top < 1.08 * second):
        return KindGuess(None, 0.0, None, best_scores)
    confidence = min(0.99, 0.45 + 0.35 * (top - second) / top + 0.2 * min(1.0, top / 8.0))
    return KindGuess(first, round(confidence, 2), shown.get(first), best_scores)


def _heading_value(kind: Kind, text: str, line: Line, reading: Reading) -> float:
    match = kind.heading.search(text[:90])
    if match is None or (match.start() > 0 and text[match.start() - 1].isalnum()):
        return 0.0
    weight = prominence(line, reading)
    if weight < 0.32:
        return 0.0
    # A title begins with its kind; "Secretaria - OFÍCIO 12" comes after a mark; "do contrato" is a mention.
    lead = text[: match.start()].strip()
    if not lead:
        place = 1.0
    elif re.search(r"[-–:|/]$", lead) or re.fullmatch(r"(?:o|a|\d+[oa.]?|n\.?|prefeitura .{3,30})", lead):
        place = 0.75
    else:
        place = 0.3 if line.text.upper() == line.text else 0.12
    if re.match(r"\s*:", text[match.end() :]) or (re.search(r"[a-z] ?: ", text[match.end() :]) and place < 1):
        place *= 0.5
    return place * min(1.0, 0.35 + weight)

"""
Generate pages in layouts, fonts and wordings that `make_documents.py` does not have, with ground truth.

    python tests/data/make_blind_documents.py OUT_DIR --part development|held-out [--count 16] [--seed 11]

Rules are written against the *development* part. The *held-out* part is for the final score and for the
gate of the tests. Everything is invented, as in `make_documents.py`, which supplies the values. Every page is
damaged like a scan, a bad copy or a phone picture (perspective, shadow, dark ground); some are turned
by a quarter or a half. Fonts: Debian packages fonts-freefont-ttf, fonts-noto-core, fonts-crosextra-carlito,
fonts-crosextra-caladea, fonts-liberation, fonts-dejavu-core; missing ones are replaced by those present.
Needs Pillow and numpy.
"""

from __future__ import annotations

import argparse
import glob
import hashlib
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from make_documents import FONTS, MONTHS, Facts, Page, damage
from PIL import Image, ImageDraw, ImageFilter

Layout = Callable[[Page, Facts], dict[str, Any]]

_FONT_PAIRS = [
    ("FreeSerif", "FreeSerifBold"),
    ("FreeSans", "FreeSansBold"),
    ("NotoSans-Regular", "NotoSans-Bold"),
    ("NotoSerif-Regular", "NotoSerif-Bold"),
    ("Carlito-Regular", "Carlito-Bold"),
    ("Caladea-Regular", "Caladea-Bold"),
    ("LiberationMono-Regular", "LiberationMono-Bold"),
    ("DejaVuSerif", "DejaVuSerif-Bold"),
]
_ONES = (  # noqa: SIM905
    "zero um dois três quatro cinco seis sete oito nove dez onze doze treze quatorze quinze dezesseis "
    "dezessete dezoito dezenove "
).split()
_TENS = ["", "", "vinte", "trinta", "quarenta", "cinquenta", "sessenta", "setenta", "oitenta", "noventa"]
_HUNDREDS = [
    "",
    "cento",
    "duzentos",
    "trezentos",
    "quatrocentos",
    "quinhentos",
    "seiscentos",
    "setecentos",
    "oitocentos",
    "novecentos",
]


def in_words(number: int) -> str:
    """Portuguese words for a number below 100000."""
    if number < 20:
        return _ONES[number]
    if number < 100:
        return _TENS[number // 10] + (f" e {_ONES[number % 10]}" if number % 10 else "")
    if number == 100:
        return "cem"
    if number < 1000:
        return _HUNDREDS[number // 100] + (f" e {in_words(number % 100)}" if number % 100 else "")
    rest = number % 1000
    head = "mil" if number < 2000 else f"{in_words(number // 1000)} mil"
    return head + (f"{' e' if rest < 100 or rest % 100 == 0 else ','} {in_words(rest)}" if rest else "")


def day(f: Facts, style: str, lo: int = 2012, hi: int = 2025) -> str:
    """A date in a style that `make_documents.py` lacks; its value joins the truth."""
    y, m, d = f.rng.randint(lo, hi), f.rng.randint(1, 12), f.rng.randint(1, 28)
    month = MONTHS[m - 1]
    text = {
        "dash": f"{d:02d}-{m:02d}-{y}",
        "short": f"{d:02d}/{m:02d}/{y % 100:02d}",
        "dashshort": f"{d:02d}-{m:02d}-{y % 100:02d}",
        "aos": f"aos {d} ({in_words(d)}) dias do mês de {month} de {y}",
        "words": f"{in_words(d)} dias do mês de {month} do ano de {in_words(y)}",
        "iso": f"{y}-{m:02d}-{d:02d}",
        "abbr": f"{d:02d}/{month[:3].upper()}/{y}",
        "daymonth": f"{d} {_ENGLISH[m - 1]} {y}",
        "shorten": f"{_ENGLISH[m - 1][:3]} {d:02d}, {y}",
    }[style]
    return f._keep("dates", text, f"{y}-{m:02d}-{d:02d}")


_ENGLISH = "January February March April May June July August September October November December".split()  # noqa: SIM905


def value(f: Facts, lo: int, hi: int, form: str = "R$ {}", english: bool = False) -> str:
    """An amount printed as *form* says (with or without its currency); its value joins the truth."""
    cents = f.rng.randint(lo * 100, hi * 100)
    text = f"{cents // 100:,}.{cents % 100:02d}"
    text = text if english else text.translate(str.maketrans(",.", ".,"))
    return f._keep("amounts", form.format(text), f"{cents / 100:.2f}")


def _said(f: Facts, title: str, author: str, subject: str, on: str | None = None, **more: Any) -> dict[str, Any]:
    return {"title": title, "author": author, "subject": [subject], "produced_on": on or f.t["dates"][-1], **more}


def _rule(p: Page, gap: float = 3) -> None:
    p.d.line([p.m * p.k, p.y * p.k, (p.w - p.m) * p.k, p.y * p.k], fill=(60, 60, 60), width=2)
    p.y += gap


def _pair(p: Page, label: str, text: str, x: float = 0, width: float = 45, pt: float = 10.5, gap: float = 7) -> None:
    p.put(p.m + x, p.y, label, pt, True)
    p.put(p.m + x + width, p.y, text, pt)
    p.y += gap


def _table(p: Page, heads: list[tuple[str, float]], rows: list[list[str]], pt: float = 9.5) -> None:
    x = p.m
    total = sum(width for _, width in heads)
    for head, width in heads:
        p.put(x + 1, p.y, head, pt, True)
        x += width
    p.y += 6
    for row in rows:
        p.d.line([p.m * p.k, (p.y - 1) * p.k, (p.m + total) * p.k, (p.y - 1) * p.k], fill=(120, 120, 120), width=1)
        x = p.m
        for cell, (_, width) in zip(row, heads, strict=True):
            p.put(x + 1, p.y, cell, pt)
            x += width
        p.y += 6.5
    p.y += 3


# ---- development part ----------------------------------------------------------------------------------------


def oficio_circular(p: Page, f: Facts) -> dict[str, Any]:
    title = f"Ofício Circular nº {f.rng.randint(2, 90)}/2021/GAB"
    author = f"Câmara Municipal de {f.place}"
    p.row("ESTADO DO " + f.rng.choice(["CEARÁ", "PIAUÍ", "PARÁ"]), 10, True, "c", 5)
    p.row(author, 13, True, "c", 12)
    p.row(title, 12, True, gap=8)
    p.row(f"{f.place} ({f.uf}), em {f.date('dot', 2018, 2024)}", 11, gap=12)
    on = f.t["dates"][-1]
    p.row("Ao Senhor", gap=5.5)
    p.row(f.person(), 11, True, gap=5.5)
    p.row("Presidente do Sindicato dos Servidores", gap=10)
    subject = f.rng.choice(
        ["convocação para audiência pública", "atualização do cadastro de fornecedores", "recesso parlamentar"]
    )
    p.row(f"Ref.: {subject}", 11, gap=10)
    p.para(
        f"Senhor Presidente, dirigimo-nos a Vossa Excelência para tratar da {subject}, na forma do expediente recebido em {day(f, 'dash', 2015, 2017)}."  # noqa: E501
    )
    p.para(
        f"Registramos que o custo previsto alcança {value(f, 900, 70000, 'R${}')}, conforme proposta da firma de CNPJ {f.cnpj()}."  # noqa: E501
    )
    p.para("Certos de sua atenção, subscrevemo-nos respeitosamente.")
    p.sign(f.person(), "Vereador Presidente")
    return _said(f, title, author, subject, on)


def memorando(p: Page, f: Facts) -> dict[str, Any]:
    title = f"MEMORANDO Nº {f.rng.randint(2, 300)}/2020"
    author = f"Secretaria Municipal de {f.rng.choice(['Cultura', 'Turismo', 'Transportes'])}"
    p.row(f"Prefeitura Municipal de {f.place}", 11, False, "l", 6)
    p.row(author, 11, True, "l", 12)
    p.row(title, 14, True, "c", 12)
    sender, to = f.person(), f.person()
    subject = f.rng.choice(["empréstimo de veículo oficial", "troca de lâmpadas do auditório", "escala de plantão"])
    _pair(p, "De:", sender, width=25)
    _pair(p, "Para:", to, width=25)
    _pair(p, "Data:", f.date("num", 2019, 2021), width=25)
    on = f.t["dates"][-1]
    _pair(p, "Assunto:", subject, width=25)
    _rule(p, 8)
    p.para(
        f"Comunicamos que, para atender ao pedido de {subject}, será necessário dispor de {value(f, 50, 4000)} até {day(f, 'short', 2022, 2024)}."  # noqa: E501
    )
    p.para("Atenciosamente,")
    p.sign(sender, "Chefe de Divisão")
    return _said(f, title, f"Prefeitura Municipal de {f.place}", subject, on)


def danfe(p: Page, f: Facts) -> dict[str, Any]:
    title = "DANFE - Documento Auxiliar da Nota Fiscal Eletrônica"
    firm = f.firm()
    p.row(title, 12, True, "c", 9)
    x, w = p.m, p.w - 2 * p.m
    p.box(x, p.y, w, 12, "EMITENTE", firm)
    p.box(x, p.y + 12, w / 2, 12, "CNPJ", f.cnpj())
    p.box(x + w / 2, p.y + 12, w / 2, 12, "INSCRIÇÃO ESTADUAL", str(f.rng.randint(10**7, 10**8)))
    p.box(x, p.y + 24, w, 12, "CHAVE DE ACESSO", " ".join(f"{f.rng.randint(0, 9999):04d}" for _ in range(11)), 9)
    p.box(x, p.y + 36, w * 0.6, 12, "DESTINATÁRIO / NOME", f.person())
    p.box(x + w * 0.6, p.y + 36, w * 0.4, 12, "CPF", f.cpf())
    p.box(x, p.y + 48, w / 2, 12, "NATUREZA DA OPERAÇÃO", "Venda de mercadoria")
    p.box(x + w / 2, p.y + 48, w / 2, 12, "DATA DA EMISSÃO", f.date("num"))
    on = f.t["dates"][-1]
    p.y += 66
    item = f.rng.choice(["Cadeira giratória", "Resma de papel A4", "Toner preto"])
    one, two = value(f, 20, 90, "{}"), value(f, 100, 2000, "{}")
    _table(
        p,
        [("DESCRIÇÃO DO PRODUTO", 62), ("NCM", 24), ("QTD", 18), ("VALOR UNIT.", 30), ("VALOR TOTAL", 30)],
        [[item, "9401.30.10", "12,00", one, two]],
    )
    p.box(x, p.y, w / 2, 12, "BASE DE CÁLCULO DO ICMS (R$)", value(f, 100, 2000, "{}"))
    p.box(x + w / 2, p.y, w / 2, 12, "VALOR TOTAL DA NOTA", value(f, 100, 3000))
    return _said(f, title, firm, item, on)


def recibo_timbrado(p: Page, f: Facts) -> dict[str, Any]:
    firm, svc = f.firm(), f.rng.choice(["aluguel de toldo", "conserto de bomba d'água", "aulas de violão"])
    title = f"RECIBO DE PAGAMENTO Nº {f.rng.randint(10, 999):04d}"
    p.row(firm.upper(), 12, True, "l", 5)
    p.row(f"CNPJ {f.cnpj()}", 9, False, "l", 9)
    p.row(title, 15, True, "c", 10)
    cents = f.rng.randint(90, 9000)
    money = f._keep(
        "amounts", f"R$ {cents:,},00".replace(",", ".", 1) if cents > 999 else f"R$ {cents},00", f"{cents}.00"
    )
    p.para(
        f"Recebemos do(a) Sr(a). {f.person()}, CPF {f.cpf()}, a quantia de {money} ({in_words(cents)} reais), "
        f"proveniente de {svc}. Para clareza firmamos o presente.",
        11,
        6.5,
        0,
    )
    p.row(f"{f.place}/{f.uf}, {f.date('num')}", 11, False, "l", 14)
    p.sign(f.person(), "Tesoureiro")
    return _said(f, title, firm, svc)


def locacao(p: Page, f: Facts) -> dict[str, Any]:
    title = "INSTRUMENTO PARTICULAR DE CONTRATO DE LOCAÇÃO DE IMÓVEL RESIDENCIAL"
    p.row("INSTRUMENTO PARTICULAR DE CONTRATO", 13, True, "c", 6)
    p.row("DE LOCAÇÃO DE IMÓVEL RESIDENCIAL", 13, True, "c", 11)
    owner, tenant = f.person(), f.person()
    p.para(f"LOCADOR: {owner}, casado(a), inscrito(a) no CPF/MF sob nº {f.cpf()}.", indent=0)
    p.para(
        f"LOCATÁRIO: {tenant}, solteiro(a), inscrito(a) no CPF/MF sob nº {f.cpf()}, residente na {f.address()}.",
        indent=0,
    )
    p.para(
        "1. O LOCADOR dá em locação ao LOCATÁRIO o imóvel de sua propriedade, que se destina exclusivamente a moradia.",
        indent=0,
    )
    p.para(
        f"2. O aluguel mensal é de {value(f, 500, 4000)}, a ser pago até o dia dez de cada mês, sob pena de multa de 10%.",  # noqa: E501
        indent=0,
    )
    p.para(
        f"3. O prazo da locação inicia em {day(f, 'dash', 2014, 2016)} e termina em {f.date('dot', 2017, 2019)}.",
        indent=0,
    )
    p.para("4. As partes elegem o foro da situação do imóvel.", indent=0)
    p.para(
        f"E por estarem justos e contratados, assinam o presente em {f.place}, {day(f, 'aos', 2012, 2014)}.", indent=0
    )
    on = f.t["dates"][-1]
    p.sign(owner, "Locador")
    p.sign(tenant, "Locatário")
    return _said(f, title, owner, "locação de imóvel residencial", on)


def certidao_cartorio(p: Page, f: Facts) -> dict[str, Any]:
    author, title = f"2º Tabelionato de Notas de {f.place}", "CERTIDÃO DE REGISTRO"
    p.y = 30
    p.row(title, 16, True, "c", 16)
    p.para(
        f"CERTIFICO e dou fé que, revendo os livros deste serviço, deles consta, à folha {f.rng.randint(10, 200)}, o registro em nome de "  # noqa: E501
        f"{f.person()}, CPF nº {f.cpf()}, lavrado em {f.date('long', 2012, 2016)}.",
        12,
        7.5,
    )
    p.para(f"O referido é verdade. {f.place}, {day(f, 'words', 2017, 2025)}.", 12, 7.5)
    on = f.t["dates"][-1]
    p.sign(f.person(), "Escrevente autorizada")
    p.y = 270
    _rule(p)
    p.row(author, 9, True, "c", 4.5)
    p.row(f"{f.address()} - CEP 60.000-000", 8, False, "c")
    return _said(f, title, author, "registro", on)


def residencia(p: Page, f: Facts) -> dict[str, Any]:
    title, who = "DECLARAÇÃO DE RESIDÊNCIA", f.person()
    p.y = 35
    p.row(title, 14, True, "c", 18)
    p.para(
        f"Eu, {who}, portador(a) da cédula de identidade e inscrito(a) no CPF sob o número {f.cpf()}, declaro, sob as penas da lei, "  # noqa: E501
        f"que resido na {f.address()}, desde {f.date('num', 2012, 2015)}.",
        12,
        8,
    )
    p.para("Por ser expressão da verdade, firmo a presente para que produza seus efeitos legais.", 12, 8)
    p.row(f"{f.place}, {f.date('long', 2016, 2025)}", 12, False, "c", 20)
    on = f.t["dates"][-1]
    p.sign(who, "Declarante")
    return _said(f, title, who, "residência", on)


def edital_colunas(p: Page, f: Facts) -> dict[str, Any]:
    title, author = f"EDITAL DE CHAMAMENTO PÚBLICO Nº {f.rng.randint(1, 60)}/2022", f"Prefeitura Municipal de {f.place}"
    p.row(author.upper(), 12, True, "c", 7)
    p.row(title, 13, True, "c", 12)
    top, half = p.y, (p.w - 2 * p.m) / 2 - 4
    texts = [
        f"A Comissão torna público que receberá propostas para o chamamento de entidades culturais. O valor global é de {value(f, 5000, 80000)}, "  # noqa: E501
        "dividido em parcelas iguais, observadas as regras deste edital e da legislação em vigor no município.",
        f"As inscrições ficam abertas até {f.date('num', 2023, 2024)}. Informações podem ser obtidas na sede da Secretaria, em dias úteis, "  # noqa: E501
        "das oito às quatorze horas. As entidades devem comprovar regularidade fiscal e trabalhista.",
    ]
    bottom = top
    for column, text in enumerate(texts):
        p.y, words, line = top, text.split(), ""
        x = p.m + column * (half + 8)
        for word in words:
            if p.font(10, False).getlength(f"{line} {word}") > half * p.k:
                p.put(x, p.y, line, 10)
                p.y, line = p.y + 5.2, word
            else:
                line = f"{line} {word}".strip()
        p.put(x, p.y, line, 10)
        bottom = max(bottom, p.y)
    p.y = bottom + 16
    p.row(f"{f.place}, {f.date('long', 2022, 2022)}.", 11, False, "l", 10)
    on = f.t["dates"][-1]
    p.sign(f.person(), "Presidente da Comissão")
    return _said(f, title, author, "chamamento", on)


def invoice_table(p: Page, f: Facts) -> dict[str, Any]:
    firm = f"{f.rng.choice(['Harbour', 'Northgate', 'Bluefin'])} Instruments Inc."
    title = "COMMERCIAL INVOICE"
    p.row(title, 18, True, "r", 10)
    p.row(firm, 12, True, "l", 5)
    p.row("12 Quay Street, Springport", 9, False, "l", 10)
    _pair(p, "Invoice number", f"HI-{f.rng.randint(100, 999)}", width=40)
    _pair(p, "Invoice date", day(f, "daymonth", 2015, 2020), width=40)
    on = f.t["dates"][-1]
    _pair(p, "Payment due", day(f, "shorten", 2021, 2024), width=40)
    _pair(p, "Sold to", f.person(), width=40, gap=12)
    item = f.rng.choice(["Pressure gauge", "Flow meter", "Survey drone"])
    _table(
        p,
        [("Description", 70), ("Qty", 18), ("Unit price", 36), ("Amount", 36)],
        [[item, "2", value(f, 40, 900, "${}", True), value(f, 1000, 1900, "${}", True)]],
    )
    p.row(f"Total due: {value(f, 2000, 5000, '${}', True)}", 12, True, "r", 10)
    return _said(f, title, firm, item, on, lang="en")


# ---- held-out part -------------------------------------------------------------------------------------------


def procuracao(p: Page, f: Facts) -> dict[str, Any]:
    title, giver, taker = "PROCURAÇÃO", f.person(), f.person()
    p.row(title, 16, True, "c", 14)
    p.para(
        f"OUTORGANTE: {giver}, brasileiro(a), viúvo(a), aposentado(a), CPF nº {f.cpf()}, domiciliado(a) na {f.address()}.",  # noqa: E501
        indent=0,
    )
    p.para(f"OUTORGADO: {taker}, brasileiro(a), advogado(a), CPF nº {f.cpf()}.", indent=0)
    p.para(
        "PODERES: pelo presente instrumento o outorgante confere ao outorgado amplos poderes para representá-lo perante "  # noqa: E501
        "repartições públicas, podendo requerer, assinar e receber documentos.",
        indent=0,
    )
    p.row(f"{f.place} - {f.uf}, {f.date('long')}", align="c", gap=14)
    p.sign(giver, "Outorgante")
    return _said(f, title, giver, "representação")


def ata(p: Page, f: Facts) -> dict[str, Any]:
    author = f"Associação dos Moradores de {f.place}"
    title = "ATA DA ASSEMBLEIA GERAL ORDINÁRIA"
    p.row(author.upper(), 12, True, "c", 8)
    p.row(title, 13, True, "c", 12)
    started = day(f, "aos", 2015, 2024)
    on = f.t["dates"][-1]
    p.para(
        f"{started[0].upper()}{started[1:]}, às dezenove horas, na sede social, reuniram-se os associados para deliberar sobre a prestação de contas. "  # noqa: E501
        f"Presidiu a mesa {f.person()}, que apresentou saldo de {value(f, 300, 9000)} em caixa. Aprovadas as contas por unanimidade. "  # noqa: E501
        "Nada mais havendo a tratar, foi lavrada a presente ata, que, lida e aprovada, vai assinada.",
        11.5,
        7,
    )
    p.sign(f.person(), "Secretária da Assembleia")
    return _said(f, title, author, "prestação de contas", on)


def portaria(p: Page, f: Facts) -> dict[str, Any]:
    author = f"Prefeitura Municipal de {f.place}"
    when = f.date("long", 2016, 2024)
    title = f"PORTARIA Nº {f.rng.randint(10, 700)}, DE {when.upper()}"
    p.row("GABINETE DO PREFEITO", 10, True, "c", 5)
    p.row(author, 12, True, "c", 12)
    p.row(title, 12, True, "c", 12)
    p.para("O PREFEITO MUNICIPAL, no uso de suas atribuições legais, RESOLVE:", indent=0)
    p.para(
        f"Art. 1º Designar o(a) servidor(a) {f.person()}, CPF {f.cpf()}, para responder pelo setor de almoxarifado.",
        indent=0,
    )
    p.para("Art. 2º Esta portaria entra em vigor na data de sua publicação.", indent=0)
    p.sign(f.person(), "Prefeito Municipal")
    return _said(f, title, author, "almoxarifado", f.t["dates"][0])


def atestado(p: Page, f: Facts) -> dict[str, Any]:
    author, title = f"Clínica {f.rng.choice(['Boa Vista', 'Santa Rita', 'Vida Plena'])}", "ATESTADO MÉDICO"
    p.row(author, 15, True, "c", 6)
    p.row(f"CNPJ: {f.cnpj()}", 9, False, "c", 16)
    p.row(title, 14, True, "c", 14)
    p.para(
        f"Atesto, para fins de trabalho, que o(a) Sr(a). {f.person()}, CPF {f.cpf()}, foi atendido(a) nesta clínica e necessita de "  # noqa: E501
        "3 (três) dias de repouso.",
        12,
        8,
    )
    p.row(f"{f.place}, {f.date('num', 2015, 2025)}.", 12, False, "l", 18)
    p.sign(f"Dr. {f.person()}", f"CRM/{f.uf} {f.rng.randint(1000, 9999)}")
    return _said(f, title, author, "atestado")


def purchase_order(p: Page, f: Facts) -> dict[str, Any]:
    firm, title = "Marisol Fisheries LLC", f"PURCHASE ORDER PO-{f.rng.randint(1000, 9999)}"
    p.row(firm, 14, True, "c", 9)
    p.row(title, 13, True, "c", 12)
    _pair(p, "Order date:", f.date("en", 2014, 2022), width=35)
    on = f.t["dates"][-1]
    _pair(p, "Vendor:", "Delta Rope Supplies Ltd.", width=35)
    _pair(p, "Ship to:", f.person(), width=35)
    _pair(p, "Delivery by:", f.date("en", 2023, 2024), width=35, gap=12)
    _table(
        p,
        [("Item", 70), ("Quantity", 25), ("Unit price", 35), ("Total", 35)],
        [["Braided rope 12 mm", "40", value(f, 10, 60, "US$ {}", True), value(f, 400, 2400, "US$ {}", True)]],
    )
    p.row(f"ORDER TOTAL: {value(f, 2500, 6000, 'US$ {}', True)}", 12, True, "r", 16)
    p.row("Authorized by:", 10, gap=6)
    p.row(f.person(), 11, True, gap=6)
    return _said(f, title, firm, "rope", on, lang="en")


def holerite(p: Page, f: Facts) -> dict[str, Any]:
    firm, title = f.firm(), "DEMONSTRATIVO DE PAGAMENTO DE SALÁRIO"
    p.row(firm, 12, True, "l", 5)
    p.row(f"CNPJ: {f.cnpj()}", 9, False, "l", 9)
    p.row(title, 13, True, "c", 10)
    _pair(p, "Funcionário:", f.person(), width=35)
    _pair(p, "CPF:", f.cpf(), width=35)
    _pair(p, "Admissão:", f.date("num", 2012, 2014), width=35)
    _pair(p, "Data do pagamento:", f.date("num", 2019, 2024), width=42, gap=10)
    _table(
        p,
        [("Descrição", 70), ("Proventos (R$)", 45), ("Descontos (R$)", 45)],
        [["Salário base", value(f, 1500, 7000, "{}"), ""], ["INSS", "", value(f, 100, 500, "{}")]],
    )
    p.row(f"Líquido a receber: {value(f, 1200, 6500)}", 12, True, "r", 10)
    return _said(f, title, firm, "remuneração", None)


def requerimento(p: Page, f: Facts) -> dict[str, Any]:
    who, title = f.person(), "REQUERIMENTO"
    p.row(title, 15, True, "c", 14)
    p.row(f"Ilmo. Sr. Secretário de Finanças de {f.place}", 11, gap=12)
    p.para(
        f"{who}, inscrito(a) no CPF sob o nº {f.cpf()}, vem, respeitosamente, requerer a Vossa Senhoria a restituição de taxa paga em "  # noqa: E501
        f"duplicidade em {f.date('num', 2014, 2017)}, no valor de {value(f, 30, 900)}.",
        12,
        8,
    )
    p.row("Nestes termos, pede deferimento.", 12, gap=12)
    p.row(f"{f.place}, {f.date('long', 2018, 2024)}.", 12, False, "r", 14)
    on = f.t["dates"][-1]
    p.sign(who, "Requerente")
    return _said(f, title, who, "restituição de taxa", on)


def agreement(p: Page, f: Facts) -> dict[str, Any]:
    provider, title = "Coralline Consulting Ltd.", "SERVICE AGREEMENT"
    p.row(title, 16, True, "c", 14)
    p.para(
        f"This agreement is made on {f.date('en', 2014, 2018)} between {f.person()} (the Client) and {provider} (the Contractor).",  # noqa: E501
        indent=0,
    )
    on = f.t["dates"][-1]
    p.para("1. Scope. The Contractor shall provide bookkeeping advice to the Client.", indent=0)
    p.para(f"2. Fees. The Client shall pay the sum of {value(f, 900, 9000, 'USD {}', True)} upon completion.", indent=0)
    p.para(f"3. Term. This agreement remains in force until {day(f, 'daymonth', 2019, 2024)}.", indent=0)
    p.para("4. Governing law. The parties submit to the courts of the place of signature.", indent=0)
    p.sign(f.person(), "For the Contractor")
    return _said(f, title, provider, "bookkeeping advice", on, doc_type="contrato", lang="en")


def inscricao(p: Page, f: Facts) -> dict[str, Any]:
    author, title = f"Escola Técnica {f.rng.choice(['Jatobá', 'Angelim'])}", "FICHA DE INSCRIÇÃO"
    p.row(author, 12, True, "l", 7)
    p.row(title, 15, True, "l", 12)
    for label, text in (
        ("Nome completo:", f.person()),
        ("Nome da mãe:", f.person()),
        ("Data de nascimento:", f.date("num", 1970, 2006)),
        ("CPF:", f.cpf()),
        ("Estado civil:", "solteiro(a)"),
        ("Telefone:", f"(85) 9{f.rng.randint(1000, 9999)}-{f.rng.randint(1000, 9999)}"),
        ("Endereço:", f.address()),
        ("Data da inscrição:", f.date("num", 2015, 2024)),
    ):
        _pair(p, label, text, width=48, gap=9)
    return _said(f, title, author, "inscrição")


def boleto(p: Page, f: Facts) -> dict[str, Any]:
    firm, title = f.firm(), "RECIBO DO PAGADOR"
    p.row("Banco Maré 999-9   99990.12345 67890.123456 78901.234567 8 00000000000000", 9, True, "l", 8)
    p.row(title, 11, True, "r", 8)
    x, w = p.m, p.w - 2 * p.m
    p.box(x, p.y, w * 0.65, 12, "Beneficiário", firm)
    p.box(x + w * 0.65, p.y, w * 0.35, 12, "CNPJ do beneficiário", f.cnpj(), 10)
    p.box(x, p.y + 12, w * 0.35, 12, "Data do documento", f.date("num", 2015, 2022))
    on = f.t["dates"][-1]
    p.box(x + w * 0.35, p.y + 12, w * 0.3, 12, "Vencimento", f.date("num", 2023, 2025))
    p.box(x + w * 0.65, p.y + 12, w * 0.35, 12, "Nosso número", str(f.rng.randint(10**6, 10**7)))
    p.box(x, p.y + 24, w * 0.65, 12, "Pagador", f.person())
    p.box(x + w * 0.65, p.y + 24, w * 0.35, 12, "Valor do documento", value(f, 40, 3000))
    p.y += 44
    p.row("Pagável em qualquer agência até o vencimento. Não receber após 30 dias.", 9)
    return _said(f, title, firm, "cobrança", on)


def aditivo(p: Page, f: Facts) -> dict[str, Any]:
    firm, title = f.firm(), f"PRIMEIRO TERMO ADITIVO AO CONTRATO Nº {f.number()}"
    p.row(title, 12, True, "c", 12)
    p.para(
        f"Pelo presente instrumento, de um lado {f.person()}, CPF {f.cpf()}, doravante CONTRATANTE, e de outro {firm}, CNPJ {f.cnpj()}, "  # noqa: E501
        "doravante CONTRATADA, resolvem aditar o contrato, mediante as cláusulas seguintes:",
        indent=0,
    )
    p.para(f"CLÁUSULA 1ª - Fica prorrogado o prazo de vigência até {f.date('num', 2022, 2025)}.", indent=0)
    p.para(f"CLÁUSULA 2ª - O valor mensal passa a ser de {value(f, 500, 20000)}.", indent=0)
    p.para("CLÁUSULA 3ª - Permanecem inalteradas as demais cláusulas.", indent=0)
    p.row(f"{f.place}/{f.uf}, {f.date('long', 2018, 2021)}", align="r", gap=12)
    on = f.t["dates"][-1]
    p.sign(f.person(), "Pela Contratada")
    return _said(f, title, firm, "prazo de vigência", on, doc_type="termo_aditivo")


def receipt(p: Page, f: Facts) -> dict[str, Any]:
    firm, title = "Oyster Bay Music School Ltd.", "OFFICIAL RECEIPT"
    p.row(firm, 13, True, "c", 8)
    p.row(title, 14, True, "c", 10)
    p.row(f"Date: {day(f, 'shorten', 2014, 2024)}", 11, False, "r", 10)
    p.para(
        f"Received from {f.person()} the sum of {value(f, 40, 900, 'US$ {}', True)} as payment for piano lessons.",
        12,
        8,
        0,
    )
    p.sign(f.person(), "Treasurer")
    return _said(f, title, firm, "piano lessons", doc_type="recibo", lang="en")


def laudo(p: Page, f: Facts) -> dict[str, Any]:
    author, title = "Instituto de Perícias Técnicas", "LAUDO DE VISTORIA"
    p.row(author, 12, True, "c", 12)
    p.row(title, 14, True, "c", 12)
    _pair(p, "Solicitante:", f.person(), width=35)
    _pair(p, "CPF:", f.cpf(), width=35)
    _pair(p, "Objeto:", "vistoria de galpão industrial", width=35, gap=11)
    p.para(
        f"Em visita realizada no imóvel constatou-se infiltração na cobertura. O reparo foi estimado em {value(f, 900, 30000, 'R${}')}. "  # noqa: E501
        "Conclui o perito pela necessidade de obras imediatas."
    )
    p.row(f"{f.place} - {f.uf}, {f.date('dot', 2016, 2024)}", align="l", gap=12)
    p.sign(f.person(), "Engenheiro Civil - CREA 12345")
    return _said(f, title, author, "vistoria de galpão industrial")


def nfse_outra(p: Page, f: Facts) -> dict[str, Any]:
    firm, title = f.firm(), "NOTA FISCAL ELETRÔNICA DE SERVIÇOS"
    p.row(f"Município de {f.place}", 11, True, "l", 6)
    p.row(title, 14, True, "l", 11)
    _pair(p, "Emitida em:", f.date("num", 2016, 2024), width=40)
    on = f.t["dates"][-1]
    _rule(p)
    p.row("PRESTADOR DOS SERVIÇOS", 10, True)
    _pair(p, "Nome/Razão Social:", firm, width=45)
    _pair(p, "CPF/CNPJ:", f.cnpj(), width=45)
    _rule(p)
    p.row("TOMADOR DOS SERVIÇOS", 10, True)
    _pair(p, "Nome/Razão Social:", f.person(), width=45)
    _pair(p, "CPF/CNPJ:", f.cpf(), width=45)
    _rule(p)
    svc = f.rng.choice(["pintura de fachada", "poda de árvores", "impressão de cartazes"])
    _pair(p, "Descrição dos serviços:", svc, width=52)
    _pair(p, "Alíquota:", "5,00 %", width=52)
    _pair(p, "Valor dos serviços:", value(f, 200, 9000), width=52)
    return _said(f, title, firm, svc, on, doc_type="nota_fiscal")


def oficio_camara(p: Page, f: Facts) -> dict[str, Any]:
    author, title = f"Conselho Regional de Pesca de {f.place}", f"OF. Nº {f.rng.randint(10, 400)}/2019-CRP"
    p.row(title, 12, True, "l", 8)
    p.row(f"{f.place}, {f.date('long', 2018, 2020)}", align="r", gap=12)
    on = f.t["dates"][-1]
    p.row("À Sua Excelência o Senhor", gap=5.5)
    p.row(f.person(), 11, True, gap=5.5)
    p.row("Prefeito Municipal", gap=10)
    subject = "defeso da lagosta"
    p.row(f"ASSUNTO: {subject}", 11, True, gap=10)
    p.para(
        f"Senhor Prefeito, solicitamos a Vossa Excelência o apoio à campanha do {subject}, cujo início se dará em {day(f, 'abbr', 2021, 2022)}. "  # noqa: E501
        f"O material gráfico foi orçado em {value(f, 300, 8000)}."
    )
    p.para("Atenciosamente,")
    p.sign(f.person(), "Presidente")
    p.y = 272
    p.row(f"{author} - CNPJ {f.cnpj()}", 9, False, "c")
    return _said(f, title, author, subject, on, doc_type="oficio")


def certidao_tempo(p: Page, f: Facts) -> dict[str, Any]:
    author, title = f"Secretaria de Administração de {f.place}", "CERTIDÃO DE TEMPO DE SERVIÇO"
    p.row(author, 12, True, "r", 14)
    p.row(title, 14, True, "c", 14)
    p.para(
        f"Certifico, a pedido da parte interessada, que {f.person()}, CPF {f.cpf()}, exerceu o cargo de professor no período de "  # noqa: E501
        f"{f.date('num', 2012, 2013)} a {f.date('num', 2019, 2020)}, conforme registros funcionais.",
        12,
        8,
    )
    p.row(f"Fortim dos Ventos, {f.date('long', 2021, 2024)}", 12, False, "r", 16)
    on = f.t["dates"][-1]
    f.place = "Fortim dos Ventos"
    p.sign(f.person(), "Analista de Gestão")
    return _said(f, title, author, "tempo de serviço", on, doc_type="certidao")


DEVELOPMENT: dict[str, tuple[str, Layout]] = {
    "a": ("oficio", oficio_circular),
    "b": ("memorando", memorando),
    "c": ("nota_fiscal", danfe),
    "d": ("recibo", recibo_timbrado),
    "e": ("contrato", locacao),
    "f": ("certidao", certidao_cartorio),
    "g": ("declaracao", residencia),
    "h": ("edital", edital_colunas),
    "i": ("invoice", invoice_table),
}
HELD_OUT: dict[str, tuple[str, Layout]] = {
    "a": ("procuracao", procuracao),
    "b": ("ata", ata),
    "c": ("portaria", portaria),
    "d": ("atestado", atestado),
    "e": ("purchase_order", purchase_order),
    "f": ("holerite", holerite),
    "g": ("requerimento", requerimento),
    "h": ("contrato", agreement),
    "i": ("ficha_cadastral", inscricao),
    "j": ("boleto", boleto),
    "k": ("termo_aditivo", aditivo),
    "l": ("recibo", receipt),
    "m": ("laudo", laudo),
    "n": ("nota_fiscal", nfse_outra),
    "o": ("oficio", oficio_camara),
    "p": ("certidao", certidao_tempo),
}


def phone_picture(image: Image.Image, rng: random.Random) -> Image.Image:
    """*image* as a sheet on a dark table, seen at an angle, with a hand's shadow."""
    width, height = image.size
    pad_x, pad_y = round(width * 0.09), round(height * 0.07)
    ground = (
        np.random.default_rng(rng.randrange(2**32))
        .normal(70, 8, (height + 2 * pad_y, width + 2 * pad_x))
        .clip(0, 255)
        .astype(np.uint8)
    )
    corners = [(pad_x, pad_y), (pad_x + width, pad_y), (pad_x + width, pad_y + height), (pad_x, pad_y + height)]
    shake = 0.045 * width
    moved = [(x + rng.uniform(-shake, shake), y + rng.uniform(-shake, shake)) for x, y in corners]
    rows, wanted = [], []
    for (u, v), (x, y) in zip([(0, 0), (width, 0), (width, height), (0, height)], moved, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    coefficients = np.linalg.solve(np.array(rows, float), np.array(wanted, float))
    size = (width + 2 * pad_x, height + 2 * pad_y)
    seen = image.convert("L").transform(
        size, Image.Transform.PERSPECTIVE, tuple(coefficients), Image.Resampling.BICUBIC
    )
    mask = Image.new("L", image.size, 255).transform(size, Image.Transform.PERSPECTIVE, tuple(coefficients))
    picture = Image.composite(seen, Image.fromarray(ground), mask)
    shade = Image.new("L", size, 255)
    x, y = rng.uniform(0.2, 0.8) * size[0], rng.uniform(0.5, 1.0) * size[1]
    ImageDraw.Draw(shade).ellipse(
        [x - 0.45 * size[0], y - 0.3 * size[1], x + 0.45 * size[0], y + 0.3 * size[1]], fill=rng.randint(120, 170)
    )
    shade = shade.filter(ImageFilter.GaussianBlur(size[0] / 14))
    return Image.fromarray((np.asarray(picture, np.float32) * np.asarray(shade, np.float32) / 255).astype(np.uint8))


def make(out: Path, part: str, count: int = 16, seed: int = 11) -> list[dict[str, Any]]:
    """Write *count* pages of *part* and truth.json into *out*; the same arguments give the same bytes."""
    out.mkdir(parents=True, exist_ok=True)
    layouts = list((HELD_OUT if part == "held-out" else DEVELOPMENT).values())
    here = {Path(path).stem for path in glob.glob("/usr/share/fonts/**/*.ttf", recursive=True)}
    fonts = [pair for pair in _FONT_PAIRS if set(pair) <= here] or FONTS
    truth: list[dict[str, Any]] = []
    for index in range(count):
        rng = random.Random(f"{part}-{seed}-{index}")
        kind, layout = layouts[index % len(layouts)]
        facts = Facts(rng)
        dpi = rng.choice((300, 300, 200))
        page = Page(dpi=dpi, fonts=rng.choice(fonts))
        said = layout(page, facts)
        how = rng.choice(("scan", "scan", "copy", "phone"))
        image, _ = damage(
            page.img, rng, {"scan": 1.0, "copy": 2.0, "phone": 0.6}[how], "L", 2.0 if how != "phone" else 0.5
        )
        image = phone_picture(image, rng) if how == "phone" else image
        turn = rng.choice((0, 0, 0, 0, 90, 180, 270))
        image = image.rotate(-turn, expand=True)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=rng.choice((40, 70)), **({} if how == "phone" else {"dpi": (dpi, dpi)}))
        name = f"{index:02d}.jpg"
        (out / name).write_bytes(buffer.getvalue())
        record = {
            "file": name,
            "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
            "dpi": dpi,
            "how": how,
            "turn": turn,
            "doc_type": kind,
            "lang": "pt",
            "produced_at": facts.place,
            **facts.t,
            "text": "\n".join(page.lines),
        }
        record.update(said)
        # Only what the page shows can be found.
        if record["produced_at"].casefold() not in record["text"].casefold():
            del record["produced_at"]
        truth.append(record)
    (out / "truth.json").write_text(
        json.dumps({"seed": seed, "part": part, "documents": truth}, ensure_ascii=False, indent=1), encoding="utf-8"
    )
    return truth


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Generate pages in other layouts.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--part", choices=["development", "held-out"], default="development")
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--seed", type=int, default=11)
    given = parser.parse_args()
    print(len(make(given.out, given.part, given.count, given.seed)), "documents in", given.out)

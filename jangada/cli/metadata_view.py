"""What doc-metadata answered, as tables for a terminal. Pure: JSON in, renderables out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from jangada.cli.output import pairs_table, reason, seconds, status_text
from jangada.client import Job

ELEMENTS = {
    "assunto": "Assunto",
    "autor": "Autor",
    "data_local_digitalizacao": "Data e local da digitalização",
    "identificador": "Identificador",
    "responsavel": "Responsável pela digitalização",
    "titulo": "Título",
    "tipo_documental": "Tipo documental",
    "hash": "Hash da imagem",
    "classe": "Classe",
    "data_producao": "Data e local de produção",
    "destinacao": "Destinação prevista",
    "genero": "Gênero",
    "prazo_guarda": "Prazo de guarda",
}
"""Annex II of Decreto 10.278/2020: the first eight are due always, the others where a public body is involved."""

FIELDS = {"cpf": "CPF", "cnpj": "CNPJ", "dates": "dates", "amounts": "amounts", "people": "people"}
SOURCE_STYLES = {"inferred": "cyan", "submitted": "green", "system": "blue"}


def document(name: str, job: Job, output: Mapping[str, Any]) -> RenderableType:
    """Everything about one document."""
    return Group(
        f"\n[bold]{escape(name)}[/]  {status_text(job.status)}  [dim]{job.id}[/]",
        elements(output.get("metadata") or {}),
        pairs_table(
            [
                ("found", found(output.get("fields") or {})),
                ("compliance", compliance(output.get("compliance") or {})),
                ("review", review(output)),
                ("timings", timings(job)),
            ]
        ),
    )


def elements(metadata: Mapping[str, Any]) -> Table:
    """The elements of the decree: value, where it comes from, how sure."""
    table = Table("element", "value", "source", "confidence", box=box.SIMPLE_HEAD, pad_edge=False)
    table.columns[1].overflow = "fold"
    for name in [*ELEMENTS, *(name for name in metadata if name not in ELEMENTS)]:
        element = metadata.get(name)
        if not isinstance(element, Mapping):
            continue
        text = value_text(element.get("value"))
        source = str(element.get("source", ""))
        table.add_row(
            ELEMENTS.get(name, escape(name)),
            escape(text) if text else f"[dim]{'not given' if source == 'submitted' else 'unknown'}[/]",
            f"[{SOURCE_STYLES.get(source, 'white')}]{escape(source)}[/]" if text else "",
            _confidence(element.get("confidence")) if text else "",
        )
    return table


def found(fields: Mapping[str, Any]) -> str:
    """The fields read from the page, those that are there."""
    parts = []
    for name, label in FIELDS.items():
        values = [_field(item) for item in fields.get(name) or []]
        if values:
            parts.append(f"{label} {', '.join(map(escape, values))}")
    return " · ".join(parts) or "[dim]nothing[/]"


def compliance(answer: Mapping[str, Any]) -> str:
    """Annex I at a glance, then what is missing."""
    checks = [
        f"{label} {_verdict(answer.get(key))}"
        for key, label in (("dpi_ok", "resolution"), ("colour_ok", "colour"), ("format_ok", "format"))
    ]
    missing = [ELEMENTS.get(name, name) for name in answer.get("missing") or []]
    if answer.get("excluded_kind"):
        checks.append(f"[red]excluded: {escape(str(answer['excluded_kind']))}[/]")
    if missing:
        checks.append(f"missing: {escape(', '.join(missing))}")
    return " · ".join(checks)


def review(output: Mapping[str, Any]) -> str:
    """Whether a person has to look, and why."""
    if not output.get("needs_review"):
        return "[green]not needed[/]"
    return "[yellow]needed[/]: " + escape(", ".join(map(str, output.get("review_reasons") or [])))


def timings(job: Job) -> str:
    """Where the time went, by phase."""
    phases = (("queue", "queue_s"), ("setup", "setup_s"), ("run", "run_s"), ("CPU", "cpu_s"))
    shown = [f"{label} {seconds(job.metrics[key])}" for label, key in phases if job.metrics.get(key) is not None]
    return " · ".join([*shown, f"in all {seconds(total_s(job))}"])


def summary(rows: Sequence[tuple[str, Job, Mapping[str, Any]]]) -> Table:
    """One line per document."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    for heading in (" ", "document", "kind", "title", "review", "run"):
        # A narrow terminal folds the titles; all else stays whole.
        table.add_column(heading, no_wrap=heading != "title")
    for name, job, output in rows:
        metadata = output.get("metadata") or {}
        table.add_row(
            "[green]✓[/]" if job.succeeded else "[red]✗[/]",
            escape(name),
            escape(_element(metadata, "tipo_documental")),
            escape(_element(metadata, "titulo")) if job.succeeded else f"{status_text(job.status)}: {reason(job)}",
            ("yes" if output.get("needs_review") else "no") if job.succeeded else "-",
            seconds(job.metrics.get("run_s")),
        )
    return table


def value_text(value: Any) -> str:
    """A value of an element as one line, a checksum by its beginning; empty when it is unknown."""
    if isinstance(value, Mapping):
        if "algorithm" in value:
            return f"{value['algorithm']}:{str(value.get('value'))[:24]}…"
        return ", ".join(_texts(value.values()))
    if isinstance(value, list):
        return "; ".join(_texts(value))
    return "" if value is None else str(value)


def total_s(job: Job) -> float | None:
    """From acceptance to the final status."""
    if job.created_at is None or job.completed_at is None:
        return None
    return (job.completed_at - job.created_at).total_seconds()


def _element(metadata: Mapping[str, Any], name: str) -> str:
    element = metadata.get(name)
    return (value_text(element.get("value")) if isinstance(element, Mapping) else "") or "-"


def _texts(values: Iterable[Any]) -> list[str]:
    return [text for text in map(value_text, values) if text]


def _field(item: Any) -> str:
    if not isinstance(item, Mapping):
        return str(item)
    currency = item.get("currency")
    return f"{currency} {item.get('value')}" if currency else str(item.get("value"))


def _confidence(value: Any) -> str:
    if not isinstance(value, int | float):
        return ""
    style = "green" if value >= 0.8 else "yellow" if value >= 0.6 else "red"
    return f"[{style}]{value:.0%}[/]"


def _verdict(ok: Any) -> str:
    return "[green]✓[/]" if ok else "[yellow]?[/]" if ok is None else "[red]✗[/]"

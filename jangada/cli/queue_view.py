"""What queues look like on the screen: bars per priority, ages, and where it is going."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from jangada.cli.output import seconds, size
from jangada.client.queues import BANDS, Queue

BAND_STYLES = {"high": "red", "normal": "yellow", "low": "blue"}
_STATUS_STYLES = {"running": "green", "paused": "bold red", "draining": "bold magenta"}
_BLOCKS = " ▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_REMEMBERED = 40
_TREND_S = 10.0
_WIDE = 110
_SPARK = 20
_LEAST_BAR, _MOST_BAR = 10, 40


@dataclass(slots=True)
class History:
    """Unfinished jobs of one queue over time."""

    samples: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def add(self, at: float, jobs: int) -> None:
        """Remember that there were *jobs* at *at* (monotonic seconds)."""
        self.samples.append((at, jobs))

    @property
    def trend_per_s(self) -> float | None:
        """How fast it grows (above 0) or empties, over the last seconds; None before two looks at it."""
        if len(self.samples) < 2:
            return None
        last_at, last = self.samples[-1]
        first_at, first = next(sample for sample in self.samples if sample[0] >= last_at - _TREND_S)
        if first_at == last_at:
            first_at, first = self.samples[-2]
        return (last - first) / (last_at - first_at) if last_at > first_at else None

    def line(self) -> str:
        """A line of blocks, the highest sample a full one."""
        most = max((jobs for _, jobs in self.samples), default=0)
        return "".join(_BLOCKS[-(-jobs * 8 // most) if most else 1] for _, jobs in self.samples)


def overview(queues: Sequence[Queue], histories: Mapping[str, History], console: Console) -> RenderableType:
    """All queues, one per line. A narrow terminal loses the history first, then the bar."""
    shown = [(queue, histories.get(queue.name, History())) for queue in queues]
    has_trend = any(history.trend_per_s is not None for _, history in shown)
    columns = [("queue", [_name(queue) for queue in queues]), *_numbers(queues)]
    if has_trend:
        columns.append(("trend", [Text.from_markup(trend_text(history.trend_per_s)) for _, history in shown]))
    # Steady while numbers change: what grows by a digit must not move all the rest.
    widths = {"oldest": 7, "trend": 8} | dict.fromkeys(BANDS, 6)
    taken = [max(len(title), widths.get(title, 0), *(cell.cell_len for cell in cells)) for title, cells in columns]
    gap = 2 if console.width >= _WIDE else 1
    free = console.width - sum(taken) - gap * len(taken)
    if has_trend and free >= _LEAST_BAR + _SPARK + gap:
        columns.append(("", [Text(history.line()[-_SPARK:].rjust(_SPARK), style="dim") for _, history in shown]))
        free -= _SPARK + gap
    if free >= _LEAST_BAR:
        width = min(_MOST_BAR, free)
        longest = max(sum(queue.ready.values()) for queue in queues)
        columns.insert(1, ("waiting".ljust(width), [_stacked(queue, longest, width) for queue in queues]))
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, gap, 0, 0))
    for title, _ in columns:
        is_left = title in {"queue", ""} or title.startswith("waiting")
        table.add_column(title, justify="left" if is_left else "right", no_wrap=True, min_width=widths.get(title))
    for cells in zip(*(cells for _, cells in columns), strict=True):
        table.add_row(*cells)
    return table


def _numbers(queues: Sequence[Queue]) -> list[tuple[str, list[Text]]]:
    bands = [(band, [_count(queue.ready[band], BAND_STYLES[band]) for queue in queues]) for band in BANDS]
    return [
        *bands,
        ("delayed", [_count(queue.delayed, "cyan") for queue in queues]),
        ("running", [_count(queue.leased, "green") for queue in queues]),
        ("dead", [_count(queue.dead, "bold red") for queue in queues]),
        ("oldest", [Text(seconds(queue.oldest_s)) for queue in queues]),
    ]


def detail(queue: Queue, history: History, console: Console) -> RenderableType:
    """One queue: a bar per priority, then everything else that is known."""
    width = max(10, min(60, console.width - 30))
    most = max([*queue.ready.values(), queue.delayed, queue.leased, 1])
    bars = Table(box=None, pad_edge=False, show_header=False)
    bars.add_column(style="bold", min_width=9)
    bars.add_column(justify="right", min_width=7)
    bars.add_column(no_wrap=True, min_width=width)
    rows = [(band, queue.ready[band], BAND_STYLES[band]) for band in BANDS]
    for name, count, style in (*rows, ("delayed", queue.delayed, "cyan"), ("running", queue.leased, "green")):
        bars.add_row(name, str(count), Text(bar(count, most, width), style=style))
    facts = Table(box=None, pad_edge=False, show_header=False)
    facts.add_column(style="bold", min_width=9)
    facts.add_column(overflow="fold")
    for name, value in _facts(queue, history):
        facts.add_row(name, value)
    return Group(_name(queue), bars, facts)


def bar(count: int, most: int, width: int) -> str:
    """A bar of *width* columns for *most*; whatever is above 0 shows."""
    if count <= 0 or most <= 0:
        return ""
    eighths = max(1, round(count * width * 8 / most))
    return _EIGHTHS[8] * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def trend_text(per_s: float | None) -> str:
    """``▲ 3.2/s``, ``▼ 12/s``, ``steady``; as markup."""
    if per_s is None:
        return ""
    if abs(per_s) < 0.05:
        return "[dim]steady[/]"
    amount = f"{abs(per_s):.0f}" if abs(per_s) >= 10 else f"{abs(per_s):.1f}"
    return f"[yellow]▲ {amount}/s[/]" if per_s > 0 else f"[green]▼ {amount}/s[/]"


def status_text(queue: Queue) -> str:
    """How the queue is held up, as markup."""
    return ", ".join(f"[{_STATUS_STYLES[word]}]{word}[/]" for word in queue.status.split(", "))


def _facts(queue: Queue, history: History) -> list[tuple[str, str]]:
    trend = history.trend_per_s
    going = trend_text(trend)
    if trend is not None and trend < -0.05 and queue.jobs:
        going += f", empty in {seconds(queue.jobs / -trend)}"
    if going:
        going += f"  [dim]{history.line()}[/]"
    tenants = sorted(queue.tenants.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{escape(name)} {jobs}" for name, jobs in tenants[:8])
    facts = [
        ("oldest", seconds(queue.oldest_s)),
        ("dead", f"[bold red]{queue.dead}[/]" if queue.dead else "0"),
        ("all", f"{queue.jobs} unfinished, {size(queue.bytes)}"),
        ("trend", going),
        ("rate", f"at most {queue.rate_per_s:g} jobs/s" if queue.rate_per_s is not None else ""),
        ("tenants", shown + (f" and {len(tenants) - 8} more" if len(tenants) > 8 else "")),
        ("serves", escape(", ".join(queue.algorithms))),
    ]
    return [(name, value) for name, value in facts if value]


def _name(queue: Queue) -> Text:
    said = f"[bold]{escape(queue.name)}[/]"
    return Text.from_markup(said if queue.status == "running" else f"{said} {status_text(queue)}")


def _stacked(queue: Queue, longest: int, width: int) -> Text:
    """The priorities one after another, *width* columns for the longest queue."""
    text = Text()
    for band in BANDS:
        cells = -(-queue.ready[band] * width // longest) if longest else 0
        text.append("█" * cells, style=BAND_STYLES[band])
    text.truncate(width)
    return text


def _count(value: int, style: str) -> Text:
    return Text(str(value), style=style if value else "dim")

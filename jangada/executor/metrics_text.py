"""
Counters, gauges and histograms, and their page in Prometheus' text format 0.0.4.

Not `prometheus_client`: the executor's parent idles beside every algorithm, and
importing that costs it 2.6 MiB. There are no locks: each series is written by one
thread, and a page that is read meanwhile is at most one observation behind.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[str, ...]


class Family(Protocol):
    """One metric with all its series."""

    name: str
    about: str
    kind: str
    labels: Labels

    def lines(self, constant: str) -> Iterator[str]:
        """Its samples, each with the labels *constant* too (``a="b",``)."""
        ...


class Counter:
    """
    Only grows; a name ending in ``_total``.

    The series of *known* label values begin at 0: Prometheus sees no growth in one
    that appears with its first count.
    """

    kind = "counter"

    def __init__(self, name: str, about: str, labels: Labels = (), known: Iterable[str] = ()) -> None:
        self.name, self.about, self.labels = name, about, labels
        self._values: dict[Labels, float] = {(word,): 0 for word in known} if labels else {(): 0}

    def add(self, *values: str, by: float = 1) -> None:
        """Count *by* more in the series of these label values."""
        self._values[values] = self._values.get(values, 0) + by

    def lines(self, constant: str) -> Iterator[str]:
        for values, value in list(self._values.items()):
            yield f"{self.name}{_braces(constant, self.labels, values)} {_number(value)}"


class Gauge:
    """Asked for when the page is read: pairs of label values and value. *kind* ``counter``: somebody else counts."""

    def __init__(
        self,
        name: str,
        about: str,
        read: Callable[[], Iterable[tuple[Labels, float]]],
        labels: Labels = (),
        kind: str = "gauge",
    ) -> None:
        self.name, self.about, self.kind, self.labels, self._read = name, about, kind, labels, read

    def lines(self, constant: str) -> Iterator[str]:
        for values, value in self._read():
            yield f"{self.name}{_braces(constant, self.labels, values)} {_number(value)}"


class Histogram:
    """Observations by upper bound."""

    kind = "histogram"

    def __init__(self, name: str, about: str, bounds: Sequence[float], labels: Labels = ()) -> None:
        self.name, self.about, self.labels, self._bounds = name, about, labels, tuple(bounds)
        self._series: dict[Labels, list[float]] = {}

    def observe(self, value: float, *values: str) -> None:
        """Count *value* in the series of these label values."""
        series = self._series.get(values)
        if series is None:
            # One cell per bound, one for what is above all of them, one for the sum.
            series = self._series[values] = [0] * (len(self._bounds) + 2)
        series[bisect_left(self._bounds, value)] += 1
        series[-1] += value

    def lines(self, constant: str) -> Iterator[str]:
        for values, cells in list(self._series.items()):
            *counts, total = list(cells)
            below = 0.0
            for bound, count in zip((*self._bounds, None), counts, strict=True):
                below += count
                edge = "+Inf" if bound is None else f"{bound:g}"
                labels = _braces(constant, (*self.labels, "le"), (*values, edge))
                yield f"{self.name}_bucket{labels} {_number(below)}"
            labels = _braces(constant, self.labels, values)
            yield f"{self.name}_sum{labels} {_number(total)}"
            yield f"{self.name}_count{labels} {_number(below)}"


class Page:
    """Families that are shown together, all with the labels *constant*."""

    def __init__(self, families: Iterable[Family], **constant: str) -> None:
        self.families = tuple(families)
        self._constant = "".join(f'{name}="{_escaped(value)}",' for name, value in constant.items())

    def text(self) -> str:
        """The samples as they are now; a family without any is left out."""
        return "".join(f"{line}\n" for family in self.families for line in self._lines(family))

    def _lines(self, family: Family) -> Iterator[str]:
        samples = list(family.lines(self._constant))
        if samples:
            yield f"# HELP {family.name} {family.about}"
            yield f"# TYPE {family.name} {family.kind}"
            yield from samples


def _braces(constant: str, labels: Labels, values: Labels) -> str:
    own = ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(labels, values, strict=True))
    inside = (constant + own).rstrip(",")
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))

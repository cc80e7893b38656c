"""Compares what doc-metadata said about generated pages with what their generator knows."""

from __future__ import annotations

import difflib
import unicodedata
from typing import Any


def plain(text: str | None) -> str:
    """Letters and digits of *text*, without accents and case."""
    decomposed = unicodedata.normalize("NFD", (text or "").casefold())
    return "".join(character for character in decomposed if character.isalnum())


class Score:
    """Counts over a set of pages; `misses` says in words what was wrong."""

    VALUES = ("cpf", "cnpj", "dates", "amounts")

    def __init__(self) -> None:
        self.right = dict.fromkeys(
            (*self.VALUES, "people", "type", "title", "author", "produced_on", "produced_at", "subject"), 0
        )
        self.due = dict.fromkeys(self.right, 0)
        self.wrong = dict.fromkeys((*self.VALUES, "people"), 0)
        self.line_accuracy: list[float] = []
        self.misses: list[str] = []

    def add(self, truth: dict[str, Any], out: dict[str, Any]) -> None:
        """Count one page."""
        name = truth["file"]
        for key in (*self.VALUES, "people"):
            want = {plain(value) if key == "people" else value for value in truth.get(key, [])}
            got = {plain(item["value"]) if key == "people" else item["value"] for item in out["fields"][key]}
            self.due[key] += len(want)
            self.right[key] += len(want & got)
            self.wrong[key] += len(got - want)
            if want - got:
                self.misses.append(f"{name}: {key} not found: {sorted(want - got)}")
            if got - want:
                self.misses.append(f"{name}: {key} wrong: {sorted(got - want)}")
        said = out["metadata"]
        self._same(name, "type", truth.get("doc_type"), said["tipo_documental"]["value"])
        self._same(name, "title", truth.get("title"), said["titulo"]["value"])
        self._same(name, "author", truth.get("author"), said["autor"]["value"])
        self._same(name, "produced_on", truth.get("produced_on"), said["data_producao"]["value"]["time"])
        place = (said["data_producao"]["value"]["place"] or "").split(" - ")[0]
        self._same(name, "produced_at", truth.get("produced_at"), place)
        subject = " ".join(said["assunto"]["value"])
        if truth.get("subject"):
            self.due["subject"] += 1
            hit = any(
                plain(word) in plain(said_word) or plain(said_word) in plain(word)
                for word in truth["subject"]
                for said_word in said["assunto"]["value"]
            )
            self.right["subject"] += hit
            if not hit:
                self.misses.append(f"{name}: subject: wanted {truth['subject']}, got {subject!r}")
        text = "\n".join(page["text"] or "" for page in out["pages"])
        read = text.replace("  ", "\n").split("\n") + text.split("\n")
        for line in truth.get("text", "").split("\n"):
            matcher = difflib.SequenceMatcher(None, line, "", autojunk=False)
            best = 0.0
            for candidate in read:
                matcher.set_seq2(candidate)
                if matcher.real_quick_ratio() > best:
                    best = max(best, matcher.ratio())
            self.line_accuracy.append(best)

    def _same(self, name: str, key: str, want: str | None, got: str | None) -> None:
        if not want:
            return
        self.due[key] += 1
        if plain(want) == plain(got):
            self.right[key] += 1
        else:
            self.misses.append(f"{name}: {key}: wanted {want!r}, got {got!r}")

    def row(self) -> str:
        """One line of figures."""
        parts = [
            f"{key} {self.right[key]}/{self.due[key]}" + (f" (+{self.wrong[key]} wrong)" if self.wrong.get(key) else "")
            for key in self.right
        ]
        accuracy = sum(self.line_accuracy) / len(self.line_accuracy) if self.line_accuracy else 0.0
        return f"lines {100 * accuracy:.2f} %, " + ", ".join(parts)

"""What a person sees while the platform starts, runs in the foreground, and stops."""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from jangada.local.home import Home
from jangada.local.state import PlatformState

_MARKS = {"ready": "[green]✓[/]", "done": "[green]✓[/]", "backoff": "[yellow]![/]"}


class Starting:
    """An observer of the supervisor: a line per part and a spinner on a terminal, plain lines elsewhere."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._begun = time.monotonic()
        self._console = Console(stderr=False, highlight=False, soft_wrap=True)
        self._seen: dict[str, str] = {}
        self._told: set[str] = set()
        self._whole = ""
        self._progress: Progress | None = None
        self._had_key = home.connection_file.exists()

    def __enter__(self) -> Starting:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_progress()

    def show(self, state: PlatformState) -> None:
        """Tell what is new in *state*."""
        if state.state == "starting":
            self._begin_progress()
        for part in state.parts:
            if self._seen.get(part.part) != part.state:
                self._seen[part.part] = part.state
                self._tell(part.part, part.state, part.note, starting=state.state == "starting")
        if state.state != self._whole:
            self._whole = state.state
            self._tell_whole(state)
        sys.stdout.flush()

    def _tell(self, part: str, state: str, note: str, *, starting: bool) -> None:
        after = f"{time.monotonic() - self._begun:.1f} s"
        if state == "backoff":
            self._console.print(f"  {_MARKS[state]} {part:28} {escape(note)}, starting it again")
        elif state in {"ready", "done"} and (starting or part not in self._told):
            self._told.add(part)
            self._console.print(f"  {_MARKS[state]} {part:28} {after}")
        elif state == "starting" and part.startswith("environment:"):
            self._console.print(f"  … {part:28} building; `jangada logs {part} -f` shows it")

    def _tell_whole(self, state: PlatformState) -> None:
        if state.state == "ready":
            self._end_progress()
            self._console.print(f"\nJangada is up after {time.monotonic() - self._begun:.1f} s: [bold]{state.url}[/]")
            self._tell_next(state.url)
        elif state.state == "stopping":
            self._console.print("stopping …")
        elif state.state == "stopped":
            self._console.print("stopped; nothing is lost, `jangada up` goes on where it was")

    def _tell_next(self, url: str) -> None:
        try:
            key = str(json.loads(self._home.connection_file.read_text(encoding="utf-8"))["api_key"])
        except (OSError, ValueError, KeyError):
            key = ""
        if key and not self._had_key:
            self._console.print(f"Admin key, shown this once and kept in {self._home.connection_file}:\n  {key}")
        self._console.print(
            f"""
Try:
  jangada algorithms
  jangada submit doc-metadata page.png --wait
  curl {url}/v1/algorithms -H "Authorization: Bearer $KEY"
  jangada status      jangada logs -f      jangada down
  faas-cli login -g {url} -u admin --password-stdin < {self._home.secrets_dir}/basic-auth-password
"""
        )

    def _begin_progress(self) -> None:
        if self._progress is not None or not self._console.is_terminal:
            return
        self._progress = Progress(
            SpinnerColumn(), TextColumn("starting"), TimeElapsedColumn(), console=self._console, transient=True
        )
        self._progress.add_task("starting", total=None)
        self._progress.start()

    def _end_progress(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

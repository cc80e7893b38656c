"""`jangada submit`: files in, outputs out."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from jangada.cli.output import EXIT_FAILED, EXIT_INTERRUPTED, ends_cleanly, err, print_json, print_value, say_it_goes_on
from jangada.cli.watching import follow, report
from jangada.client import ApiError, Client, Job
from jangada.client.inputs import file_field, with_value

EXAMPLES = """\b
Examples:
  jangada submit doc-metadata page.png
  jangada submit doc-ocr *.png --json | jq -r .output.text
  jangada submit text-langid --input '{"texts": ["bom dia", "good morning"]}'
  jangada submit image-prepare page.jpg --param 'ops=["deskew"]' --no-wait
  cat input.json | jangada submit text-embed --input -
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One job to submit: what to call it on the screen, its input, and the files to upload into it."""

    label: str
    input: Any
    files: tuple[tuple[str, Path], ...] = ()


@click.command(epilog=EXAMPLES)
@click.argument("algorithm")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--input", "input_text", metavar="JSON|@FILE|-", help="The input: JSON, @file, or - for standard input.")
@click.option("--param", "-p", "params", multiple=True, metavar="NAME=VALUE", help="Set one field; dots go deeper.")
@click.option("--wait/--no-wait", default=True, help="Wait for the output (the default), or print the ids and leave.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
              help="Stop waiting after this long; the job goes on.")  # fmt: skip
@click.option("--priority", type=click.Choice(["low", "normal", "high"]), help="Place in the queue.")
@click.option("--max-attempts", type=click.IntRange(min=1), help="How often it may be tried.")
@click.option("--deadline", "deadline_s", type=float, metavar="SECONDS", help="Give up on the job after this long.")
@click.option("--idempotency-key", help="The same key with the same input is one job, however often it is sent.")
@click.option("--json", "as_json", is_flag=True, help="Print each job as one line of JSON, and nothing else.")
@ends_cleanly
def submit(
    algorithm: str,
    files: tuple[Path, ...],
    input_text: str | None,
    params: tuple[str, ...],
    wait: bool,
    timeout_s: float | None,
    priority: str | None,
    max_attempts: int | None,
    deadline_s: float | None,
    idempotency_key: str | None,
    as_json: bool,
) -> None:
    """
    Submit jobs for ALGORITHM and show their outputs.

    Each of FILES is uploaded and becomes a job of its own; it goes into the first
    field of the algorithm's input that takes a file. Outputs go to standard
    output, all else to standard error. Exit code 1 when a job did not succeed.
    """
    given = read_input(input_text, params)
    policy = {
        name: value for name, value in (("max_attempts", max_attempts), ("deadline_s", deadline_s)) if value is not None
    }
    with Client.from_env() as client:
        wanted = plan(client, algorithm, given, files)
        if idempotency_key and len(wanted) > 1:
            raise click.UsageError("--idempotency-key is for one job; there are several files")
        labels = [item.label for item in wanted]
        jobs: list[Job] = []
        try:
            # Extended one by one, so that those submitted before a Ctrl-C or a refusal can be named.
            jobs.extend(
                client.submit(
                    algorithm,
                    item.input,
                    files=dict(item.files),
                    priority=priority,
                    policy=policy or None,
                    idempotency_key=idempotency_key,
                )
                for item in wanted
            )
            ended = follow(client, jobs, labels, timeout_s=timeout_s, quiet=as_json) if wait else jobs
        except KeyboardInterrupt:
            say_it_goes_on([job.id for job in jobs])
            sys.exit(EXIT_INTERRUPTED)
        except ApiError:
            say_it_goes_on([job.id for job in jobs])
            raise
        show(client, ended, labels, wait=wait, as_json=as_json)


def show(client: Client, jobs: Sequence[Job], labels: Sequence[str], *, wait: bool, as_json: bool) -> None:
    """Print what came of *jobs*; exits with 1 unless all succeeded (or nobody waited)."""
    if not wait:
        if as_json:
            print_json(job.raw for job in jobs)
        else:
            for job in jobs:
                click.echo(job.id)
            err().print(f"follow: jangada jobs watch {jobs[-1].id}")
        return
    for job, label in zip(jobs, labels, strict=True):
        output = client.output(job) if job.succeeded else None
        if as_json:
            print_json([job.raw | {"output": output}])
            continue
        report(job, label)
        if job.succeeded:
            print_value(output)
    if not all(job.succeeded for job in jobs):
        sys.exit(EXIT_FAILED)


def plan(client: Client, algorithm: str, given: Any, files: Sequence[Path]) -> list[Wanted]:
    """Which jobs to submit: one for each file, or one with all where the algorithm takes a list of files."""
    if not files:
        return [Wanted(algorithm, given)]
    field = file_field(client.algorithm(algorithm).input_schema)
    if field is None:
        raise click.UsageError(f"{algorithm} takes no files: see `jangada algorithms {algorithm}`")
    if field.many:
        pointers = tuple((f"/{field.name}/{index}", path) for index, path in enumerate(files))
        base = with_value(given, f"/{field.name}", [])
        return [Wanted(f"{len(files)} files" if len(files) > 1 else files[0].name, base, pointers)]
    return [Wanted(path.name, given, ((f"/{field.name}", path),)) for path in files]


def read_input(text: str | None, params: Sequence[str]) -> Any:
    """The input as given by --input, with each --param put into it."""
    given = _parse(text) if text is not None else {}
    for param in params:
        name, separator, value = param.partition("=")
        if not separator or not name:
            raise click.UsageError(f"--param {param}: expected NAME=VALUE")
        pointer = "/" + "/".join(step.replace("~", "~0").replace("/", "~1") for step in name.split("."))
        try:
            given = with_value(given, pointer, _value(value))
        except ValueError as error:
            raise click.UsageError(f"--param {param}: {error}") from error
    return given


def _parse(text: str) -> Any:
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        text = Path(text[1:]).read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"--input is not JSON: {error}") from error


def _value(text: str) -> Any:
    """JSON where it is JSON (numbers, true, lists), else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text

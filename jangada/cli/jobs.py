"""The commands of those who use a platform: submit, jobs, algorithms, files, whoami, and the demo."""

from __future__ import annotations

import sys

import click
from rich.markup import escape

from jangada.cli.catalog import algorithms, files, whoami
from jangada.cli.output import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    ends_cleanly,
    err,
    jobs_table,
    out,
    pairs_table,
    print_json,
    print_value,
    reason,
    say_it_goes_on,
    seconds,
    status_text,
)
from jangada.cli.submit import submit
from jangada.cli.watching import follow, report
from jangada.client import Client, Job

STATUSES = ["queued", "starting", "running", "succeeded", "failed", "canceled", "expired"]

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one value per line, nothing else.")


@click.group()
def jobs() -> None:
    """List, follow and steer jobs."""


@jobs.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only these.")
@click.option("--algorithm", help="Only this algorithm's.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="At most so many.")
@as_json_option
@ends_cleanly
def list_(status: str | None, algorithm: str | None, limit: int, as_json: bool) -> None:
    """List jobs, newest first."""
    with Client.from_env() as client:
        found = client.jobs(status=status, algorithm=algorithm, limit=limit)
        if as_json:
            print_json(job.raw for job in found)
            return
        listed = list(found)
    if listed:
        out().print(jobs_table(listed))
    else:
        err().print("no jobs")


@jobs.command()
@click.argument("job_id")
@as_json_option
@ends_cleanly
def get(job_id: str, as_json: bool) -> None:
    """Show one job and its output."""
    with Client.from_env() as client:
        job = client.get(job_id)
        output = client.output(job) if job.succeeded else None
    if as_json:
        print_json([job.raw | {"output": output}])
        return
    err().print(pairs_table(_described(job)))
    if job.succeeded:
        print_value(output)


@jobs.command()
@click.argument("job_ids", nargs=-1, required=True, metavar="JOB_ID...")
@as_json_option
@ends_cleanly
def cancel(job_ids: tuple[str, ...], as_json: bool) -> None:
    """Cancel jobs. One that is final already is left as it is."""
    with Client.from_env() as client:
        for job_id in job_ids:
            job = client.cancel(job_id)
            if as_json:
                print_json([job.raw])
            elif job.is_final:
                err().print(f"{job.id} is {status_text(job.status)}")
            else:
                err().print(f"{job.id} is being canceled; follow: jangada jobs watch {job.id}")


@jobs.command()
@click.argument("job_id")
@as_json_option
@ends_cleanly
def retry(job_id: str, as_json: bool) -> None:
    """Submit a job's input again, as a new job."""
    with Client.from_env() as client:
        job = client.retry(job_id)
    if as_json:
        print_json([job.raw])
    else:
        click.echo(job.id)


@jobs.command()
@click.argument("job_id")
@click.option("--follow", "-f", "following", is_flag=True, help="Go on until the job is final.")
@click.option("--stream", type=click.Choice(["stdout", "stderr", "log"]), help="Only this stream.")
@as_json_option
@ends_cleanly
def logs(job_id: str, following: bool, stream: str | None, as_json: bool) -> None:
    """Print what a job printed and logged."""
    with Client.from_env() as client:
        after = 0
        if following:
            # The stored lines first; the events would repeat only those that are still in the stream.
            client.get(job_id)
        for line in client.logs(job_id, stream=stream):
            after = line.number
            _print_line(line.text, line.raw, as_json=as_json)
        if not following:
            return
        for event in client.events(job_id):
            if event.type == "job.log" or event.is_final:
                for line in client.logs(job_id, after=after, stream=stream):
                    after = line.number
                    _print_line(line.text, line.raw, as_json=as_json)


@jobs.command()
@click.argument("job_id")
@click.option("--timeout", "timeout_s", type=float, metavar="SECONDS", help="Stop watching after this long.")
@as_json_option
@ends_cleanly
def watch(job_id: str, timeout_s: float | None, as_json: bool) -> None:
    """Follow a job until it is final. With --json, print each event."""
    with Client.from_env() as client:
        try:
            if as_json:
                for event in client.events(job_id, timeout_s=timeout_s):
                    print_json([{"number": event.number, "type": event.type, "data": event.data}])
                job = client.get(job_id)
            else:
                job = client.get(job_id)
                job = follow(client, [job], [job.algorithm], timeout_s=timeout_s)[0]
                report(job, job.algorithm)
        except KeyboardInterrupt:
            say_it_goes_on([job_id])
            sys.exit(EXIT_INTERRUPTED)
    if not job.succeeded:
        sys.exit(EXIT_FAILED)


def _print_line(text: str, raw: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json([raw])
    else:
        click.echo(text)


def _described(job: Job) -> list[tuple[str, str]]:
    metrics = job.metrics
    timings = ", ".join(
        f"{name} {seconds(metrics[key])}"
        for name, key in (("queue", "queue_s"), ("setup", "setup_s"), ("run", "run_s"))
        if metrics.get(key) is not None
    )
    described = [
        ("job", job.id),
        ("algorithm", escape(f"{job.algorithm} {job.algorithm_version or ''}".strip())),
        ("status", status_text(job.status) + (f"  {reason(job)}" if reason(job) else "")),
        ("attempt", str(job.attempt or "-")),
        ("created", f"{job.created_at:%Y-%m-%d %H:%M:%S} UTC" if job.created_at else "-"),
        ("timings", timings or "-"),
        ("retry of", job.retry_of or ""),
    ]
    return [(name, value) for name, value in described if value]


def _demo() -> click.Command:
    from jangada.cli.demo import demo

    return demo


commands: list[click.Command] = [submit, jobs, algorithms, files, whoami, _demo()]

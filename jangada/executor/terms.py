"""What a deployment asks of its executors, as their command line brings it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from jangada.algorithms.batching import LONGEST_WAIT_MS, MOST_TOGETHER, Batching
from jangada.algorithms.manifest import AlgorithmManifest


@dataclass(frozen=True, slots=True)
class Terms:
    """
    Each None leaves it to the algorithm.

    *execution_timeout_s* bounds every attempt, whatever its job allows. *model* is the name of
    weights as the deployment has it (``name@alias``). *needs_gpu*: without a GPU nothing is claimed.
    """

    execution_timeout_s: float | None = None
    model: str | None = None
    batching: Batching | None = None
    needs_gpu: bool = False

    def batching_of(self, manifest: AlgorithmManifest) -> Batching | None:
        """How jobs of *manifest* are gathered; None: each runs by itself."""
        batching = self.batching or manifest.batching
        return batching if batching is not None and batching.max_batch > 1 else None


NO_TERMS = Terms()
"""Nobody asks for anything: the algorithm's own."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Have *parser* take what `options_of` writes."""
    group = parser.add_argument_group("what a deployment asks for")
    group.add_argument(
        "--execution-timeout-s",
        type=_seconds,
        metavar="S",
        help="end each attempt after so long",
    )
    group.add_argument("--model", metavar="NAME@ALIAS", help="the model that the algorithm is told to use")
    group.add_argument(
        "--max-batch", type=_whole(1, MOST_TOGETHER), metavar="N", help="give up to N jobs to run_batch together"
    )
    group.add_argument(
        "--max-wait-ms",
        type=_whole(0, LONGEST_WAIT_MS),
        default=0,
        metavar="MS",
        help="wait for a batch to fill",
    )
    group.add_argument("--adaptive-batch", action="store_true", help="choose size and wait by what was measured")
    group.add_argument("--needs-gpu", action="store_true", help="refuse to start where no GPU is visible")


def terms_of(options: argparse.Namespace) -> Terms:
    """What the command line said."""
    batching = None
    if options.max_batch is not None:
        batching = Batching(options.max_batch, options.max_wait_ms, options.adaptive_batch)
    return Terms(options.execution_timeout_s, options.model, batching, options.needs_gpu)


def options_of(terms: Terms) -> list[str]:
    """The arguments that say *terms*."""
    said: list[str] = []
    if terms.execution_timeout_s is not None:
        said += ["--execution-timeout-s", f"{terms.execution_timeout_s:g}"]
    if terms.model is not None:
        # One word: a model's name may begin with a dash.
        said.append(f"--model={terms.model}")
    if terms.batching is not None:
        said += ["--max-batch", str(terms.batching.max_batch), "--max-wait-ms", str(terms.batching.max_wait_ms)]
        said += ["--adaptive-batch"] if terms.batching.is_adaptive else []
    return [*said, "--needs-gpu"] if terms.needs_gpu else said


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("expected seconds above 0")
    return value


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}")
        return int(text)

    return parse

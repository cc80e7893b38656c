"""``python -m jangada.executor <algorithm>``: run one algorithm's executor until told to stop."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from jangada.algorithms.manifest import MANIFEST_NAME, AlgorithmManifest, find_algorithms, load_manifest
from jangada.errors import ConfigurationError, JangadaError
from jangada.executor.devices import NvidiaDevices, SlotDevice
from jangada.executor.placing import place
from jangada.executor.terms import add_options, terms_of
from jangada.settings import Settings

WRONG_USAGE = 2


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code: 0 after an orderly stop, 2 for wrong usage or configuration, 1 else."""
    options = _parser().parse_args(arguments)
    try:
        settings = Settings.from_env(os.environ)
        manifest = find_manifest(options.algorithm, settings)
        return _run(options, settings, manifest)
    except ConfigurationError as error:
        print(f"jangada.executor: {error.detail}", file=sys.stderr)  # noqa: T201 — the answer to a person
        return WRONG_USAGE
    except JangadaError as error:
        print(f"jangada.executor: {error.detail}", file=sys.stderr)  # noqa: T201 — as above
        return 1


def find_manifest(algorithm: str, settings: Settings) -> AlgorithmManifest:
    """The manifest of *algorithm*: a folder, or a name in the algorithms' folder (``./executors`` by default)."""
    folder = Path(algorithm)
    if os.sep in algorithm or (folder / MANIFEST_NAME).is_file():
        return load_manifest(folder.resolve())
    directory = (settings.algorithms_dir or Path("executors")).resolve()
    if (directory / algorithm / MANIFEST_NAME).is_file():
        return load_manifest(directory / algorithm)
    known = find_algorithms(directory)
    if algorithm not in known:
        raise ConfigurationError(
            f"there is no algorithm {algorithm!r} in {directory}; there are {', '.join(known) or 'none'}"
        )
    return known[algorithm]


def expects_gpu(manifest: AlgorithmManifest, environ: Mapping[str, str]) -> bool:
    """Whether it can use a GPU and lies in an image made for one: those set what NVIDIA's runtime reads."""
    return "gpu" in manifest.device and environ.get("NVIDIA_VISIBLE_DEVICES", "void") not in {"", "void", "none"}


def _run(options: argparse.Namespace, settings: Settings, manifest: AlgorithmManifest) -> int:
    from jangada.executor import start

    terms = terms_of(options)
    placing = place(
        manifest,
        NvidiaDevices(),
        os.environ,
        concurrency=1 if options.describe else options.concurrency,
        needs_gpu=terms.needs_gpu,
        allow_cpu=settings.allow_cpu,
        memory_fraction=settings.gpu_memory_fraction,
    )
    if placing.remark is not None:
        print(f"jangada.executor: {placing.remark}", file=sys.stderr)  # noqa: T201 — as above
    if expects_gpu(manifest, os.environ) and not placing.has_gpu:
        print(  # noqa: T201 — the answer to a person
            f"jangada.executor: this image is for GPUs and none is visible: {manifest.name} runs on the CPU; "
            "start the container with --gpus",
            file=sys.stderr,
        )
    # A look at its schemas is to take no GPU from anybody, where it can do without.
    uses_gpu = placing.has_gpu and not (options.describe and manifest.device != "gpu")
    python = Path(sys.executable)
    if not options.no_env:
        python = start.environment(manifest, settings, quiet=options.describe, gpu=uses_gpu)
    if options.env_only:
        return 0
    if options.describe:
        devices = placing.devices if uses_gpu else (SlotDevice(),)
        found = start.describe(manifest, python, settings, devices)
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
        return 0
    executor = start.Executor(
        manifest,
        python,
        settings,
        queue_name=options.queue or manifest.name,
        concurrency=placing.slots,
        drain_s=options.drain_s,
        ready_file=options.ready_file,
        terms=terms,
        devices=placing.devices,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: executor.stop())
    executor.run()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jangada.executor",
        description="Run one algorithm's executor: claim its jobs, run them in a child process, store the outcomes.",
        epilog="It stops on SIGTERM or Ctrl-C: running jobs go back to the queue at once, or after --drain-s. "
        "Redis, MongoDB and the rest come from JANGADA_* settings.",
    )
    parser.add_argument("algorithm", help="a name in JANGADA_ALGORITHMS_DIR (./executors), or a folder")
    parser.add_argument("--queue", metavar="NAME", help="the queue to claim from (default: the algorithm's name)")
    parser.add_argument(
        "--concurrency", type=_count, metavar="N", help="children at work at once (default: as executor.yml says)"
    )
    parser.add_argument(
        "--drain-s", type=_seconds, default=0.0, metavar="S", help="when told to stop, let running jobs go on so long"
    )
    parser.add_argument(
        "--ready-file", type=Path, metavar="FILE", help="write the process id there once the algorithm is registered"
    )
    parser.add_argument("--no-env", action="store_true", help="use this very Python, as in the algorithm's own image")
    parser.add_argument("--env-only", action="store_true", help="build the algorithm's environment and end")
    parser.add_argument("--describe", action="store_true", help="set the algorithm up, print its schemas and end")
    add_options(parser)
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("expected a whole number of at least 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError("expected seconds, 0 or more")
    return value


if __name__ == "__main__":
    sys.exit(main())

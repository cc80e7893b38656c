"""
What micro-batches gain: on a device that charges for each call, and for text-embed on this machine's CPU.

    python -m benchmarks.executor.batching [--jobs 300] [--rounds 3] [--out benchmarks/results]

Through a real executor and real servers, jobs of a toy that sleeps 20 ms for each call and
0.5 ms more for each job in it, as a GPU would: jobs per second one by one, with batches, and
with batches that find their own size. Then text-embed in its own environment, without an
executor around it: CPU seconds per text, for lines, pages and both mixed, by how many jobs go together.
Medians, as ``batching.json`` and ``batching.png``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TOY = "pretends_a_device"
SHAPES: dict[str, tuple[str, ...]] = {
    "one by one": (),
    "batches of 8": ("--max-batch", "8", "--max-wait-ms", "10"),
    "batches of 32": ("--max-batch", "32", "--max-wait-ms", "10"),
    "adaptive, up to 32": ("--max-batch", "32", "--max-wait-ms", "10", "--adaptive-batch"),
}
SIZES = (1, 2, 4, 8, 16, 32)
LINE = "the council met on tuesday to discuss the budget of the harbour"
PAGE = " ".join([LINE] * 18)


def drain(arguments: tuple[str, ...], jobs: int) -> dict[str, float]:
    """Jobs per second of one executor, warm, and how many of them ran together."""
    from tests.integration.executor.stage import stage

    with stage() as made, made.executor(TOY, *arguments):
        warm = made.submit(TOY, [{}] * 40)
        made.wait_empty(TOY)
        assert all(made.job(job_id).is_final for job_id in warm)
        began = time.monotonic()
        ids = made.submit(TOY, [{}] * jobs)
        took = made.wait_empty(TOY) - began
        together = [made.job(job_id).output["together"] for job_id in ids]  # type: ignore[index]
    return {"jobs_per_s": jobs / took, "together": statistics.median(together)}


def embed(rounds: int) -> dict[str, dict[str, float]]:
    """CPU milliseconds per text, by kind of text and number at once; measured in text-embed's environment."""
    from tests.algorithms.real.conftest import environment

    command = [str(environment("text-embed")), __file__, "--inside", "--rounds", str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, check=True)
    found: dict[str, dict[str, float]] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def inside(rounds: int) -> dict[str, dict[str, float]]:
    """`embed`, where text-embed's libraries are."""
    sys.path.insert(0, str(ROOT / "executors" / "text-embed"))
    import algorithm

    from jangada.algorithms import Context, SetupContext

    made = algorithm.TextEmbed()
    made.setup(SetupContext())
    context = Context(work_dir=Path())
    found: dict[str, dict[str, float]] = {}
    mixed = [" ".join([LINE] * (1 + number * 7 % 18)) for number in range(32)]
    for kind, texts in (("line", [LINE] * 64), ("page", [PAGE] * 32), ("mixed", mixed)):
        inputs = [algorithm.In(texts=[f"{text} {number}"]) for number, text in enumerate(texts)]
        found[kind] = {}
        for size in SIZES:
            took = []
            for _ in range(rounds):
                used = time.process_time()
                for start in range(0, len(texts), size):
                    group = inputs[start : start + size]
                    made.run_batch(group, [context] * len(group))
                took.append((time.process_time() - used) / len(texts) * 1000)
            found[kind][str(size)] = round(statistics.median(took), 2)
    return found


def draw(result: dict[str, Any], file: Path) -> None:
    """Two panels: the device, the CPU."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    shapes = result["device"]
    bars = left.barh(list(shapes)[::-1], [row["jobs_per_s"] for row in shapes.values()][::-1], color="#2f7d4f")
    left.bar_label(bars, [f" {row['jobs_per_s']:.0f}" for row in shapes.values()][::-1], fontsize=8)
    left.set_xlabel("jobs/s, 20 ms for each call + 0.5 ms for each job")
    for kind, row in result["text_embed_cpu_ms_per_text"].items():
        base = row["1"]
        right.plot([int(size) for size in row], [value / base for value in row.values()], marker="o", label=kind)
    right.axhline(1, color="#333", linewidth=1)
    right.set_xscale("log", base=2)
    right.set_xticks(SIZES, [str(size) for size in SIZES])
    right.set_ylim(bottom=0)
    right.set_xlabel("jobs of one text each, together")
    right.set_ylabel("CPU time per text ÷ that of one by one")
    right.legend()
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main() -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(inside(options.rounds)))
        return
    from rich.progress import track

    device: dict[str, dict[str, float]] = {}
    for name, arguments in track(SHAPES.items(), description="draining"):
        rounds = [drain(arguments, options.jobs) for _ in range(options.rounds)]
        device[name] = {key: round(statistics.median(row[key] for row in rounds), 1) for key in rounds[0]}
    result = {
        "benchmark": "executor.batching",
        "jobs": options.jobs,
        "rounds": options.rounds,
        "device": device,
        "text_embed_cpu_ms_per_text": embed(options.rounds),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "batching.json").write_text(json.dumps(result, indent=1) + "\n")
    draw(result, options.out / "batching.png")
    print(json.dumps(result))


if __name__ == "__main__":
    main()

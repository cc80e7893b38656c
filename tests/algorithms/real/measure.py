"""
Quality and CPU seconds per page of doc-metadata, per engine and set.

    python tests/algorithms/real/measure.py --engine tesseract --engine rapidocr SET_DIR… [--turn 90] [--misses] [--json]

Runs in the algorithm's own environment. A SET_DIR holds pages and a truth.json as the generators under
tests/data write them.
"""  # noqa: E501

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [
    str(ROOT),
    str(ROOT / "executors"),
    str(ROOT / "executors" / "doc-metadata"),
    str(Path(__file__).parent),
]

from score import Score  # noqa: E402


def main() -> None:
    """Print one line per engine and set."""
    parser = argparse.ArgumentParser(description="Quality and CPU time of doc-metadata.")
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--engine", action="append", choices=["auto", "tesseract", "rapidocr"])
    parser.add_argument(
        "--turn", type=int, default=0, choices=[0, 90, 180, 270], help="turn every page clockwise first"
    )
    parser.add_argument("--misses", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for engine in options.engine or ["auto"]:
        for folder in options.sets:
            figures, score = measure(folder, engine, options.turn)
            if options.json:
                print(json.dumps(figures))
            else:
                print(
                    f"{engine} {folder.name} turn {options.turn}: {score.row()}\n   {figures['cpu_s_per_page']:.2f} CPU s/page, worst "  # noqa: E501
                    f"{figures['cpu_s_worst']:.2f}, setup {figures['setup_cpu_s']:.2f} CPU s, RSS {figures['rss_mib']} MiB, review {figures['needs_review']}"  # noqa: E501
                )
            if options.misses:
                print("\n".join(f"   {miss}" for miss in score.misses))


def measure(folder: Path, engine: str, turn: int = 0) -> tuple[dict[str, Any], Score]:
    """Run every page of *folder* through doc-metadata with *engine*."""
    from algorithm import DocMetadata, In

    from jangada.algorithms.authoring import Context, File

    started = time.process_time()
    algorithm = DocMetadata()
    algorithm.setup()
    algorithm._engines.choose(engine)
    setup_s = time.process_time() - started
    score, seconds, review = Score(), [], 0
    for truth in json.loads((folder / "truth.json").read_text(encoding="utf-8"))["documents"]:
        with tempfile.TemporaryDirectory() as work:
            page = folder / truth["file"]
            if turn:
                page = _turned(page, turn, Path(work))
            started = time.process_time()
            given = In.model_construct(
                **{**In.model_construct().__dict__, "page": File.at(page), "engine": engine, "include_text": True}
            )
            out = algorithm.run(given, Context(work_dir=Path(work)))
            seconds.append(time.process_time() - started)
            review += out.needs_review
            score.add(truth, out.model_dump(mode="json"))
    figures = {
        "set": folder.name,
        "engine": engine,
        "turn": turn,
        "pages": len(seconds),
        "cpu_s_per_page": round(sum(seconds) / len(seconds), 3),
        "cpu_s_worst": round(max(seconds), 3),
        "setup_cpu_s": round(setup_s, 2),
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "line_accuracy": round(sum(score.line_accuracy) / max(1, len(score.line_accuracy)), 5),
        "right": score.right,
        "due": score.due,
        "wrong": score.wrong,
        "needs_review": review,
    }
    return figures, score


def _turned(page: Path, degrees: int, folder: Path) -> Path:
    from PIL import Image

    with Image.open(page) as image:
        turned = image.rotate(-degrees, expand=True)
        target = folder / f"{page.stem}.png"
        turned.save(target, dpi=image.info.get("dpi", (300, 300)))
    return target


if __name__ == "__main__":
    main()

"""
Runs one algorithm in its own environment: a line of JSON in, a line of JSON out, until the input ends.

    python driver.py doc-metadata    with PYTHONPATH = the repository's root

In: ``{"input": {…}, "files": {"page": "/path"}, "cancel": false}``. Out: ``{"output": {…}, "events": n, "cpu_s": s}``
or ``{"error": {"code", "message"}}``. The first line out says how long `setup` took.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def main(name: str) -> None:
    """Serve until standard input ends."""
    folder = ROOT / "executors" / name
    manifest = (folder / "executor.yml").read_text(encoding="utf-8")
    class_name = next(line.split(":")[-1].strip() for line in manifest.splitlines() if line.startswith("class:"))
    sys.path[:0] = [str(folder), str(ROOT / "executors"), str(ROOT)]
    # What the libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    started = time.process_time()
    import algorithm as module

    from jangada.algorithms.authoring import AlgorithmFailure, Context, File, JobCanceled, SetupContext

    algorithm = getattr(module, class_name)()
    algorithm.setup(*([SetupContext()] if inspect.signature(algorithm.setup).parameters else []))
    print(
        json.dumps(
            {
                "setup_cpu_s": time.process_time() - started,
                "input_schema": module.In.model_json_schema(),
                "output_schema": module.Out.model_json_schema(),
            }
        ),
        file=answers,
        flush=True,
    )
    for request in sys.stdin:
        asked = json.loads(request)
        with tempfile.TemporaryDirectory() as work:
            events: list[str] = []
            stub = {key: {"data": "data:,"} for key in asked.get("files", {})}
            answer: dict[str, object]
            started = time.process_time()
            try:
                given = module.In.model_validate({**asked["input"], **stub})
                for key, path in asked.get("files", {}).items():
                    setattr(given, key, File.at(Path(path)))
                context = Context(
                    work_dir=Path(work),
                    emit=lambda kind, data, events=events: events.append(kind),
                    canceled=lambda asked=asked: bool(asked.get("cancel")),
                )
                output = algorithm.run(given, context)
                module.Out.model_validate(output.model_dump())
                answer = {"output": output.model_dump(mode="json"), "events": len(events)}
                saved = sorted(path.name for path in Path(work).iterdir())
                answer["saved"] = saved
            except AlgorithmFailure as failure:
                answer = {"error": {"code": failure.code, "message": str(failure)}}
            except JobCanceled:
                answer = {"error": {"code": "canceled", "message": ""}}
            except ValueError as error:
                answer = {"error": {"code": "schema", "message": str(error)}}
            answer["cpu_s"] = time.process_time() - started
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])

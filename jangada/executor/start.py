"""Putting one executor together: environment, child, connections, loop."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import queue
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jangada
from jangada.algorithms.algorithm import describe as describe_algorithm
from jangada.algorithms.manifest import AlgorithmManifest
from jangada.clock import utc_now
from jangada.deployments.queues import deployment_of
from jangada.errors import ConfigurationError, StoreUnavailableError
from jangada.executor.devices import NvidiaDevices, SlotDevice
from jangada.executor.environment import ensure_environment, is_built
from jangada.executor.journal import Journal
from jangada.executor.messages import Hello
from jangada.executor.process import ChildRecipe, slot_folder
from jangada.executor.running import SlotLimits
from jangada.executor.terms import NO_TERMS, Terms
from jangada.ids import new_id
from jangada.jobs.job import RanBy
from jangada.settings import Settings

if TYPE_CHECKING:
    from jangada.executor.meter import Meter
    from jangada.executor.metrics import ExecutorMetrics
    from jangada.executor.metrics_server import MetricsServer

CHILD_SETTINGS = ("JANGADA_OCR_ENGINE", "JANGADA_ALLOW_CPU", "JANGADA_HOME")
"""The only settings of ours that user code sees: no address and no secret is among them."""
SECRET_NAMES = ("MONGO", "REDIS_URL", "PASSWORD", "SECRET", "TOKEN", "API_KEY", "CREDENTIAL", "PRIVATE_KEY")


def environment(manifest: AlgorithmManifest, settings: Settings, *, quiet: bool = False, gpu: bool = False) -> Path:
    """The Python of *manifest*'s environment, built when it is missing; says on standard error what it does."""
    envs = (settings.test_envs or settings.home / "envs").resolve()
    if is_built(manifest, envs, gpu=gpu) or quiet:
        return ensure_environment(manifest, envs, gpu=gpu)
    began = time.monotonic()
    _say(f"building the environment of {manifest.name}")
    python = ensure_environment(manifest, envs, lambda line: _say(f"  {line}"), gpu=gpu)
    _say(f"built the environment of {manifest.name} in {time.monotonic() - began:.1f} s")
    return python


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def child_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """What of *environ* a child sees: not our settings, and nothing that looks like a secret."""
    return {
        name: value
        for name, value in environ.items()
        if name in CHILD_SETTINGS
        or not (name.startswith("JANGADA_") or any(word in name.upper() for word in SECRET_NAMES))
    }


def recipe(
    manifest: AlgorithmManifest,
    python: Path,
    package: Path,
    settings: Settings,
    terms: Terms = NO_TERMS,
    devices: tuple[SlotDevice, ...] = (),
) -> ChildRecipe:
    """How *manifest*'s children are started; *package* becomes a folder that holds nothing but this package."""
    package.mkdir(parents=True, exist_ok=True)
    link = package / "jangada"
    if not link.is_symlink():
        # Not our site-packages itself: its libraries would hide those of the algorithm's own environment.
        link.symlink_to(Path(jangada.__file__).resolve().parent)
    return ChildRecipe(
        python=python,
        package=package,
        class_name=manifest.class_name,
        import_folders=tuple(folder.resolve() for folder in manifest.import_folders),
        environ=child_environ(os.environ),
        inline_bytes=settings.inline_bytes,
        short=manifest.short and terms.batching_of(manifest) is None,
        model=terms.model,
        devices=devices,
    )


def describe(
    manifest: AlgorithmManifest, python: Path, settings: Settings, devices: tuple[SlotDevice, ...] = ()
) -> dict[str, Any]:
    """Set the algorithm up once and say what it is. Raises `ConfigurationError` when it cannot be set up."""
    from jangada.executor.pool import SlotPool
    from jangada.executor.running import SlotObserver

    answers: queue.SimpleQueue[Hello | str] = queue.SimpleQueue()

    class Listener(SlotObserver):
        def ready(self, _slot: int, hello: Hello, _cold: bool) -> None:
            answers.put(hello)

        def unavailable(self, _slot: int, reason: str, said: list[str]) -> None:
            for line in said[-20:]:
                _say(f"  {line}")
            answers.put(reason)

    folder = _work_folder(settings, manifest.name, new_id("exe"))
    made = recipe(manifest, python, folder / "lib", settings, devices=devices)
    pool = SlotPool(1, made, SlotLimits(), folder, Listener())
    try:
        pool.start()
        while answers.empty():
            pool.serve(None)
        hello = answers.get()
    finally:
        pool.stop()
        shutil.rmtree(folder, ignore_errors=True)
    if isinstance(hello, str):
        raise ConfigurationError(f"{manifest.name} cannot be set up: {hello}")
    return {
        "name": manifest.name,
        "version": manifest.version,
        "description": manifest.description,
        "device": manifest.device,
        "input_schema": hello.input_schema,
        "output_schema": hello.output_schema,
        "phases_s": hello.phases,
    }


def rarely_collect() -> None:
    """
    Have the garbage collector look at what jobs bring, not at our modules, and rarely.

    Jobs leave next to no cycles behind, and a busy executor makes hundreds of thousands of
    small objects a second: looking for cycles among them cost some microseconds of each job.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


class Executor:
    """One executor of one queue, as a process runs it."""

    def __init__(
        self,
        manifest: AlgorithmManifest,
        python: Path,
        settings: Settings,
        *,
        queue_name: str,
        concurrency: int,
        drain_s: float,
        ready_file: Path | None = None,
        terms: Terms = NO_TERMS,
        devices: tuple[SlotDevice, ...] = (),
    ) -> None:
        self._devices = devices
        self.executor_id = new_id("exe")
        self._folder = _work_folder(settings, manifest.name, self.executor_id)
        self._recipe = recipe(manifest, python, self._folder / "lib", settings, terms, devices)
        # It loads its Python and its libraries while we load ours. Should we end before it is asked for, it ends too.
        self._recipe.begin(slot_folder(self._folder, 0))
        # pymongo takes PyOpenSSL where that is installed; the standard library's ssl does as well and is 9 MB smaller.
        sys.modules.setdefault("pymongo.pyopenssl_context", None)  # type: ignore[arg-type]
        from jangada.executor.connect import connect
        from jangada.executor.loop import ExecutorLoop, LoopOptions
        from jangada.executor.metrics import ExecutorMetrics

        self._manifest = manifest
        self._settings = settings
        self._queue_name = queue_name
        self._terms = terms
        self._slots = concurrency
        self._ready_file = ready_file
        self._began = 0.0
        self._journal = Journal(
            level=settings.log_level,
            text=settings.log_format == "text",
            executor_id=self.executor_id,
            algorithm=manifest.name,
            queue=queue_name,
        )
        self._connections = connect(settings)
        limits = manifest.limits
        metrics = ExecutorMetrics()
        batching = terms.batching_of(manifest)
        ran_by = RanBy(manifest.version, settings.image_digest, terms.model)
        self._swept = metrics.settled
        notify = metrics.notifying(self._connections.notifier())
        self._meter = self._make_meter()
        self._loop = ExecutorLoop(
            self._connections.execution(queue_name, self.executor_id, notify, metrics, self._meter, ran_by),
            self._connections.files(self.executor_id),
            self._recipe,
            SlotLimits(
                grace_s=limits.grace_s,
                memory_bytes=None if limits.memory_mib is None else limits.memory_mib * 1024 * 1024,
                recycle_after_jobs=manifest.recycle_after_jobs,
                execution_timeout_s=terms.execution_timeout_s,
                batching=batching,
            ),
            LoopOptions(concurrency, manifest.short and batching is None, batching is not None, drain_s),
            folder=self._folder,
            journal=self._journal,
            on_ready=self._register_soon,
            notify=notify,
            observer=metrics,
        )
        self._metrics_server = self._serve_metrics(metrics) if settings.metrics_listen else None
        self._stops = 0

    def run(self) -> None:
        """Work until `stop`."""
        self._began = time.monotonic()
        self._journal.info("executor.started", version=self._manifest.version, pid=os.getpid())
        sweeper = self._connections.sweeper(self._queue_name)
        if sweeper is not None:
            sweeper.notify = self._swept
            sweeper.start()
        self._meter.start()
        try:
            self._connections.check(self._journal)
            rarely_collect()
            self._loop.run()
        finally:
            self._meter.stop()
            if sweeper is not None:
                sweeper.stop()
            if self._metrics_server is not None:
                self._metrics_server.stop()
            self._connections.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self) -> None:
        """End in an orderly way; the third time, at once."""
        self._stops += 1
        if self._stops > 2:
            os._exit(1)
        self._loop.stop()

    def _make_meter(self) -> Meter:
        from jangada.executor.meter import Meter

        device = self._devices[0] if self._devices else SlotDevice()
        return Meter(
            self._connections.ledger(self._queue_name, self.executor_id),
            queue=self._queue_name,
            algorithm=self._manifest.name,
            algorithm_version=self._manifest.version,
            executor_id=self.executor_id,
            deployment=deployment_of(self._queue_name) or self._manifest.name,
            owner=self._connections.owner,
            idle_slots=lambda: self._loop.slot_states["idle"],
            journal=self._journal,
            gpu_type=device.type,
            gpus=len(device.gpus),
        )

    def _serve_metrics(self, metrics: ExecutorMetrics) -> MetricsServer:
        from jangada.executor.metrics_page import MetricsPage
        from jangada.executor.metrics_server import MetricsServer

        page = MetricsPage(
            metrics,
            self._loop,
            self._connections.queue,
            self._connections.algorithms,
            algorithm=self._manifest.name,
            queue_name=self._queue_name,
            deployment=deployment_of(self._queue_name) or self._manifest.name,
            model=self._terms.model,
            gpus=[gpu for device in self._devices for gpu in device.gpus],
            devices=NvidiaDevices(),
            folder=self._folder,
        )
        server = MetricsServer(page.text, self._settings.metrics_listen or "")
        server.start()
        self._journal.info("metrics.serving", port=server.port)
        return server

    def _register_soon(self, hello: Hello) -> None:
        if self._terms.batching_of(self._manifest) is not None and not hello.batches:
            self._journal.warning("batching.impossible", reason="the algorithm has no run_batch(inputs, contexts)")
        threading.Thread(target=self._register, args=(hello,), name="register", daemon=True).start()

    def _register(self, hello: Hello) -> None:
        """Publish the algorithm with its schemas; while the store is away, again and again."""
        registering = time.monotonic()
        record = describe_algorithm(
            self._manifest,
            input_schema=hello.input_schema,
            output_schema=hello.output_schema,
            updated_at=utc_now(),
            # A dot is in the queue of one deployment alone: the algorithm's other jobs do not go there.
            queue=None if "." in self._queue_name else self._queue_name,
        )
        while not self._stops:
            with contextlib.suppress(StoreUnavailableError):
                self._connections.algorithms.put(record, as_newest="." not in self._queue_name)
                self._journal.info("algorithm.registered", version=record.version)
                if self._ready_file is not None:
                    self._say_ready(self._ready_file, hello, registering)
                return
            time.sleep(1.0)

    def _say_ready(self, file: Path, hello: Hello, registering: float) -> None:
        """Our process id, and in the next line what the start took: a node's agent reads it."""
        said = {
            "executor_id": self.executor_id,
            "slots": self._slots,
            "began": self._began,
            "registering": registering,
            "child_phases_s": hello.phases,
        }
        # In one step: whoever looks sees all of it.
        whole = file.with_name(f".{file.name}.{os.getpid()}")
        whole.write_text(f"{os.getpid()}\n{json.dumps(said)}\n", encoding="utf-8")
        whole.replace(file)


def _work_folder(settings: Settings, name: str, executor_id: str) -> Path:
    """A folder for this executor's children; what killed executors of this machine left behind is removed."""
    work = settings.home.resolve() / "work"
    work.mkdir(parents=True, exist_ok=True)
    for left in work.iterdir():
        pid = left.name.rpartition("-")[2]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = work / f"{name}-{executor_id[-8:]}-{os.getpid()}"
    folder.mkdir()
    return folder

"""
Makes known what this node can run, before any replica of it ran.

The platform takes jobs for registered algorithms only, and an executor registers its
own when it starts; where executors start on the first job, somebody has to come first.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping

from jangada.algorithms.algorithm import describe
from jangada.algorithms.manifest import AlgorithmManifest
from jangada.algorithms.store import AlgorithmStore
from jangada.clock import Clock, utc_now
from jangada.errors import JangadaError
from jangada.logs import get_logger

_AGAIN_S = 1.0

_log = get_logger()


class Catalog:
    """
    Registers on a thread those of *manifests* that are not yet, at their version; then calls *on_done*.

    Each is set up once for that, one after the other. One that cannot be set up is
    said, and left out.
    """

    def __init__(
        self,
        store: AlgorithmStore,
        manifests: Iterable[AlgorithmManifest],
        environ: Mapping[str, str],
        on_done: Callable[[], None],
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._store = store
        self._manifests = list(manifests)
        self._environ = dict(environ)
        self._on_done = on_done
        self._clock = clock
        self._stopped = threading.Event()
        self._child: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="catalog", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, in the middle of an algorithm if need be."""
        self._stopped.set()
        child = self._child
        if child is not None:
            child.terminate()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        for manifest in self._manifests:
            while not self._stopped.is_set():
                try:
                    self._register(manifest)
                    break
                except JangadaError as error:
                    _log.warning("algorithm.not_registered", algorithm=manifest.name, reason=str(error))
                    self._stopped.wait(_AGAIN_S)
        if not self._stopped.is_set():
            self._on_done()

    def _register(self, manifest: AlgorithmManifest) -> None:
        known = self._store.get(manifest.name)
        if known is not None and known.version == manifest.version:
            return
        command = [sys.executable, "-m", "jangada.executor", str(manifest.folder), "--describe"]
        with subprocess.Popen(
            command, env=self._environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, errors="replace",
        ) as child:  # fmt: skip
            self._child = child
            said, complained = child.communicate()
            self._child = None
        if child.returncode != 0:
            if not self._stopped.is_set():
                reason = (complained.strip().splitlines() or [f"exit code {child.returncode}"])[-1]
                _log.warning("algorithm.cannot_be_described", algorithm=manifest.name, reason=reason)
            return
        found = json.loads(said)
        self._store.put(
            describe(
                manifest,
                input_schema=found["input_schema"],
                output_schema=found["output_schema"],
                updated_at=self._clock(),
            )
        )
        _log.info("algorithm.registered", algorithm=manifest.name, version=manifest.version)

"""
What the environment says, read once per process and frozen. The only reader of ``JANGADA_*``.

Every variable is a row of `_VARIABLES`: name, parser, default, one sentence. An
unknown ``JANGADA_*`` variable or a bad value is a `ConfigurationError` naming it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from jangada.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Settings:
    """One process' settings. Durations in seconds, sizes in bytes."""

    home: Path
    port: int
    redis_url: str
    mongo_url: str
    mongo_database: str
    secrets_dir: Path
    artifacts: str
    public_url: str | None
    log_level: str
    log_format: str
    max_body_bytes: int
    max_file_bytes: int
    inline_bytes: int
    lease_s: float
    metrics_listen: str | None
    image_digest: str | None
    retention_s: float
    usage_retention_s: float
    file_ttl_s: float
    tenant_max_jobs: int
    queue_max_jobs: int
    queue_max_bytes: int
    webhook_allow_http: bool
    webhook_allowed_hosts: tuple[str, ...]
    callback_allowed_hosts: tuple[str, ...]
    async_at_once: int
    trusted_proxies: int
    threads: int
    max_inflight: int
    algorithms_dir: Path | None
    url: str | None
    api_key: str | None
    ocr_engine: str | None
    allow_cpu: bool
    gpu_memory_fraction: float
    test_envs: Path | None
    redis_binary: str | None
    allow_unsafe_redis: bool
    provider: str
    docker_network: str
    docker_runtime: str | None
    docker_secrets_dir: Path
    node_identity: Path | None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """
        Read *environ*; raises `ConfigurationError` naming the first variable that is unknown or wrong.

        An address that *environ* does not set (`_SECRETS`) is read from the secret of its name, where there is one:
        it may hold a password, which does not belong in a function's environment.
        """
        unknown = sorted(name for name in environ if name.startswith("JANGADA_") and name not in _VARIABLES)
        if unknown:
            raise ConfigurationError(f"unknown setting {unknown[0]}; known are {', '.join(sorted(_VARIABLES))}")
        values: dict[str, Any] = {}
        for name, variable in _VARIABLES.items():
            text = environ.get(name)
            if text is None or text == "":
                values[variable.field] = variable.default
                continue
            try:
                values[variable.field] = variable.parse(text)
            except ValueError as error:
                raise ConfigurationError(f"{name}={text!r}: expected {variable.expected} ({error})") from error
        for name, secret in _SECRETS.items():
            file = values["secrets_dir"] / secret
            if not environ.get(name) and file.is_file():
                values[_VARIABLES[name].field] = _read_secret(file, _VARIABLES[name])
        return cls(**values)

    def describe(self) -> dict[str, str]:
        """Every setting as text, secrets masked: what is logged at start."""
        return {field.name: _mask(field.name, getattr(self, field.name)) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class _Variable:
    field: str
    parse: Callable[[str], Any]
    default: Any
    expected: str
    about: str


def _positive_int(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise ValueError("must be above 0")
    return value


def _positive_float(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError("must be above 0 and finite")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise ValueError("must be above 0 and at most 1")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise ValueError("must be 0 to 65535")
    return value


def _digest(text: str) -> str:
    kind, _, digits = text.partition(":")
    if kind != "sha256" or len(digits) != 64 or set(digits) - set("0123456789abcdef"):
        raise ValueError("as the registry tells it")
    return text


def _listen(text: str) -> str:
    host, _, port = text.rpartition(":")
    _port(port)
    if ("]" in host or ":" in host) and not (host.startswith("[") and host.endswith("]")):
        raise ValueError("an IPv6 address stands in brackets")
    return text


def _bool(text: str) -> bool:
    lowered = text.lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off"}:
        return False
    raise ValueError("must be true or false")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError("must be 0 or more")
    return value


def _scheme(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not text.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError("must start with " + " or ".join(f"{scheme}://" for scheme in schemes))
        return text

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError("must be one of " + ", ".join(words))
        return text

    return parse


def _artifacts(text: str) -> str:
    if text != "gridfs" and not text.startswith("folder:"):
        raise ValueError("must be gridfs or folder:<path>")
    return text


_VARIABLES: dict[str, _Variable] = {
    f"JANGADA_{variable.field.upper()}": variable
    for variable in (
        _Variable("home", Path, Path(".jangada"), "a folder", "data of the embedded platform"),
        _Variable("port", _port, 8080, "a port", "where the gateway listens; 0 picks a free one"),
        _Variable(
            "redis_url",
            _scheme("redis", "rediss", "redis+sentinel", "rediss+sentinel"),
            "redis://127.0.0.1:6379/0",
            "a redis://, rediss:// or redis+sentinel:// URL",
            "the queue's Redis; ?cluster=true for Redis Cluster; redis+sentinel://host,host/service for Sentinel",
        ),
        _Variable(
            "mongo_url",
            _scheme("mongodb", "mongodb+srv"),
            "mongodb://127.0.0.1:27017",
            "a mongodb:// URL",
            "the store",
        ),
        _Variable("mongo_database", str, "jangada", "a name", "database in the store"),
        _Variable("secrets_dir", Path, Path("/var/openfaas/secrets"), "a folder", "where secrets lie as files"),
        _Variable("artifacts", _artifacts, "gridfs", "gridfs or folder:<path>", "where files' bytes lie"),
        _Variable("public_url", _scheme("http", "https"), None, "a URL", "how clients reach us; else from the request"),
        _Variable("log_level", _one_of("debug", "info", "warning", "error"), "info", "a level", "least level logged"),
        _Variable("log_format", _one_of("json", "text"), "json", "json or text", "how log lines look"),
        _Variable("max_body_bytes", _positive_int, 8 * 1024 * 1024, "bytes", "largest JSON body"),
        _Variable("max_file_bytes", _positive_int, 256 * 1024 * 1024, "bytes", "largest uploaded file"),
        _Variable("inline_bytes", _positive_int, 256 * 1024, "bytes", "larger inputs and outputs become artifacts"),
        _Variable("lease_s", _positive_float, 15.0, "seconds", "how long an executor may be silent"),
        _Variable(
            "metrics_listen",
            _listen,
            None,
            "[host:]port",
            "where an executor or a node's agent serves its metrics; port 0 picks one",
        ),
        _Variable(
            "image_digest",
            _digest,
            None,
            "sha256:<64 hex digits>",
            "of the image an executor runs in; its jobs name it",
        ),
        _Variable("retention_s", _positive_float, 30 * 86400.0, "seconds", "how long final jobs are kept"),
        _Variable("usage_retention_s", _positive_float, 400 * 86400.0, "seconds", "how long the usage ledger is kept"),
        _Variable("file_ttl_s", _positive_float, 7 * 86400.0, "seconds", "how long files are kept"),
        _Variable("tenant_max_jobs", _positive_int, 20_000, "a number", "unfinished jobs of one tenant in one queue"),
        _Variable("queue_max_jobs", _positive_int, 1_000_000, "a number", "unfinished jobs in one queue"),
        _Variable(
            "queue_max_bytes", _positive_int, 1024 * 1024 * 1024, "bytes", "bytes of unfinished jobs in one queue"
        ),
        _Variable("webhook_allow_http", _bool, False, "true or false", "also call http:// webhooks"),
        _Variable(
            "webhook_allowed_hosts",
            _words,
            (),
            "host names, comma-separated",
            "internal hosts that webhooks and input URLs may name",
        ),
        _Variable(
            "callback_allowed_hosts",
            _words,
            (),
            "host names, comma-separated, or *",
            "internal hosts that X-Callback-Url may name; * allows all",
        ),
        _Variable("async_at_once", _positive_int, 32, "a number", "asynchronous calls of a queue made at once"),
        _Variable("trusted_proxies", _count, 1, "a number", "proxies in front whose X-Forwarded-* are believed"),
        _Variable("threads", _positive_int, 48, "a number", "threads of a function replica"),
        _Variable("max_inflight", _positive_int, 256, "a number", "requests in a replica before it answers 429"),
        _Variable("algorithms_dir", Path, None, "a folder", "where the algorithms' folders lie"),
        _Variable("url", _scheme("http", "https"), None, "a URL", "the platform that the client talks to"),
        _Variable("api_key", str, None, "a key", "the client's key"),
        _Variable("ocr_engine", _one_of("tesseract", "rapidocr"), None, "an engine", "force one OCR engine"),
        _Variable("allow_cpu", _bool, False, "true or false", "let a GPU queue run on a CPU"),
        _Variable("gpu_memory_fraction", _share, 0.9, "above 0, at most 1", "of a GPU's memory, what a child may take"),
        _Variable("test_envs", Path, None, "a folder", "tests: where algorithm environments are kept"),
        _Variable("redis_binary", str, None, "a file", "redis-server of the embedded platform"),
        _Variable("allow_unsafe_redis", _bool, False, "true or false", "start on a Redis that may lose or evict jobs"),
        _Variable("provider", _one_of("process", "docker"), "process", "process or docker", "what functions run as"),
        _Variable("docker_network", str, "jangada-functions", "a name", "the network of functions' containers"),
        _Variable(
            "docker_runtime", str, None, "a runtime of the Engine", "runs functions' containers; runsc is gVisor"
        ),
        _Variable(
            "docker_secrets_dir",
            Path,
            Path("/run/jangada/functions"),
            "a folder",
            "functions' secrets, under the same path here and on the Engine's machine",
        ),
        _Variable(
            "node_identity", Path, None, "a file", "who a joined node is: its executors reach the platform over HTTPS"
        ),
    )
}


_SECRETS = {"JANGADA_REDIS_URL": "redis-url", "JANGADA_MONGO_URL": "mongo-url"}
"""Variable → the secret (a file in `Settings.secrets_dir`) that says it when the environment does not."""


def _read_secret(file: Path, variable: _Variable) -> Any:
    try:
        return variable.parse(file.read_text(encoding="utf-8").strip())
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror or error}") from error
    except ValueError as error:
        # Its text is a secret: not quoted.
        raise ConfigurationError(f"{file}: expected {variable.expected} ({error})") from error


def _mask(name: str, value: Any) -> str:
    text = str(value)
    if value is None:
        return "-"
    if name == "api_key":
        return "***"
    if "://" in text and "@" in text:
        scheme, rest = text.split("://", 1)
        return f"{scheme}://***@{rest.rsplit('@', 1)[1]}"
    return text

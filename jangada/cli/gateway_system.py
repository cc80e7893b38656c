"""What `jangada function deploy` and its neighbours ask of a gateway: ``/system`` over HTTP [contract §1.3, §6]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import requests

from jangada.cli.gateway_login import Credentials
from jangada.errors import JangadaError

_CONNECT_S = 10.0
_ANSWER_S = 120.0
_MOST_SAID = 600
UPDATING_ANNOTATION = "status.jangada.io/updating"


class GatewayRefusedError(JangadaError):
    """Raised when the gateway does not answer, or does not do what it was asked for; says both."""


class SystemApi:
    """One gateway. Every method raises `GatewayRefusedError`."""

    def __init__(self, address: str, credentials: Credentials, session: requests.Session | None = None) -> None:
        self._address = address
        self._session = session or requests.Session()
        self._session.auth = credentials
        self._session.headers["User-Agent"] = "jangada"

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()

    def functions(self) -> list[dict[str, Any]]:
        """What is deployed, as the gateway tells it."""
        answer = self._call("GET", "functions")
        found = self._json(answer)
        if not isinstance(found, list):
            raise GatewayRefusedError(f"{self._address} is no OpenFaaS gateway: its functions are no list")
        return found

    def function(self, name: str, namespace: str = "") -> dict[str, Any] | None:
        """What the gateway tells of *name*, None when there is no such function."""
        query = f"?{urlencode({'namespace': namespace})}" if namespace else ""
        answer = self._call("GET", f"function/{quote(name, safe='')}{query}", accept=(404,))
        return None if answer.status_code == 404 else dict(self._json(answer))

    def deploy(self, body: Mapping[str, Any]) -> bool:
        """Update the function that *body* describes, or deploy it; True when it was there before."""
        if self._call("PUT", "functions", body=body, accept=(404,)).status_code != 404:
            return True
        self._call("POST", "functions", body=body)
        return False

    def remove(self, name: str) -> None:
        """Remove function *name*."""
        self._call("DELETE", "functions", body={"functionName": name})

    def set_secret(self, name: str, value: str) -> bool:
        """Replace the secret *name*, or create it; True when it was there before."""
        body = {"name": name, "value": value}
        if self._call("PUT", "secrets", body=body, accept=(404,)).status_code != 404:
            return True
        self._call("POST", "secrets", body=body)
        return False

    def _call(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, accept: tuple[int, ...] = ()
    ) -> requests.Response:
        url = f"{self._address}/system/{path}"
        try:
            # A redirect would repeat a deploy as a GET; the gateway sends none.
            answer = self._session.request(
                method, url, json=body, timeout=(_CONNECT_S, _ANSWER_S), allow_redirects=False
            )
        except requests.RequestException as error:
            raise GatewayRefusedError(f"no answer from {self._address}: {error}") from error
        if answer.status_code in accept or 200 <= answer.status_code < 300:
            return answer
        if answer.status_code == 401:
            raise GatewayRefusedError(f"{self._address} does not know these credentials (status 401)")
        said = " ".join(answer.text.split())[:_MOST_SAID]
        raise GatewayRefusedError(f"{method} {url}: status {answer.status_code}{': ' if said else ''}{said}")

    def _json(self, answer: requests.Response) -> Any:
        try:
            return answer.json()
        except requests.JSONDecodeError as error:
            raise GatewayRefusedError(f"{self._address} is no OpenFaaS gateway: its answer is no JSON") from error


def is_ready(status: Mapping[str, Any] | None, image: str) -> bool:
    """Whether *status* tells of *image*, answering, with no replica of an earlier deployment left."""
    return (
        status is not None
        and status.get("image") == image
        and int(status.get("availableReplicas") or 0) > 0
        and not (status.get("annotations") or {}).get(UPDATING_ANNOTATION)
    )

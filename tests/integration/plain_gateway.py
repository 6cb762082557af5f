"""A gateway that is not LiteLLM: it asks the steps of a chain, one after the other.

It is whole, and the one file it takes: as `harness/gateway/kinds/plain.py` it is found by
``gateway.type: plain``.
"""

from __future__ import annotations

import json
import threading
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import expovariate
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.gateway.base import Kind
from harness.routing import Route, listed, resolve
from harness.wire import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.registry import Registry
    from harness.wire.http1 import Response

TIMEOUT_S = 10.0


def steps(registry: Registry, *, endpoints: Mapping[str, str]) -> dict[str, Any]:
    """For every name the deployments to ask, in order: where, as what, and with whose key.

    A name that ends with ``*`` stands for all that begin so.
    """
    names = {name: name for name in listed(registry)}
    patterns = {pattern.match: f"{pattern.match[:-1]}x" for pattern in registry.routes.patterns}
    return {
        name: [
            {
                "id": deployment.id,
                "url": endpoints[deployment.provider] + provider.api_path,
                "model": deployment.served_as,
                "key": provider.api_key.env if provider.api_key else None,
                "tier": number,
                "weight": deployment.weight,
            }
            for number, tier in enumerate(route.tiers)
            for deployment in tier.deployments
            if (provider := registry.provider(deployment.provider))
        ]
        for name, example in (names | patterns).items()
        if isinstance(route := resolve(registry, example), Route)
    }


def files(registry: Registry) -> dict[str, str]:
    """What `harness generate` writes."""
    where = {name: registry.origin(name) for name in registry.enabled_providers()}
    return {"plain.json": json.dumps(steps(registry, endpoints=where), indent=2) + "\n"}


def variables(registry: Registry) -> dict[str, str]:
    """Its own key, and those of the providers."""
    keys = [registry.provider(name).api_key for name in registry.enabled_providers()]
    own = registry.gateway.master_key.env
    return {own: "what clients send"} | {key.env: "what a provider wants" for key in keys if key}


class Plain:
    """See `harness.gateway.base.Gateway`."""

    name, version = "plain", "1"
    requests_counter = "plain_requests_total"
    pid = None

    def __init__(
        self,
        registry: Registry,
        *,
        config: Mapping[str, Any],
        secrets: Mapping[str, str],
        port: int,
        **_: Any,
    ) -> None:
        self.key = secrets[registry.gateway.master_key.env]
        self.endpoint = f"http://{registry.ports.host}:{port}"
        self._config, self._secrets, self._public = config, secrets, registry.public_models
        self._place = registry.ports.host, port
        self._server: ThreadingHTTPServer | None = None

    async def start(self) -> None:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                models = [{"id": name, "object": "model"} for name in gateway._public]
                self._say(200, {}, json.dumps({"object": "list", "data": models}).encode())

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if self.headers.get("authorization") != f"Bearer {gateway.key}":
                    self._say(401, {}, b'{"error": {"message": "no key"}}')
                else:
                    self._say(*gateway._ask(self.path, body))

            def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(self._place, Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _ask(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        model, tried = body["model"], []
        begins = (name for name in self._config if name[-1] == "*" and model.startswith(name[:-1]))
        chain = self._config.get(model) or self._config.get(next(begins, ""), ())
        # Within a tier by weight: of exponential moments the least, each with its own rate.
        for step in sorted(chain, key=lambda s: (s["tier"], expovariate(s["weight"]))):
            where = urlsplit(step["url"])
            connection = HTTPConnection(where.hostname or "", where.port, timeout=TIMEOUT_S)
            headers = {"content-type": "application/json"}
            if step["key"]:
                headers["authorization"] = f"Bearer {self._secrets[step['key']]}"
            try:
                asked = json.dumps(body | {"model": step["model"]})
                connection.request("POST", where.path + path.removeprefix("/v1"), asked, headers)
                answer = connection.getresponse()
                whole = answer.read()
            except (OSError, HTTPException):
                tried.append(f"{step['id']} did not answer")
                continue
            finally:
                connection.close()
            if answer.status == 200:
                kind = answer.headers["content-type"]
                return 200, {"content-type": kind, "x-plain-by": step["id"]}, whole
            tried.append(f"{step['id']} answered {answer.status}")
        message = f"nobody answers {model}: {', '.join(tried) or 'it is not routed'}"
        return 503 if tried else 404, {}, json.dumps({"error": {"message": message}}).encode()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def alive(self) -> bool:
        return self._server is not None

    def log_tail(self, lines: int = 20) -> str:
        return f"no log, {lines} lines or fewer"

    def deployment_of(self, response: Response) -> str | None:
        return response.header("x-plain-by")

    def metrics_request(self) -> Request:
        return Request(method="GET", url=f"{self.endpoint}/metrics")


GATEWAY = Kind(
    name="plain",
    title="a plain gateway",
    version=lambda: "1",
    files=files,
    compile=steps,
    variables=variables,
    make=Plain,
)

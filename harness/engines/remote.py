"""An engine that is not ours: a user's own endpoint, by URL and key variable.

Nothing is started, stopped or changed there. Reading is free; what generates costs money, or takes
capacity from others, and is refused unless the engine is ``live``.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.engines.emulator import dialects
from harness.engines.engine import Capabilities, EngineError, Kind
from harness.registry.rules.network import is_loopback
from harness.wire import RecordingClient, Request, parse

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from harness.registry.models import Provider
    from harness.wire import Header, Response

_READING = {"GET", "HEAD"}
_READING_POSTS = {"/api/show"}
_ANTHROPIC_VERSION = "2023-06-01"


@dataclass(frozen=True, slots=True)
class _Told:
    """Where a server tells its version: a path from its root and keys into the JSON there."""

    path: str
    keys: tuple[str, ...]


_VERSIONS = {
    "vllm": _Told("/version", ("version",)),
    "llama_cpp_native": _Told("/props", ("build_info",)),
    "llama_cpp_python": _Told("/openapi.json", ("info", "version")),
    "ollama": _Told("/api/version", ("version",)),
}

EXPLAINED = {
    "engine.remote-key": """A remote engine needs a key, or refuses the one it gets

The key is read from the environment variable that the provider's api_key names, and goes nowhere
but to that provider.

Remedy: Export the variable with a valid key, or correct its name in providers.yaml.""",
    "engine.remote-unreachable": """A remote engine was not reached

One read was sent to its list of models and no HTTP answer came: no such host, nobody listening,
a certificate that is not trusted, or no answer in time.

Remedy: Check base_url and the network; `curl` the address that the error names.""",
    "engine.remote-not-ready": """A remote engine gave no list of models

Something answered at its address, but not as an OpenAI-compatible server that is ready.

Remedy: Check base_url and api_path of the provider, and whether the server is still starting.""",
    "engine.remote-not-live": """A request that costs money or capacity was held back

A remote engine is somebody's server. Only reading is sent to it unless you say otherwise.

Remedy: Say --live where you accept what the answers cost.""",
    "engine.remote-change": """A request that would change a remote engine was refused

The harness deletes and changes nothing on a server that is not its own, whatever it is told.

Remedy: Do it by hand, with the server's own tools.""",
}


class RemoteEngine:
    """An `engine.Engine` at ``endpoint`` (``https://host[:port][/prefix]``), never stopped by us.

    ``key_variable`` names the environment variable with its key. `models` are the ids it lists and
    `version` what it says of itself ("" where it says nothing), both known once it is ready.
    """

    kind: Kind = "remote"

    def __init__(
        self,
        id: str,  # noqa: A002 - the noun of every engine
        *,
        endpoint: str,
        dialect: str,
        api_path: str = "/v1",
        key_variable: str | None = None,
        live: bool = False,
        environment: Mapping[str, str] = os.environ,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """Nothing is asked yet. ``trust`` is for certificates that the system does not know.

        Raises:
            SpecError: no such dialect.
        """
        self.id, self.endpoint = id, endpoint.rstrip("/")
        self.live, self.key_variable = live, key_variable
        self.version = ""
        self.models: tuple[str, ...] = ()
        self._dialect, self._api_path = dialect, api_path.rstrip("/")
        self.capabilities: Capabilities = dialects.load(self._dialect).capabilities
        self._environment, self._trust = environment, trust

    def __repr__(self) -> str:
        return f"RemoteEngine({self.id!r}, endpoint={self.endpoint!r}, live={self.live})"

    async def start(self) -> None:
        """Only look whether its key is there. Raises `EngineError`."""
        self._key()

    async def ready(self, timeout_s: float = 30.0) -> None:
        """Read its list of models once, then its version where it has a path for that.

        Raises:
            EngineError: not reached, no key or a wrong one, or no list of models there.
        """
        async with RecordingClient(timeout_s=timeout_s, trust=self._trust) as client:
            exchange = await client.send(self.request("GET", f"{self._api_path}/models"))
            response = parse(exchange)
            if response.status is None:
                raise self._not_ready(
                    "engine.remote-unreachable", exchange.detail or response.fault
                )
            self.models = self._listed(response)
            self.version = dict(response.headers).get("openai-version", "")
            if self._dialect == "anthropic":
                self.version = f"API {_ANTHROPIC_VERSION}"
            if told := _VERSIONS.get(self._dialect):
                answer = parse(await client.send(self.request("GET", told.path)))
                self.version = _told(answer, told.keys)

    async def stop(self) -> None:
        """Leave it alone."""

    def log_tail(self, lines: int = 20) -> str:
        """Its log is not ours to read: always empty."""
        del lines
        return ""

    def request(
        self, method: str, path: str, *, headers: tuple[Header, ...] = (), body: bytes = b""
    ) -> Request:
        """A request to it, with its key: the only place that the key comes from.

        Raises:
            EngineError: ``engine.remote-not-live``, it would generate and the engine is not live;
                ``engine.remote-change``, it would change or delete; ``engine.remote-key``.
        """
        if not self.allows(method, path):
            if method != "POST":
                raise EngineError(
                    "engine.remote-change",
                    f"{method} {path} was not sent to {self.id} ({self.endpoint}): the harness "
                    "changes nothing on a server that is not its own. Do it by hand.",
                )
            raise EngineError(
                "engine.remote-not-live",
                f"POST {path} was not sent to {self.id} ({self.endpoint}): it is somebody's "
                "server, and an answer costs money or takes capacity from others. "
                "Say --live (live=True) to allow it.",
            )
        return Request(
            method=method,
            url=f"{self.endpoint}{path}",
            headers=(*self._credentials(), *headers),
            body=body,
        )

    def allows(self, method: str, path: str) -> bool:
        """Whether such a request may be sent: reading always, generating only where it is live."""
        reads = method in _READING or (method == "POST" and path in _READING_POSTS)
        return reads or (method == "POST" and self.live)

    def _credentials(self) -> tuple[Header, ...]:
        key = self._key()
        if self._dialect == "anthropic":
            version = ("anthropic-version", _ANTHROPIC_VERSION)
            return (version, ("x-api-key", key)) if key else (version,)
        return (("authorization", f"Bearer {key}"),) if key else ()

    def _key(self) -> str | None:
        if self.key_variable is None:
            return None
        if key := self._environment.get(self.key_variable):
            return key
        raise EngineError(
            "engine.remote-key",
            f"{self.id} ({self.endpoint}) needs a key and ${self.key_variable} is not set: "
            f"export {self.key_variable}=... and run again.",
        )

    def _listed(self, response: Response) -> tuple[str, ...]:
        if response.status in (401, 403):
            key = f"${self.key_variable} is wrong" if self.key_variable else "it needs a key"
            raise self._not_ready(
                "engine.remote-key", f"it answered {response.status}: {key}, or may not list models"
            )
        listed = _json(response)
        models = listed.get("data") if isinstance(listed, dict) else None
        if response.status != 200 or not isinstance(models, list):
            said = response.body[:200].decode("utf-8", "replace")
            raise self._not_ready(
                "engine.remote-not-ready", f"it answered {response.status} {said!r}"
            )
        return tuple(str(each["id"]) for each in models if isinstance(each, dict) and "id" in each)

    def _not_ready(self, id_: str, what: str) -> EngineError:
        return EngineError(
            id_,
            f"{self.id} is not ready: GET {self.endpoint}{self._api_path}/models: {what}. "
            "Check base_url, api_path and api_key of the provider; nothing else was sent.",
        )


def remotes(providers: Mapping[str, Provider], *, live: bool = False) -> dict[str, RemoteEngine]:
    """An engine for each enabled provider whose ``base_url`` is not on this machine."""
    return {
        name: RemoteEngine(
            name,
            endpoint=provider.base_url,
            dialect=provider.type,
            api_path=provider.api_path,
            key_variable=provider.api_key.env if provider.api_key else None,
            live=live,
        )
        for name, provider in providers.items()
        if provider.enabled
        and provider.base_url is not None
        and not is_loopback(urlsplit(provider.base_url).hostname or "")
    }


def _told(response: Response, keys: tuple[str, ...]) -> str:
    value = _json(response)
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return str(value) if value is not None else ""


def _json(response: Response) -> Any:
    try:
        return json.loads(response.body)
    except ValueError:
        return None

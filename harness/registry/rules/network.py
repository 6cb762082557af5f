"""Rules about addresses: one owner per port, nothing reachable from outside, no key in a URL."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.registry.finding import Severity
from harness.registry.rule import Hit, rule
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.registry.registry import Registry

_CLIENT_ERROR = 400
_FAR = """
providers.yaml: {providers: {far: {type: openai_compatible, status: optional, base_url: '%s',
  models: [{name: big, served_as: big, context_length: 4096, capabilities: [chat], mode: chat,
  residency: always}]}}}
model-mappings.yaml: {routes: {exact: {big: {provider: far, model: big}}}}
"""


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine's loopback: localhost, 127.0.0.0/8 or ::1 (RFC 6890)."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@rule(
    "GW140",
    title="Two services share a port",
    why="All services listen on one host, so the second one to start fails, or answers in place "
    "of the first.",
    remedy="Give one of them another port.",
    failing="ports.yaml: {services: {spare: {port: 8000}}}",
    passing="ports.yaml: {services: {spare: {port: 8080}}}",
)
def port_taken(registry: Registry) -> Iterator[Hit]:
    """Services whose port an earlier service has."""
    first: dict[int, str] = {}
    for name, service in registry.ports.services.items():
        other = first.setdefault(service.port, name)
        if other != name:
            message = f"Port {service.port} already belongs to {quoted(other)}."
            yield Hit(("services", name, "port"), message)


@rule(
    "GW141",
    title="Services would listen beyond loopback",
    why="Model servers have no authentication of their own. On any other address the whole "
    "network can use them without passing the gateway.",
    remedy="Write 127.0.0.1; put a reverse proxy with TLS in front of the gateway for others.",
    failing="ports.yaml: {host: 0.0.0.0}",
    passing="ports.yaml: {host: 127.0.0.1}",
)
def not_loopback(registry: Registry) -> Iterator[Hit]:
    """A host in ports.yaml that is not loopback."""
    if not is_loopback(registry.ports.host):
        yield Hit(("host",), f"{quoted(registry.ports.host)} is not a loopback address.")


@rule(
    "GW142",
    title="A URL holds credentials",
    why="A URL is logged, shown in errors and written to the generated configuration; what "
    "stands in it is no longer secret.",
    remedy="Give the key as api_key: {env: NAME}, and change it where it was used.",
    failing="""
providers.yaml: {providers: {far: {type: openai_compatible, status: optional,
  base_url: 'https://user:secret@llm.example', models: [{name: big, served_as: big,
  context_length: 4096, capabilities: [chat], mode: chat, residency: always}]}}}
model-mappings.yaml: {routes: {exact: {big: {provider: far, model: big}}}}
""",
    passing="""
providers.yaml: {providers: {far: {type: openai_compatible, status: optional,
  base_url: 'https://llm.example', api_key: {env: FAR_KEY}, models: [{name: big, served_as: big,
  context_length: 4096, capabilities: [chat], mode: chat, residency: always}]}}}
model-mappings.yaml: {routes: {exact: {big: {provider: far, model: big}}}}
""",
)
def credentials_in_url(registry: Registry) -> Iterator[Hit]:
    """Base URLs with a user or a password."""
    for name, provider in registry.providers.items():
        if provider.base_url is not None and "@" in urlsplit(provider.base_url).netloc:
            message = f"The base_url of {quoted(name)} holds a user name or password."
            yield Hit(("providers", name, "base_url"), message)


@rule(
    "GW143",
    title="A local server is given by URL",
    why="Its port then stands here and in ports.yaml, and the two drift apart; the harness also "
    "could not put a server of its own in its place.",
    remedy="Define a service in ports.yaml and refer to it with port:.",
    failing="""
providers.yaml: {providers: {far: {type: openai_compatible, status: optional,
  base_url: 'http://localhost:9000', models: [{name: big, served_as: big,
  context_length: 4096, capabilities: [chat], mode: chat, residency: always}]}}}
model-mappings.yaml: {routes: {exact: {big: {provider: far, model: big}}}}
""",
    passing="""
ports.yaml: {services: {far: {port: 9000, protocol: http, owner: far}}}
providers.yaml: {providers: {far: {type: openai_compatible, status: optional, port: far,
  health: {path: /health, timeout_s: 2}, models: [{name: big, served_as: big,
  context_length: 4096, capabilities: [chat], mode: chat, residency: always}]}}}
model-mappings.yaml: {routes: {exact: {big: {provider: far, model: big}}}}
""",
)
def local_by_url(registry: Registry) -> Iterator[Hit]:
    """Base URLs that point at loopback."""
    for name, provider in registry.providers.items():
        if provider.base_url is not None and is_loopback(_host(provider.base_url)):
            message = f"The base_url of {quoted(name)} is on this machine."
            yield Hit(("providers", name, "base_url"), message)


@rule(
    "GW144",
    severity=Severity.WARNING,
    title="A key travels unencrypted",
    why="Over http:// everybody on the way can read the key and use it.",
    remedy="Use https://.",
    failing="""
providers.yaml: {providers: {far: {type: openai_compatible, status: optional,
  base_url: 'http://llm.example', api_key: {env: FAR_KEY}, models: [{name: big, served_as: big,
  context_length: 4096, capabilities: [chat], mode: chat, residency: always}]}}}
model-mappings.yaml: {routes: {exact: {big: {provider: far, model: big}}}}
""",
    passing="""
providers.yaml: {providers: {far: {type: openai_compatible, status: optional,
  base_url: 'https://llm.example', api_key: {env: FAR_KEY}, models: [{name: big, served_as: big,
  context_length: 4096, capabilities: [chat], mode: chat, residency: always}]}}}
model-mappings.yaml: {routes: {exact: {big: {provider: far, model: big}}}}
""",
)
def key_in_the_clear(registry: Registry) -> Iterator[Hit]:
    """Remote providers with a key and without TLS."""
    for name, provider in registry.providers.items():
        url = provider.base_url
        if url is None or provider.api_key is None or is_loopback(_host(url)):
            continue
        if urlsplit(url).scheme == "http":
            message = f"{quoted(name)} gets its key over http."
            yield Hit(("providers", name, "base_url"), message)


@rule(
    "GW145",
    title="Browsers of any origin may call the gateway",
    why="Every web page somebody opens could then use the models with that person's access. A "
    "wildcard also hides that LiteLLM allows every origin unless told otherwise.",
    remedy="List the origins that need it, such as http://localhost:3000.",
    failing="model-mappings.yaml: {gateway: {cors_origins: ['*']}}",
    passing="model-mappings.yaml: {gateway: {cors_origins: []}}",
)
def any_origin(registry: Registry) -> Iterator[Hit]:
    """Origins with a wildcard."""
    for index, origin in enumerate(registry.gateway.cors_origins):
        if "*" in origin:
            yield Hit(("gateway", "cors_origins", index), f"{quoted(origin)} is a wildcard.")


@rule(
    "GW146",
    title="A CORS origin is not an origin",
    why="A browser sends scheme, host and port and nothing else (RFC 6454, section 6.2), so an "
    "origin with a path or a final slash never matches.",
    remedy="Write it as http://host:port.",
    failing="model-mappings.yaml: {gateway: {cors_origins: ['http://localhost:3000/']}}",
    passing="model-mappings.yaml: {gateway: {cors_origins: ['http://localhost:3000']}}",
)
def not_an_origin(registry: Registry) -> Iterator[Hit]:
    """Origins that no browser sends."""
    for index, origin in enumerate(registry.gateway.cors_origins):
        if "*" not in origin and not _is_origin(origin):
            yield Hit(("gateway", "cors_origins", index), f"{quoted(origin)} is not an origin.")


@rule(
    "GW148",
    title="The gateway's health path asks the models",
    why="LiteLLM answers /health by sending a real completion to every deployment, and only to "
    "who shows a key: a probe every few seconds costs tokens and GPU time, and one without a key "
    "gets 401. /v1/health does not exist and answers 404.",
    remedy="Write /health/readiness, or /health/liveliness for the process alone; both are free "
    "and need no key.",
    failing="model-mappings.yaml: {gateway: {health: {path: /health}}}",
    passing="model-mappings.yaml: {gateway: {health: {path: /health/liveliness}}}",
)
def costly_health(registry: Registry) -> Iterator[Hit]:
    """A gateway probed at the path that LiteLLM keeps for its models, or near it."""
    path = registry.gateway.health.path
    if path.rstrip("/").endswith("/v1/health"):
        yield Hit(("gateway", "health", "path"), f"{quoted(path)} does not exist in LiteLLM.")
    elif path.rstrip("/").endswith("/health"):
        message = f"Each probe of {quoted(path)} asks every model for an answer."
        yield Hit(("gateway", "health", "path"), message)


@rule(
    "GW147",
    title="One service is used twice",
    why="Two providers, or a provider and the gateway, would answer on one port: requests for "
    "one of them reach the other, or the gateway calls itself.",
    remedy="Give each a service of its own in ports.yaml.",
    failing="providers.yaml: {providers: {spare: {port: local}}}",
    passing="providers.yaml: {providers: {spare: {port: spare}}}",
)
def service_twice(registry: Registry) -> Iterator[Hit]:
    """Providers on the service of the gateway or of an earlier provider."""
    first = {registry.gateway.port: "the gateway"}
    for name, provider in registry.providers.items():
        if provider.port is None:
            continue
        other = first.setdefault(provider.port, quoted(name))
        if other != quoted(name):
            message = f"The service {quoted(provider.port)} is already that of {other}."
            yield Hit(("providers", name, "port"), message)


@rule(
    "GW176",
    title="The path of the API stands twice",
    why="api_path is appended to base_url, so the server is asked for /v1/v1/chat/completions and "
    "answers 404 to every request.",
    remedy="End base_url before api_path, which is /v1 where it is not given.",
    failing=_FAR % "https://llm.example/v1",
    passing=_FAR % "https://llm.example/inference",
)
def version_twice(registry: Registry) -> Iterator[Hit]:
    """Base URLs that end in the path that is appended to them."""
    for name, provider in registry.providers.items():
        url = provider.base_url
        if url is not None and provider.api_path != "/" and url.endswith(provider.api_path):
            message = f"{quoted(url)} ends in {provider.api_path}, which is appended to it."
            yield Hit(("providers", name, "base_url"), message)


@rule(
    "GW177",
    severity=Severity.WARNING,
    title="A server is probed at a path it does not have",
    why="Ollama and the Python server of llama.cpp have no /health and answer 404, so the harness "
    "takes them for servers that are never ready.",
    remedy="Write /api/tags for Ollama, /v1/models for llama_cpp_python.",
    failing="providers.yaml: {providers: {spare: {type: ollama}}}",
    passing="providers.yaml: {providers: {spare: {type: ollama, "
    "health: {path: /api/tags, timeout_s: 2}}}}",
)
def no_such_path(registry: Registry) -> Iterator[Hit]:
    """Health paths of servers that are known not to have them, where a success is expected."""
    for name, provider in registry.providers.items():
        health = provider.health
        if health is None or provider.type not in {"ollama", "llama_cpp_python"}:
            continue
        if health.path.rstrip("/") == "/health" and health.expect_status < _CLIENT_ERROR:
            message = f"{provider.type} has no {health.path}."
            yield Hit(("providers", name, "health", "path"), message)


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    origin = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and text == origin

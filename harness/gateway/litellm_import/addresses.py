"""What ``api_base`` and ``api_key`` of a deployment mean, defaults of LiteLLM included."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULTS = {
    "openai": ("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "anthropic": ("https://api.anthropic.com", "ANTHROPIC_API_KEY"),
    "ollama": ("http://localhost:11434", None),
    "ollama_chat": ("http://localhost:11434", None),
}
"""Where LiteLLM sends a request without ``api_base``, and the variable it takes the key from."""

NO_KEY = {
    *("", "none", "null", "not-needed", "no-key", "no-key-required", "sk-no-key-required"),
    *("empty", "dummy", "fake", "fake-key", "anything", "na", "n/a", "ollama", "lm-studio"),
}
"""Keys people write for a server that wants none; the OpenAI adapter refuses an empty one."""

ENV_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
SHELL = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens: ``path`` is what follows the host in ``api_base``."""

    scheme: str
    host: str
    port: int | None
    path: str

    @property
    def local(self) -> bool:
        """Whether it is on this machine, where the sources want a port and no URL."""
        return is_loopback(self.host)

    @property
    def netloc(self) -> str:
        """Host and port as a URL has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def bound(self) -> int:
        """The port, given or implied by the scheme."""
        return self.port or (443 if self.scheme == "https" else 80)


def is_loopback(host: str) -> bool:
    """Whether ``host`` names this machine: localhost, 127.0.0.0/8 or ::1."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def address_of(params: Mapping[str, Any], adapter: str) -> Address | None:
    """The address an entry is sent to; None if it is not told or makes no sense."""
    base = params.get("api_base") or params.get("base_url") or DEFAULTS.get(adapter, ("",))[0]
    try:
        parts = urlsplit(str(base))
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        return None
    return Address(parts.scheme, parts.hostname, port, parts.path.rstrip("/"))


def variable_of(value: Any) -> str | None:
    """The environment variable a key is taken from: ``os.environ/NAME``."""
    if isinstance(value, str) and value.startswith("os.environ/"):
        return value.removeprefix("os.environ/")
    return None


def needs_none(value: Any) -> bool:
    """Whether this key stands for no key at all."""
    return value is None or (isinstance(value, str) and value.strip().lower() in NO_KEY)

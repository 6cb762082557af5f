"""Rules about keys: whoever needs one is given one, by the name of a variable."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.registry.finding import Severity
from harness.registry.rule import Hit, rule
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.registry.registry import Registry
    from harness.registry.rule import Path

NEED_A_KEY = frozenset({"openai", "anthropic"})
"""Types of provider that answer nobody without a key."""
_CLOUD = """
model-mappings.yaml: {routes: {exact: {big: {provider: far, model: big}}}}
providers.yaml: {providers: {far: {type: openai, status: optional, base_url: 'https://llm.example',
  models: [{name: big, served_as: big, context_length: 4096, capabilities: [chat], mode: chat,
  residency: always}]%s}}}
"""


@rule(
    "GW149",
    severity=Severity.WARNING,
    title="A provider that wants a key is given none",
    why="The provider answers 401 to every request. Or LiteLLM finds a variable such as "
    "OPENAI_API_KEY in the gateway's environment and spends on a key that nobody chose here.",
    remedy="Write api_key: {env: NAME}, or type: openai_compatible where the server wants no key.",
    failing=_CLOUD % "",
    passing=_CLOUD % ", api_key: {env: FAR_KEY}",
)
def no_key(registry: Registry) -> Iterator[Hit]:
    """Enabled remote providers of a type that needs a key, without one."""
    for name, provider in registry.enabled_providers().items():
        if provider.type in NEED_A_KEY and provider.base_url and provider.api_key is None:
            yield Hit(("providers", name, "type"), f"{quoted(name)} has no api_key.")


@rule(
    "GW174",
    title="A key stands where the name of a variable belongs",
    why="The gateway looks for a variable of that name, finds none and sends no key. The key "
    "itself is in the file now, and in everything the file is copied to.",
    remedy="Write the name of the variable that holds the key, and revoke the key.",
    failing="providers.yaml: {providers: {local: {api_key: {env: %s}}}}" % ("A1B2C3D4" * 4),
    passing="providers.yaml: {providers: {local: {api_key: {env: LOCAL_KEY_2}}}}",
)
def key_as_name(registry: Registry) -> Iterator[Hit]:
    """References to the environment whose name looks drawn at random. It is never repeated."""
    references: list[tuple[Path, str]] = [
        (("providers", name, "api_key", "env"), provider.api_key.env)
        for name, provider in registry.providers.items()
        if provider.api_key is not None
    ]
    references.append((("gateway", "master_key", "env"), registry.gateway.master_key.env))
    for path, name in references:
        if looks_drawn(name):
            yield Hit(path, "This reads like a key, not like the name of a variable.")


@rule(
    "GW175",
    severity=Severity.WARNING,
    title="The gateway and a provider have one key",
    why="Whoever may use the gateway holds the key of the server behind it as well and can ask it "
    "directly: past the limits, the budgets and the log.",
    remedy="Give each a key and a variable of its own.",
    failing="providers.yaml: {providers: {local: {api_key: {env: GATEWAY_KEY}}}}",
    passing="providers.yaml: {providers: {local: {api_key: {env: LOCAL_KEY}}}}",
)
def shared_key(registry: Registry) -> Iterator[Hit]:
    """Providers whose key is in the variable of the gateway's master key."""
    for name, provider in registry.providers.items():
        if provider.api_key is not None and provider.api_key == registry.gateway.master_key:
            message = f"{quoted(provider.api_key.env)} is also the gateway's master key."
            yield Hit(("providers", name, "api_key", "env"), message)


_RUN = re.compile(r"[A-Z0-9]{20,}")
_TURNS = re.compile(r"(?<=[A-Z])(?=\d)|(?<=\d)(?=[A-Z])")


def looks_drawn(name: str) -> bool:
    """Whether a name holds 20 letters and digits in a row that alternate at every fourth or more.

    In a random key they alternate at every second (hexadecimal) or third place (base 32); in
    ``AZUREOPENAIGPT4O2024EASTUS2KEY`` at every fifth, and in most names no run is as long.
    """
    return any(4 * len(_TURNS.findall(run)) > len(run) for run in _RUN.findall(name))

"""From ``api_base`` and ``api_key`` to servers: what stands at one address is one provider."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.gateway.litellm_import.addresses import (
    DEFAULTS,
    ENV_NAME,
    SHELL,
    Address,
    address_of,
    needs_none,
    variable_of,
)
from harness.gateway.litellm_import.entries import ADAPTERS
from harness.gateway.litellm_import.report import Kind
from harness.registry.drafting import DraftModel, DraftProvider
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from harness.gateway.litellm_import.entries import Entry
    from harness.gateway.litellm_import.report import Report
    from harness.registry.drafting import Draft
    from harness.registry.models import ProviderType

_ID = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
_NATIVE = {"ollama", "anthropic"}
"""Types whose adapter appends its own path, so ``api_base`` is the server's root."""
_HINTS: tuple[tuple[str, ProviderType], ...] = (
    ("vllm", "vllm"),
    ("llamacpppython", "llama_cpp_python"),
    ("llamacpp", "llama_cpp_native"),
    ("llamaserver", "llama_cpp_native"),
)
"""Words in names that tell servers apart which LiteLLM reaches by one adapter."""


def place(entries: list[Entry], draft: Draft, report: Report) -> dict[Entry, tuple[str, str]]:
    """Fill the providers of ``draft``; provider id and model name of every entry it can hold.

    Entries are one provider if they share an address and, on a remote one, a key: a port of this
    machine has one server whatever its keys are.
    """
    found: dict[Entry, tuple[Address, ProviderType]] = {}
    for entry in entries:
        address = _address(entry, report)
        if address is not None:
            found[entry] = (address, _type(entry, address))
    hosts = Counter(address.host for address, _ in found.values() if address.local)
    draft.host = hosts.most_common(1)[0][0] if hosts else draft.host
    servers: dict[tuple[object, ...], DraftProvider] = {}
    placed: dict[Entry, tuple[str, str]] = {}
    for entry, (address, kind) in found.items():
        key = repr(entry.params.get("api_key"))
        same: tuple[object, ...] = (address.bound,) if address.local else (address, key)
        provider = servers.get(same)
        new = provider is None
        if provider is None:
            group = [e for e, (a, _) in found.items() if (a.bound if a.local else a) == same[0]]
            provider = servers[same] = _provider(entry, address, kind, draft, group)
            draft.providers[provider.id] = provider
        _claim_address(entry, provider, draft, report)
        _claim_key(entry, provider, report, first=new)
        if entry.upstream != "*":
            placed[entry] = (provider.id, _model(entry, provider, report))
        else:
            placed[entry] = (provider.id, "")
    for empty in [one.id for one in draft.providers.values() if not one.models]:
        del draft.providers[empty]
    for entry, where in placed.items():
        if where[0] not in draft.providers:
            message = f"{quoted(entry.group)} reaches a server of which no model is named."
            report.drop(entry.path, message)
    return {entry: where for entry, where in placed.items() if where[0] in draft.providers}


def _address(entry: Entry, report: Report) -> Address | None:
    path = (*entry.path, "litellm_params", "api_base")
    base = entry.params.get("api_base")
    variable = variable_of(base)
    if variable is not None:
        message = f"The address of {quoted(entry.group)} is in the environment, not in the file."
        report.claim(path, Kind.MANUAL, message, remedy="Write it as base_url, or as a port.")
        return Address("http", f"{_slug(variable) or 'server'}.invalid", None, "/v1")
    address = address_of(entry.params, entry.adapter)
    if address is None:
        message = f"It is not told where {quoted(entry.group)} is sent."
        report.drop(entry.path, message)
    elif address.local and address.scheme == "https":
        message = f"{quoted(entry.group)} is on this machine behind TLS; local servers speak http."
        report.drop(entry.path, message)
        return None
    return address


def _type(entry: Entry, address: Address) -> ProviderType:
    kind = ADAPTERS[entry.adapter]
    if kind == "openai_compatible":
        if address.host == urlsplit(DEFAULTS["openai"][0]).hostname:
            return "openai"
        said = (str(entry.info.get("id", "")).rpartition("@")[2], address.host, entry.group)
        for text in said:
            folded = re.sub(r"[^a-z]", "", text.lower())
            for word, hinted in _HINTS:
                if word in folded:
                    return hinted
    return kind  # type: ignore[return-value]  # the table holds provider types


def _provider(
    entry: Entry, address: Address, kind: ProviderType, draft: Draft, group: list[Entry]
) -> DraftProvider:
    """A new provider for ``address``, which all of ``group`` share."""
    if address.local and any(ADAPTERS[each.adapter] == "ollama" for each in group):
        kind = "ollama"
    wanted = next(filter(None, map(_own_id, group)), None) or _named(kind, address)
    provider = DraftProvider(id=draft.unused_id(wanted), type=kind)
    if kind not in {ADAPTERS[entry.adapter], "openai"}:
        provider.type_note = "by its names"
    if address.local:
        provider.port = address.bound
        provider.api_path = "/v1" if kind in _NATIVE else address.path or "/"
        return provider
    if kind in _NATIVE:
        provider.base_url = f"{address.scheme}://{address.netloc}{address.path}"
    else:
        prefix, v1, _ = address.path.rpartition("/v1")
        whole = bool(v1) and address.path.endswith("/v1")
        provider.base_url = f"{address.scheme}://{address.netloc}{prefix if whole else ''}"
        provider.api_path = "/v1" if whole else address.path or "/"
    if address.host.endswith(".invalid"):
        provider.url_note = "UNKNOWN: its address was in an environment variable"
    return provider


def _own_id(entry: Entry) -> str | None:
    """The provider in an id of ours, ``group@provider``."""
    own = str(entry.info.get("id", ""))
    name = own.removeprefix(f"{entry.group}@")
    return name if name != own and len(name) <= 60 and _ID.fullmatch(name) else None


def _named(kind: ProviderType, address: Address) -> str:
    if kind != "openai_compatible":
        return kind.replace("_", "-")
    if address.local:
        return f"server-{address.bound}"
    labels = [_slug(label) for label in address.host.removesuffix(".invalid").split(".")]
    return "-".join(filter(None, labels))[:40].strip("-") or "remote"


def _slug(text: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return slug if _ID.fullmatch(slug) else ""


def _claim_address(entry: Entry, provider: DraftProvider, draft: Draft, report: Report) -> None:
    """Hold the address an entry gives against the one that will be generated."""
    for key in ("api_base", "base_url"):
        path = (*entry.path, "litellm_params", key)
        text = entry.params.get(key)
        if not isinstance(text, str) or variable_of(text) is not None:
            continue
        parts = urlsplit(text)
        base = provider.base_url or f"http://{draft.host}:{provider.port}"
        wanted = base if provider.type in _NATIVE else (base + provider.api_path)
        if parts.username or parts.password or parts.query or parts.fragment:
            message = f"api_base of {quoted(entry.group)} carries more than an address."
            report.claim(path, Kind.APPROXIMATED, message, rule="GW504")
        elif _bare(text) == _bare(wanted):
            report.exact(path)
        else:
            message = f"{quoted(entry.group)} is sent to {wanted.rstrip('/')}."
            report.claim(path, Kind.APPROXIMATED, message)


def _bare(url: str) -> str:
    return url.rstrip("/").replace(":80/", "/")


def _claim_key(entry: Entry, provider: DraftProvider, report: Report, *, first: bool) -> None:
    """Give ``provider`` its key variable from the first entry; hold the others against it."""
    path = (*entry.path, "litellm_params", "api_key")
    value = entry.params.get("api_key")
    variable, kind, rule, message = _variable(value, entry, provider)
    if first:
        provider.key = variable
    elif provider.key != variable and not rule:
        kind = Kind.APPROXIMATED
        message = f"{provider.id} has one key for all its models, {provider.key or 'none'}."
    if kind is Kind.EXACT:
        report.exact(path)
    else:
        remedy = f"Set {variable} in the environment." if rule == "GW504" else ""
        report.claim(path, kind, message, rule=rule, remedy=remedy)


def _variable(
    value: Any, entry: Entry, provider: DraftProvider
) -> tuple[str | None, Kind, str, str]:
    """Variable of a key, how well it stands for it, the rule where it is no plain matter, why."""
    if value is None:
        default = DEFAULTS.get(entry.adapter, ("", None))
        host = urlsplit(default[0]).hostname
        there = urlsplit(provider.base_url or "").hostname
        implied = default[1] if there == host else None
        return implied, Kind.EXACT, "", ""
    if needs_none(value):
        return None, Kind.EXACT, "", ""
    own = f"{re.sub('[^A-Z0-9]', '_', provider.id.upper())}_API_KEY"
    named = variable_of(value)
    if named is not None:
        if ENV_NAME.fullmatch(named):
            return named, Kind.EXACT, "", ""
        message = f"The sources write variables in capitals: {own}."
        return own, Kind.APPROXIMATED, "", message
    shell = SHELL.fullmatch(value) if isinstance(value, str) else None
    if shell is not None and ENV_NAME.fullmatch(shell[1]):
        message = "LiteLLM sends these characters as the key; the variable is meant and taken."
        return shell[1], Kind.APPROXIMATED, "", message
    message = f"The key of {quoted(entry.group)} stands in the file; {own} stands for it now."
    return own, Kind.APPROXIMATED, "GW504", message


def _model(entry: Entry, provider: DraftProvider, report: Report) -> str:
    """Enter the model in the catalogue; its name there."""
    info = (*entry.path, "model_info")
    model = provider.models.get(entry.upstream)
    if model is None:
        model = provider.models[entry.upstream] = DraftModel(
            served_as=entry.upstream,
            mode=entry.mode,  # type: ignore[arg-type]  # entries holds no other
            residency="on_demand" if provider.type == "ollama" else "always",
        )
    elif model.mode != entry.mode:
        note = f"{quoted(entry.upstream)} of {provider.id} answers {model.mode} requests."
        report.claim((*info, "mode"), Kind.APPROXIMATED, note)
    for key, attribute in (
        ("max_input_tokens", "context_length"),
        ("max_output_tokens", "max_output"),
    ):
        _count(model, attribute, entry.info.get(key), (*info, key), report)
    for key, capability in (
        ("supports_function_calling", "tools"),
        ("supports_vision", "vision"),
        ("supports_reasoning", "reasoning"),
    ):
        if key in entry.info:
            if entry.info[key] is True and capability not in model.capabilities:
                model.capabilities.append(capability)
            note = f"It becomes the capability {capability}, which is not written back."
            report.claim((*info, key), Kind.APPROXIMATED, note)
    return entry.upstream


def _count(
    model: DraftModel, attribute: str, value: Any, path: tuple[str | int, ...], report: Report
) -> None:
    """A number of tokens: the smallest that any entry gives."""
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= 1_000_000_000:
        report.claim(path, Kind.UNSUPPORTED, f"{path[-1]} is no number of tokens.")
        return
    known = getattr(model, attribute)
    setattr(model, attribute, value if known is None else min(known, value))
    if known is not None and known != value:
        note = f"{quoted(model.served_as)} has one {attribute}: the smallest given."
        report.claim(path, Kind.APPROXIMATED, note)

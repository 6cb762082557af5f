"""Write the tables of one LiteLLM to standard output."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

from harness.gateway.litellm_lint.derive.facts import Package, Reader
from harness.gateway.litellm_lint.derive.flow import tables

PLACES_KEPT = 3
PACKAGES = ("litellm", "litellm_enterprise")
OTHER_MODES = ("embedding", "rerank", "audio_transcription", "audio_speech", "image_generation")
"""Models of these modes need not say so where the price list does."""
LOOKUP = "litellm/litellm_core_utils/get_llm_provider_logic.py"
"""Finds the provider of a model without a prefix, by sets of names."""
PRICES = "model_prices_and_context_window_backup.json"
HEALTH = "litellm/litellm_core_utils/health_check_helpers.py"
"""Holds a probe for each mode."""
PROMPT_MANAGERS = "_custom_logger_compatible_callbacks_literal"
GUARDRAIL_MODES = "GuardrailEventHooks"
MCP_TRANSPORTS = "MCPTransport"
ENVIRONMENTS = "VALID_LITELLM_ENVIRONMENTS"
KNOWN_KEYS = "PUBLICLY_KNOWN_MASTER_KEY_SHA256_DIGESTS"
REDIS = ("redis/client.py", "redis/connection.py")
"""A Redis cache hands its settings on to this client."""
SERVICE_METRICS = (
    ("latency", "histogram"),
    ("failed_requests", "counter"),
    ("total_requests", "counter"),
    ("size", "gauge"),
)
"""What ``PrometheusServicesLogger`` registers per service, as ``litellm_<service>_<suffix>``."""


def gather(folder: Path) -> Package:
    """Parse every module of LiteLLM installed in ``folder``."""
    files = [file for name in PACKAGES for file in sorted((folder / name).rglob("*.py"))]
    files += [folder / name for name in REDIS if (folder / name).is_file()]
    package = Package()
    for file in files:
        Reader(package, file.relative_to(folder).as_posix()).visit(ast.parse(file.read_bytes()))
    return package


def metrics(package: Package) -> dict[str, dict[str, str]]:
    """The metrics, by the name they are registered under."""
    found = {name: {"kind": kind, "at": at} for name, (kind, at) in package.metrics.items()}
    for service in package.constants.get("ServiceTypes", []):
        for suffix, kind in SERVICE_METRICS:
            found.setdefault(f"litellm_{service}_{suffix}", {"kind": kind, "at": "ServiceTypes"})
    return dict(sorted(found.items()))


def choices(package: Package, sections: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """What a named annotation allows, for those that list words."""
    types = [entry.get("type", "") for keys in sections.values() for entry in keys.values()]
    names = {name for kind in types for name in re.findall(r"[A-Za-z_]\w*", kind)}
    return {name: package.constants[name] for name in sorted(names & package.constants.keys())}


def names(folder: Path, package: Package) -> dict[str, list[str]]:
    """The providers, and the model names that need no provider in front."""
    files = folder / "litellm/llms/openai_like/providers.json", *(folder / "litellm").glob(PRICES)
    listed = [json.loads(file.read_bytes()) if file.is_file() else {} for file in files]
    prices = listed[1] if len(listed) > 1 else {}
    providers = {*package.constants.get("LlmProviders", []), *listed[0]}
    known = known_models(package, prices)
    modes = {*package.handlers.get(HEALTH, []), *(each.get("mode", "") for each in prices.values())}
    return {
        "providers": sorted(providers),
        "models": sorted(each for each in known - providers if "/" not in each),
        "not_chat": sorted(
            name for name, price in prices.items() if price.get("mode", "chat") in OTHER_MODES
        ),
        "modes": sorted(mode for mode in modes if mode.isidentifier()),
        "endpoints": package.constants.get("openai_compatible_endpoints", []),
        "prompt_managers": package.constants.get(PROMPT_MANAGERS, []),
        "known_master_keys_sha256": package.constants.get(KNOWN_KEYS, []),
        "guardrail_modes": package.constants.get(GUARDRAIL_MODES, []),
        "mcp_transports": package.constants.get(MCP_TRANSPORTS, []),
        "environments": package.constants.get(ENVIRONMENTS, []),
    }


def known_models(package: Package, prices: dict[str, Any]) -> set[str]:
    """The models whose provider LiteLLM finds by name: those of the sets that it looks into."""
    looked = {
        name
        for name, places in package.module_reads.items()
        if name.endswith("_models") and any(each.startswith(f"{LOOKUP}:") for each in places)
    }
    found = {word for name in looked for word in package.constants.get(name, [])}
    for name, price in prices.items():
        if package.filed[price.get("litellm_provider", "")] & looked:
            found.add(name)
    return found


def derive(folder: Path) -> dict[str, Any]:
    """The tables of the LiteLLM installed in ``folder``, ready to be written as JSON.

    Raises:
        FileNotFoundError: ``folder`` holds no LiteLLM.
    """
    installed = sorted(folder.glob("litellm-*.dist-info"))
    if not installed:
        raise FileNotFoundError(f"{folder} holds no litellm; name a site-packages folder.")
    package = gather(folder)
    sections = {
        section: {key: entry | {"read": entry["read"][:PLACES_KEPT]} for key, entry in keys}
        for section, keys in (
            (name, sorted(entries.items())) for name, entries in tables(package).sections.items()
        )
    }
    return {
        "litellm": installed[0].name.removeprefix("litellm-").removesuffix(".dist-info"),
        "sections": sections,
        "choices": choices(package, sections),
        "names": names(folder, package),
        "metrics": metrics(package),
    }


def render(table: dict[str, Any]) -> str:
    """The tables as text that a line-wise comparison of two versions can be read from."""
    lines = []
    for section, keys in table["sections"].items():
        rows = [f"   {json.dumps(key)}: {json.dumps(entry)}" for key, entry in keys.items()]
        lines.append(f"  {json.dumps(section)}: {{\n" + ",\n".join(rows) + "\n  }")
    parts = [
        f' "litellm": {json.dumps(table["litellm"])}',
        ' "sections": {\n' + ",\n".join(lines) + "\n }",
    ]
    for name in ("choices", "names", "metrics"):
        rows = [f"  {json.dumps(key)}: {json.dumps(each)}" for key, each in table[name].items()]
        parts.append(f" {json.dumps(name)}: {{\n" + ",\n".join(rows) + "\n }")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    """Derive from the folder named as the only argument, else from the gateway's environment."""
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1])
    else:
        from harness.gateway import environment  # noqa: PLC0415  not needed with an argument

        folder = next(environment.location().glob("lib/python*/site-packages"), Path("missing"))
    try:
        sys.stdout.write(render(derive(folder)))
    except FileNotFoundError as error:
        sys.exit(f"derive: {error}")


if __name__ == "__main__":
    main()

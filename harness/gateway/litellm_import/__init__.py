"""An existing LiteLLM configuration, turned into sources: every field accounted for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.gateway.litellm_import import (
    fallbacks,
    groups,
    servers,
    settings,
    specials,
    spending,
    waiting,
)
from harness.gateway.litellm_import.entries import entries
from harness.gateway.litellm_import.meaning import Meaning, differences, meaning
from harness.gateway.litellm_import.reading import open_config
from harness.gateway.litellm_import.report import EXPLAINED, RULES, Field, Kind, Report
from harness.registry.drafting import UNKNOWN_CONTEXT, Draft, texts
from harness.registry.writing import Noted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.registry import Finding

__all__ = [
    "EXPLAINED",
    "RULES",
    "Field",
    "Imported",
    "Kind",
    "Meaning",
    "differences",
    "import_config",
    "meaning",
]

LITELLM_PORT = 4000
"""Where LiteLLM listens unless it is told otherwise on its command line."""

_HEADER = """\
First draft, made from {name} by `harness import`. From now on this is the source of truth.
Lines marked UNKNOWN need a person; `harness validate` checks the result.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import gave.

    ``sources`` holds the text of the three files by name, and is empty where a finding is an
    error. ``fields`` has every leaf of the input in the order of the file; ``findings`` says
    what is not exact, sorted by place. No value of a secret is in any of them.
    """

    sources: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[Field, ...] = ()
    findings: tuple[Finding, ...] = ()

    def count(self, kind: Kind) -> int:
        """How many fields became this."""
        return sum(one.kind is kind for one in self.fields)


def import_config(path_or_text: Path | str) -> Imported:
    """Turn a LiteLLM configuration into source files, each of its fields classified.

    A ``Path`` is read, a ``str`` is the text itself. Nothing is asked over the network and no
    environment variable is read. Never raises: a file that cannot be read, is not YAML or has
    no usable model gives findings and no sources.
    """
    document = open_config(path_or_text)
    if document.value is None:
        return Imported(findings=document.findings)
    config = document.value
    report = Report(document)
    draft = Draft(
        header=_HEADER.format(name=Path(document.file).name), host="127.0.0.1", gateway_port=0
    )
    placed = servers.place(entries(config, report), draft, report)
    settings.strategy(config, placed, draft, report)
    lists, _ = settings.fallbacks(config)
    groups.name(placed, draft, report, {name: targets for name, (_, targets) in lists.items()})
    if not draft.exact:
        report.say("GW500", (), "No entry of model_list can be described by the sources.")
        return Imported(fields=report.fields(), findings=tuple(report.findings()))
    _fall_back(config, draft, report)
    waiting.resilience(config, placed, draft, report)
    settings.limits(config, placed, draft, report)
    settings.gateway(config, draft, report)
    spending.cache(config, draft, report)
    spending.budgets(config, draft, report)
    settings.secrets(document, report)
    draft.public = draft.public or list(draft.exact)
    _ask(draft, report)
    return Imported(sources=texts(draft), fields=report.fields(), findings=tuple(report.findings()))


def _fall_back(config: Mapping[str, Any], draft: Draft, report: Report) -> None:
    """Aliases and chains; an alias may turn out to be a capability by its fallbacks."""
    router = config.get("router_settings")
    given = router.get("model_group_alias") if isinstance(router, dict) else None
    fallbacks.aliases(given, ("router_settings", "model_group_alias"), draft, report)
    settings.claim_defaults(config, report)
    usual, every = settings.fallbacks(config)
    nested = waiting.nested(config)
    waiting.claim_depth(config, report)
    regular = fallbacks.chains(usual, every, draft, report, nested=nested)
    for kind in ("context_window", "content_policy"):
        lists, default = settings.fallbacks(config, f"{kind}_fallbacks")
        needed = specials.heads(lists, usual, draft)
        specials.special(f"{kind}_chain", lists, default, regular, needed, draft, report)


def _ask(draft: Draft, report: Report) -> None:
    """What no LiteLLM configuration says: the gateway's port, and often a context length."""
    taken = {provider.port for provider in draft.providers.values()}
    port = next(port for port in range(LITELLM_PORT, 65_536) if port not in taken)
    draft.gateway_port = Noted(port, behind="UNKNOWN: the --port LiteLLM is started with?")
    unknown = [
        f"{model.served_as} ({provider.id})"
        for provider in draft.providers.values()
        for model in provider.models.values()
        if model.context_length is None
    ]
    if unknown:
        listed = ", ".join(unknown[:8]) + (f" and {len(unknown) - 8} more" * (len(unknown) > 8))
        message = (
            f"The context length is not told (max_input_tokens) of {listed}. Until it is written "
            f"into providers.yaml, a prompt of more than {UNKNOWN_CONTEXT} tokens is refused."
        )
        remedy = "Write context_length as the server runs the model; `harness init` asks it."
        report.say("GW502", ("model_list",), message, remedy)

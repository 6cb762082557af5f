"""What a rule about a LiteLLM file is, and the table of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.registry.finding import Finding, Place, Severity
from harness.registry.rule import RULES, Hit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.gateway.litellm_lint.config import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class LintRule:
    """One promise a LiteLLM file must keep, with everything ``harness explain`` says about it.

    ``failing`` and ``passing`` are files; a part of the file that they do not mention is taken
    from :data:`harness.gateway.litellm_lint.examples.BASE`. In ``failing`` the lines that are
    reported end in ``# <--``. ``check`` is None where another module makes the finding.
    """

    id: str
    severity: Severity
    title: str
    why: str
    remedy: str
    failing: str
    passing: str
    check: Callable[[Config], Iterator[Hit]] | None = None

    def at(self, place: Place, message: str, remedy: str = "") -> Finding:
        """A finding of this rule at ``place``."""
        return Finding(
            rule=self.id,
            severity=self.severity,
            file=place.file,
            line=place.line,
            column=place.column,
            message=message,
            remedy=remedy or self.remedy,
        )

    def run(self, config: Config) -> Iterator[Finding]:
        """Every breach of this rule in a file that could be read."""
        if self.check is None:
            return
        for hit in self.check(config):
            place = config.document.position(hit.path, key=hit.on_key)
            yield self.at(place, hit.message, hit.remedy)


LITELLM_RULES: dict[str, LintRule] = {}
"""Every rule about files of LiteLLM, Prometheus and Grafana, by its id."""


def declare(rule: LintRule) -> LintRule:
    """Enter ``rule`` in the table; ``ValueError`` if its id is taken."""
    if rule.id in LITELLM_RULES or rule.id in RULES:
        raise ValueError(f"two rules are called {rule.id}; give one of them the next free number")
    LITELLM_RULES[rule.id] = rule
    return rule


def rule(
    id_: str,
    *,
    title: str,
    why: str,
    remedy: str,
    failing: str,
    passing: str,
    severity: Severity = Severity.ERROR,
) -> Callable[[Callable[[Config], Iterator[Hit]]], LintRule]:
    """Make a rule of the function below: it gets the file and yields a hit per breach."""

    def enter(check: Callable[[Config], Iterator[Hit]]) -> LintRule:
        return declare(
            LintRule(
                id=id_,
                severity=severity,
                title=title,
                why=why,
                remedy=remedy,
                failing=failing,
                passing=passing,
                check=check,
            )
        )

    return enter

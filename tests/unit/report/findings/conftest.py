"""Findings of a small set of sources, and the structural rules of the SARIF standard."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from harness.registry import Finding, Severity, examine
from harness.registry.examples import sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Json = Any

BROKEN = """
model-mappings.yaml: "# 名前 first\\n
public_models: [tiny, tinny, tiny]\\n
routes:\\n
\\x20 exact:\\n
\\x20   tiny: {provider: lokal, model: tiny}\\n
\\x20   '模型\\t🙂': {provider: spare, model: tiny}  # wide\\n
\\x20   spare: {provider: spare, model: tiny, chian: c}\\n
resilience: {timeout_s: 30, stream_timeout_s: 10, retries: 2, allowed_fails: 1, cooldown_s: 3}\\n
gateway:\\n
\\x20 {port: gateway, cors_origins: [], master_key: sk-planted-secret, metrics: true,\\n
\\x20  health: {path: /health, timeout_s: 2}}\\n"
ports.yaml: {host: 0.0.0.0}
"""


@pytest.fixture
def texts() -> dict[str, str]:
    """The broken sources by file name."""
    return {name: data.decode() for name, data in sources(BROKEN).items()}


@pytest.fixture
def found(texts: dict[str, str]) -> list[Finding]:
    """What is wrong with them."""
    findings = examine({name: text.encode() for name, text in texts.items()})[1]
    assert len(findings) > 2
    warning = Finding(
        rule="GW124",
        severity=Severity.WARNING,
        file="model-mappings.yaml",
        line=8,
        column=62,
        message="2 retries delay every fallback.",
        remedy="Set retries to 0.",
    )
    return [*findings, warning]


@pytest.fixture
def breaches() -> Callable[[Json], list[str]]:
    """Every breach of SARIF 2.1.0, and of GitHub's limits, in a log."""
    return lambda log: list(_log(log))


_LEVELS = {"none", "note", "warning", "error"}
_SEMVER = re.compile(r"\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]+)?")
_URI = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-F]{2})*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def _object(value: Json, where: str, required: set[str], optional: set[str]) -> Iterator[str]:
    """The schema allows no property of its own making: additionalProperties is false."""
    if not isinstance(value, dict):
        yield f"{where} is not an object"
        return
    yield from (f"{where} lacks {key}" for key in sorted(required - value.keys()))
    unknown = value.keys() - required - optional - {"properties"}
    yield from (f"{where} has the unknown property {key}" for key in sorted(unknown))


def _log(log: Json) -> Iterator[str]:
    """§3.13."""
    yield from _object(log, "log", {"version", "runs"}, {"$schema", "inlineExternalProperties"})
    if log.get("version") != "2.1.0":
        yield "version is not 2.1.0"
    runs = log.get("runs")
    if not isinstance(runs, list):
        yield "runs is not an array"
        return
    if len(runs) > 20:
        yield "GitHub takes 20 runs"
    for run in runs:
        yield from _run(run)


def _run(run: Json) -> Iterator[str]:
    """§3.14."""
    yield from _object(
        run,
        "run",
        {"tool"},
        {"results", "originalUriBaseIds", "columnKind", "invocations", "artifacts"},
    )
    if run.get("columnKind") not in {"utf16CodeUnits", "unicodeCodePoints"}:
        yield "columnKind is not one of the two (§3.14.27)"
    bases = run.get("originalUriBaseIds", {})
    for name, base in bases.items():
        yield from _object(base, f"base {name}", set(), {"uri", "uriBaseId", "description"})
        if "uri" in base and not base["uri"].endswith("/"):
            yield f"the URI of base {name} does not end in a slash (§3.14.14)"
        if "description" in base:
            yield from _message(base["description"], f"description of {name}")
    for invocation in run.get("invocations", []):
        yield from _object(
            invocation, "invocation", {"executionSuccessful"}, {"toolExecutionNotifications"}
        )
        if not isinstance(invocation.get("executionSuccessful"), bool):
            yield "executionSuccessful is not a boolean (§3.20.14)"
        for notification in invocation.get("toolExecutionNotifications", []):
            yield from _object(notification, "notification", {"message"}, {"level"})
            yield from _message(notification.get("message"), "notification")
    rules = yield from _driver(run.get("tool", {}))
    results = run.get("results", [])
    if len(results) > 25_000:
        yield "GitHub takes 25,000 results a run"
    for result in results:
        yield from _result(result, rules, bases)


def _driver(tool: Json) -> Iterator[str]:
    """§3.18 and §3.19; gives the rules."""
    yield from _object(tool, "tool", {"driver"}, {"extensions"})
    driver = tool.get("driver", {})
    yield from _object(driver, "driver", {"name"}, {"semanticVersion", "rules", "informationUri"})
    if not _SEMVER.fullmatch(driver.get("semanticVersion", "0.0.0")):
        yield "semanticVersion is no semantic version (§3.19.12)"
    rules = driver.get("rules", [])
    ids = [rule.get("id") for rule in rules]
    if len(ids) != len(set(ids)):
        yield "a rule is described twice (§3.19.23)"
    for rule in rules:
        yield from _descriptor(rule)
    return rules


def _descriptor(rule: Json) -> Iterator[str]:
    """§3.49; the last three are required by GitHub."""
    where = f"rule {rule.get('id')}"
    texts = {"shortDescription", "fullDescription", "help"}
    yield from _object(rule, where, {"id", *texts}, {"name", "defaultConfiguration", "helpUri"})
    for key in sorted(texts & rule.keys()):
        yield from _object(rule[key], f"{key} of {where}", {"text"}, {"markdown"})
        yield from _message(rule[key], f"{key} of {where}")
        if key != "help" and len(rule[key].get("text", "")) > 1024:
            yield f"{key} of {where} is longer than GitHub takes"
    if rule.get("defaultConfiguration", {}).get("level", "warning") not in _LEVELS:
        yield f"the level of {where} is not known (§3.50.3)"
    if len(rule.get("properties", {}).get("tags", [])) > 20:
        yield f"GitHub takes 20 tags a rule, {where} has more"


def _message(message: Json, where: str) -> Iterator[str]:
    """§3.11 and §3.12."""
    if not isinstance(message, dict) or not isinstance(message.get("text"), str):
        yield f"{where} has no text"


def _result(result: Json, rules: list[Json], bases: Json) -> Iterator[str]:
    """§3.27."""
    yield from _object(
        result,
        "result",
        {"message", "ruleId"},
        {"ruleIndex", "level", "locations", "partialFingerprints"},
    )
    yield from _message(result.get("message"), "result")
    index = result.get("ruleIndex", -1)
    if not -1 <= index < len(rules):
        yield "ruleIndex lies outside the rules (§3.27.6)"
    elif index >= 0 and rules[index].get("id") != result.get("ruleId"):
        yield "ruleIndex and ruleId disagree (§3.27.5)"
    if result.get("level", "warning") not in _LEVELS:
        yield "the level of a result is not known (§3.27.10)"
    for name, value in result.get("partialFingerprints", {}).items():
        if not name or not isinstance(value, str):
            yield "a fingerprint is no text (§3.27.17)"
    if not result.get("locations"):
        yield "a result has no location, which GitHub requires"
    for location in result.get("locations", []):
        yield from _object(location, "location", set(), {"id", "physicalLocation", "message"})
        yield from _physical(location.get("physicalLocation", {}), bases)


def _physical(place: Json, bases: Json) -> Iterator[str]:
    """§3.29, §3.4 and §3.30."""
    yield from _object(place, "physicalLocation", {"artifactLocation"}, {"region"})
    artifact = place.get("artifactLocation", {})
    yield from _object(artifact, "artifactLocation", {"uri"}, {"uriBaseId", "index"})
    uri = artifact.get("uri", "")
    if not _URI.fullmatch(uri):
        yield "a URI holds characters RFC 3986 forbids (§3.4.3)"
    if "uriBaseId" in artifact:
        if _SCHEME.match(uri) or uri.startswith("/"):
            yield "a URI with a base is not relative (§3.4.4)"
        if artifact["uriBaseId"] not in bases:
            yield "a uriBaseId is not defined (§3.14.14)"
    elif not _SCHEME.match(uri):
        yield "a relative URI has no base"
    if ".." in uri.split("/"):
        yield "a URI leaves its base (§3.4.3)"
    region = place.get("region", {})
    yield from _object(region, "region", {"startLine"}, {"startColumn", "endLine", "endColumn"})
    if any(not isinstance(value, int) or value < 1 for value in region.values()):
        yield "a region counts from 1 (§3.30.5)"
    elif region.get("endColumn", 10**9) < region.get("startColumn", 1):
        yield "a region ends before it starts (§3.30.8)"

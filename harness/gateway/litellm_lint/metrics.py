"""Rules about metrics: what alerts and dashboards ask for is exported by somebody."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any

from harness.gateway.litellm_lint.check import bytes_of
from harness.gateway.litellm_lint.json_places import position, texts
from harness.gateway.litellm_lint.promql import metric_names
from harness.gateway.litellm_lint.reader import read_yaml
from harness.gateway.litellm_lint.rule import declare
from harness.gateway.litellm_lint.tables import KEYS, exported, tables
from harness.registry.finding import Finding, Place, Severity
from harness.registry.rule import Rule
from harness.registry.source import MAX_BYTES, Document
from harness.registry.wording import is_slip, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from harness.gateway.litellm_lint.config import Config
    from harness.gateway.litellm_lint.json_places import Path as Keys

_WHY = (
    "An expression over a metric that does not exist is empty, not zero: the alert never fires, "
    "the panel says 'No data', and both look like a quiet night."
)
_RULES = """
groups:
  - name: gateway
    rules:
      - alert: Planted
        expr: {} > 0{}
"""


_INSTEAD = {
    "litellm_provider_errors_total": "Use litellm_deployment_failure_responses_total, as a share "
    "of litellm_deployment_total_requests_total.",
    "litellm_cache_hit_rate": "Divide the rate of litellm_cache_hits_metric_total by that of it "
    "and litellm_cache_misses_metric_total together.",
}
"""Names that people expect and no version has had."""


def _dead(id_: str, product: str, dead: str, live: str) -> Rule[Config]:
    return declare(
        Rule(
            id=id_,
            severity=Severity.ERROR,
            title=f"A metric is not {product}'s",
            why=_WHY,
            remedy=f"Look at the /metrics of {product} for the names of this version.",
            failing=_RULES.format(dead, "  # <--"),
            passing=_RULES.format(live, ""),
        )
    )


LITELLM = _dead(
    "GW301",
    "LiteLLM",
    "rate(litellm_provider_errors_total[5m])",
    "rate(litellm_deployment_failure_responses_total[5m])",
)
VLLM = _dead("GW302", "vLLM", "vllm:gpu_cache_usage_perc", "vllm:kv_cache_usage_perc")
LLAMACPP = _dead(
    "GW303", "llama.cpp", "llamacpp:kv_cache_usage_ratio", "llamacpp:requests_deferred"
)
SHAPE = declare(
    Rule(
        id="GW310",
        severity=Severity.ERROR,
        title="A file of rules or a dashboard cannot be read",
        why="Prometheus refuses the whole file, and Grafana the whole dashboard, for one mistake.",
        remedy="Correct the place; `promtool check rules` tells more about rules.",
        failing="""
groups:
  - name: gateway
    rules:
      - alert: Planted  # <--
        for: 5m
""",
        passing=_RULES.format("up", ""),
    )
)


@dataclass(frozen=True)
class Exporter:
    """A program whose metrics are known: ``names`` maps what a scrape shows to the metric."""

    rule: Rule[Config]
    product: str
    prefix: str
    names: Mapping[str, str]
    others: tuple[str, ...] = ()


@cache
def exporters() -> tuple[Exporter, ...]:
    """LiteLLM, vLLM and llama.cpp, each with what it exports."""
    known = tables()
    servers = json.loads((KEYS / "servers.json").read_bytes())
    found = [Exporter(LITELLM, f"LiteLLM {known.version}", "litellm_", known.exported)]
    for name, rule in (("vllm", VLLM), ("llamacpp", LLAMACPP)):
        each = servers[name]
        names = exported(each["metrics"])
        others = tuple(each["others"])
        found.append(Exporter(rule, each["product"], each["prefix"], names, others))
    return tuple(found)


def lint_rules(path: Path) -> list[Finding]:
    """Dead metrics in a file of alerts or recording rules, Prometheus' or Grafana's."""
    data = bytes_of(path)
    if isinstance(data, Document):
        return list(data.findings)
    document = read_yaml(str(path), data)
    return judge_rules(document, data)


def judge_rules(document: Document, data: bytes) -> list[Finding]:
    """As :func:`lint_rules`, for a file that has been read."""
    if document.value is None:
        return list(document.findings)
    findings = list(document.findings)
    text = data.decode("utf-8-sig")
    starts = [0, *(each.end() for each in re.finditer("\r\n|[\r\n\x85\u2028\u2029]", text))]
    recorded: set[str] = set()
    expressions: list[tuple[str, Keys]] = []
    for path, rule in _rules(document, findings):
        if not isinstance(rule, dict):
            message = "The rule is not a mapping."
            findings.append(SHAPE.at(document.position(path), message))
            continue
        if isinstance(rule.get("record"), str):
            recorded.add(rule["record"])
        found = list(_expressions(rule, path))
        if not found:
            message = "The rule has no expression."
            findings.append(SHAPE.at(document.position(path), message))
        expressions += found
    for expression, path in expressions:
        place = document.position(path)
        offset = starts[place.line - 1] + place.column - 1
        for exporter, name in _unknown(expression, recorded):
            where = _within(text, offset, name)
            line, column = _line(starts, where)
            findings.append(_finding(exporter, name, Place(document.file, line, column)))
    return sorted(findings)


def _rules(document: Document, findings: list[Finding]) -> Iterator[tuple[Keys, Any]]:
    """Each rule of each group with its place; shapes that hold none are noted."""
    value: Any = document.value
    base: Keys = ()
    if isinstance(value.get("spec"), dict):
        value, base = value["spec"], ("spec",)
    groups = value.get("groups")
    for index, group in enumerate(groups if isinstance(groups, list) else ()):
        rules = group.get("rules") if isinstance(group, dict) else None
        path: Keys = (*base, "groups", index)
        if not isinstance(rules, list):
            findings.append(SHAPE.at(document.position(path), "The group has no list of rules."))
        for number, rule in enumerate(rules if isinstance(rules, list) else ()):
            yield (*path, "rules", number), rule
    if not isinstance(groups, list):
        place = document.position((*base, "groups"))
        findings.append(SHAPE.at(place, "groups is not a list of groups."))


def _expressions(rule: dict[str, Any], path: Keys) -> Iterator[tuple[str, Keys]]:
    """``expr`` of a rule; in Grafana's form, of each query it is built from."""
    if isinstance(rule.get("expr"), str):
        yield rule["expr"], (*path, "expr")
    elif isinstance(rule.get("expr"), int | float):
        yield str(rule["expr"]), (*path, "expr")
    queries = rule.get("data")
    for index, query in enumerate(queries if isinstance(queries, list) else ()):
        model = query.get("model") if isinstance(query, dict) else None
        expression = model.get("expr") if isinstance(model, dict) else None
        where = (*path, "data", index, "model", "expr")
        yield (expression, where) if isinstance(expression, str) else ("", where)


def lint_dashboard(path: Path) -> list[Finding]:
    """Dead metrics in the JSON of a Grafana dashboard: its panels, variables and annotations."""
    data = bytes_of(path)
    return list(data.findings) if isinstance(data, Document) else judge_dashboard(str(path), data)


def judge_dashboard(file: str, data: bytes) -> list[Finding]:
    """As :func:`lint_dashboard`, for the content of a file."""
    if len(data) > MAX_BYTES:
        message = f"The file has more than {MAX_BYTES // 1024**2} MiB."
        return [SHAPE.at(Place(file, 1, 1), message)]
    try:
        source = data.decode("utf-8-sig")
        value = json.loads(source)
    except json.JSONDecodeError as error:
        return [SHAPE.at(Place(file, error.lineno, error.colno), f"JSON: {error.msg}.")]
    except UnicodeDecodeError:
        return [SHAPE.at(Place(file, 1, 1), "The file is not UTF-8.")]
    except (RecursionError, ValueError):
        return [SHAPE.at(Place(file, 1, 1), "JSON: a value is nested too deep, or too long.")]
    if not isinstance(value, dict):
        return [SHAPE.at(Place(file, 1, 1), "A dashboard is an object.")]
    findings = []
    for text in texts(source):
        if not _is_query(text.path):
            continue
        for exporter, name in _unknown(text.value, ()):
            where = _within(source, text.offset, name)
            findings.append(_finding(exporter, name, Place(file, *position(source, where))))
    return sorted(findings)


def _is_query(path: Keys) -> bool:
    """Whether a text is an expression: of a target, of an annotation or of a variable."""
    if path[-1:] == ("expr",):
        return True
    return "templating" in path and path[-1:] == ("query",)


def _unknown(expression: str, recorded: Iterable[str]) -> Iterator[tuple[Exporter, str]]:
    for name in metric_names(expression):
        for exporter in exporters():
            if not name.startswith(exporter.prefix) or name in exporter.names:
                continue
            if name in recorded or name.startswith(exporter.others) or name.count(":") > 1:
                continue  # a name with more colons is a recording rule's
            yield exporter, name


def _finding(exporter: Exporter, name: str, place: Place) -> Finding:
    message = f"{exporter.product} exports no {quoted(name)}."
    return exporter.rule.at(place, message, _instead(exporter, name))


def _instead(exporter: Exporter, name: str) -> str:
    """What to write for a dead name; nothing where no other name is like it."""
    if name in _INSTEAD:
        return _INSTEAD[name]
    names = [each for each in exporter.names if not each.endswith("_created")]
    shown = [each for each in names if exporter.names[each] == name]
    slips = shown or [each for each in names if is_slip(name, each)]
    if slips:
        return f"Did you mean {quoted(slips[0])}?"
    near = get_close_matches(name, names, n=3, cutoff=0.7)
    return f"The names most like it are {', '.join(near)}." if near else ""


def _within(text: str, offset: int, name: str) -> int:
    """Where ``name`` stands from ``offset`` on; ``offset`` itself if it is written otherwise."""
    found = re.compile(rf"(?<![\w:]){re.escape(name)}(?![\w:])").search(text, offset)
    return found.start() if found else offset


def _line(starts: list[int], offset: int) -> tuple[int, int]:
    line = bisect_right(starts, offset)
    return line, offset - starts[line - 1] + 1

"""Rules the schema checks: is every key known, present, and of the right kind?"""

from __future__ import annotations

from harness.registry.finding import Severity
from harness.registry.rule import Rule, declare

UNKNOWN_KEY = declare(
    Rule(
        id="GW020",
        severity=Severity.ERROR,
        title="A key is not known",
        why="A misspelt key is silently ignored by most programs, LiteLLM among them, so the "
        "setting it was meant to make is not in force.",
        remedy="Correct the key, or remove it.",
        failing="ports.yaml: {hots: 127.0.0.1}",
        passing="ports.yaml: {host: 127.0.0.1}",
    )
)
MISSING_KEY = declare(
    Rule(
        id="GW021",
        severity=Severity.ERROR,
        title="A required key is missing",
        why="What has no safe default must be said: LiteLLM's default timeout is 6000 seconds.",
        remedy="Add the key.",
        failing="ports.yaml: {services: {cache: {port: 6379, protocol: tcp}}}",
        passing="ports.yaml: {services: {cache: {port: 6379, protocol: tcp, owner: redis}}}",
    )
)
WRONG_TYPE = declare(
    Rule(
        id="GW022",
        severity=Severity.ERROR,
        title="A value is of the wrong kind",
        why='Nothing is converted silently: "8001" in quotes is text, and yes is text too.',
        remedy="Write a value of the kind named.",
        failing="ports.yaml: {services: {cache: {port: '6379', protocol: tcp, owner: redis}}}",
        passing="ports.yaml: {services: {cache: {port: 6379, protocol: tcp, owner: redis}}}",
    )
)
WRONG_VALUE = declare(
    Rule(
        id="GW023",
        severity=Severity.ERROR,
        title="A value is not allowed",
        why="The value is of the right kind, but outside its range or not in the agreed form, "
        "so it cannot mean what was intended.",
        remedy="Write a value as described.",
        failing="ports.yaml: {services: {cache: {port: 70000, protocol: tcp, owner: redis}}}",
        passing="ports.yaml: {services: {cache: {port: 6379, protocol: tcp, owner: redis}}}",
    )
)
CONFLICT = declare(
    Rule(
        id="GW024",
        severity=Severity.ERROR,
        title="The keys of one entry do not fit together",
        why="Each key is right by itself, but together they leave open what is meant, such as "
        "a provider with two addresses.",
        remedy="Keep the keys that belong together, and add what the message asks for.",
        failing="model-mappings.yaml: "
        "{routes: {patterns: [{match: 'x*', provider: local, route: tiny}]}}",
        passing="model-mappings.yaml: {routes: {patterns: [{match: 'x*', route: tiny}]}}",
    )
)

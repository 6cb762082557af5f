"""The names of metrics in a PromQL expression, without parsing it.

Enough of the grammar is known to tell a metric from a function, a label, a keyword and a text
(prometheus.io, "Querying basics"), also where Grafana has put its variables in between.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""
    (?P<text> "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | `[^`]*` )
  | (?P<comment> \#[^\n]* )
  | (?P<variable> \$\{[^}]*\} | \$\w+ | \[\[\w+(?::\w+)?\]\] )
  | (?P<number> \d[\w.]* )
  | (?P<name> [A-Za-z_:][\w:]* )
  | (?P<mark> [{}()\[\],=!~] )
""",
    re.VERBOSE,
)
_LABEL_LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_KEYWORDS = {*_LABEL_LISTS, "and", "or", "unless", "atan2", "bool", "offset", "inf", "nan"}
_LABEL_VALUES = "label_values"
"""Grafana's function: its last argument is a label, and a metric may stand before it."""


@dataclass
class _Scanner:
    """Where the scan is: in braces, in brackets, in a list of labels, in which argument."""

    braces: int = 0
    brackets: int = 0
    labels: int = 0
    arguments: list[int] = field(default_factory=list)

    def mark(self, mark: str, before: str) -> None:
        """Move over a bracket or a comma."""
        if mark in "{}":
            self.braces = max(0, self.braces + (1 if mark == "{" else -1))
        elif mark in "[]":
            self.brackets = max(0, self.brackets + (1 if mark == "[" else -1))
        elif mark == "(":
            self.labels += self.labels > 0 or before.lower() in _LABEL_LISTS
            self.arguments.append(1 if before == _LABEL_VALUES else 0)
        elif mark == ")":
            self.labels -= self.labels > 0
            self.arguments = self.arguments[:-1]
        elif mark == "," and self.arguments and self.arguments[-1]:
            self.arguments[-1] += 1

    def is_label(self, after: str) -> bool:
        """Whether a name that stands here is a label, before the token ``after``."""
        argument = self.arguments[-1] if self.arguments else 0
        last = argument > 1 or (argument == 1 and after == ")")
        return bool(self.labels or self.braces or self.brackets or last)


def metric_names(expression: str) -> list[str]:
    """The metrics an expression reads, each once, in the order of their appearance."""
    tokens = list(_TOKEN.finditer(expression))
    words = ["", "", *(token.group() for token in tokens), ""]
    found: dict[str, None] = {}
    scanner = _Scanner()
    for index, token in enumerate(tokens):
        earlier, before, word, after = words[index : index + 4]
        if token.lastgroup == "mark":
            scanner.mark(word, before)
        elif token.lastgroup == "text" and (earlier, before) == ("__name__", "="):
            found[word[1:-1]] = None
        elif (
            token.lastgroup == "name"
            and after not in {"(", "by", "without"}
            and word.lower() not in _KEYWORDS
            and not scanner.is_label(after)
            and not _joined(expression, token)
        ):
            found[word] = None
    return list(found)


def _joined(expression: str, token: re.Match[str]) -> bool:
    """Whether a variable completes the name, which then cannot be judged."""
    before, after = expression[: token.start()], expression[token.end() :]
    variable = re.search(r"(\$\w+|\$\{[^}]*\}|\[\[[^\]]*\]\])$", before[-80:])
    return after.startswith(("$", "[[")) or variable is not None

"""Secrets in a line of YAML, covered before the line is shown."""

from __future__ import annotations

import re

_KEY = re.compile(
    r"""(?ix)
    (?<![\w-]) (?= [\w-]{0,60}? (?:
        (?:api|master|private|access|salt)[_-]?key | secret | passwo?r?d | credential
        | authorization | token(?!s) ) )
    [\w-]{1,80} ["']? [ \t]{0,8} (?: : (?=[ \t"']) | = ) [ \t]{0,80}
    (?P<value> "(?:[^"\\]|\\.)*" | '(?:[^']|\'\')*' | [^\s,{}\[\]"'&*#!|>][^,}\]#]* )
    """
)
"""A value that stands under the name of a secret."""
_SHAPES = re.compile(
    r"""(?x)
      (?<![\w-]) (?: sk-[\w-]{4,} | (?:hf|gh[opsur]|github_pat)_\w{8,} | glpat-[\w-]{8,}
      | xox[abprs]-[\w-]{8,} | AKIA[0-9A-Z]{12,} | AIza[\w-]{20,}
      | eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)? )
    | (?<=://) [^\s/@"']+ (?=@)
    | (?<=[Bb]earer\ ) (?!os\.environ/|\$) [^\s"',}\]]{4,}
    """
)
"""Keys as providers issue them, credentials in a URL, bearer tokens."""
_HARMLESS = re.compile(
    r"""(?ix) ["']? (?: os\.environ/\S* | \$\{?\w+\}? | (?:bearer\ )?(?:os\.environ/|\$\{)\S*
    | [\d_.]+ | null | none | ~ | true | false | not-needed | empty | )["']? \s*"""
)
"""References and fillers: nothing is covered by covering them."""


def masked(line: str) -> str:
    """``line`` with ``*`` in place of every character of what looks like a secret.

    The length stays the same, so columns hold. A name of an environment variable is no secret
    (``os.environ/KEY``, ``${KEY}``). A secret without a telling shape or key is not seen.
    """
    return _SHAPES.sub(_cover, _KEY.sub(_cover_value, line))


def _cover(found: re.Match[str]) -> str:
    return "*" * len(found.group())


def _cover_value(found: re.Match[str]) -> str:
    value = found["value"]
    text = value.rstrip()
    if _HARMLESS.fullmatch(text):
        return found.group()
    covered = "".join("*" if char not in "\"'" else char for char in text)
    return found.group()[: -len(value)] + covered + value[len(text) :]

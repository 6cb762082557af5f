"""YAML text in, plain values and the place of each of them out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import yaml
from yaml.reader import Reader

from harness.registry.finding import Finding, Place
from harness.registry.rules import reading
from harness.registry.tree import MAX_SHOWN, Tree, Value, lines_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.registry.rule import Path

MAX_BYTES = 8 * 1024 * 1024
_ISSUERS = {
    "openai": "a key of an OpenAI-style API",
    "aws": "an AWS access key",
    "github": "a GitHub token",
    "slack": "a Slack token",
    "google": "a Google API key",
    "huggingface": "a Hugging Face token",
    "stripe": "a Stripe key",
    "groq": "a Groq key",
    "jwt": "a signed token (JWT)",
    "pem": "a private key",
}
SECRET_SHAPES = re.compile(
    r"""(?x)
    (?<![\w-]) (?:
      (?P<stripe> [sr]k_live_\w{16,} )
    | (?P<openai> sk-[\w-]{0,40}?[A-Za-z0-9]{16,} )
    | (?P<aws> (?:AKIA|ASIA)[0-9A-Z]{16} )
    | (?P<github> gh[oprsu]_\w{30,} | github_pat_\w{22,} )
    | (?P<slack> xox[abeoprs]-[\w-]{10,} )
    | (?P<google> AIza[\w-]{35} )
    | (?P<huggingface> hf_[A-Za-z0-9]{30,} )
    | (?P<groq> gsk_[A-Za-z0-9]{32,} )
    | (?P<jwt> eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{8,} )
    | (?P<pem> -----BEGIN\ (?:[A-Z]+\ )*PRIVATE\ KEY----- )
    )"""
)
"""Keys as they are issued; the name of a group is a key of `_ISSUERS`."""
MAX_SLOW = 256 * 1024
_FAST: Any = getattr(yaml, "CSafeLoader", None)
_DOUBTFUL = re.compile(r"[\t\ufeff]|(?m:^%)|\?(?!\w)|:\s*[,}\]]")
"""What PyYAML and libyaml read differently: tabs, directives, complex keys, empty values."""
_UTF16_32 = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


@dataclass(frozen=True, slots=True)
class Document:
    """One source file as read.

    ``value`` is None where the text could not be read to its end, or holds something that
    has no plain value. ``keys`` and ``values`` give the place of every key and value by path.
    """

    file: str
    value: dict[str, Value] | None = None
    findings: tuple[Finding, ...] = ()
    keys: Mapping[Path, Place] = field(default_factory=lambda: MappingProxyType({}))
    values: Mapping[Path, Place] = field(default_factory=lambda: MappingProxyType({}))

    def position(self, path: Path, *, key: bool = False) -> Place:
        """Where the value (or the key) at ``path`` stands, else its nearest ancestor."""
        places = self.keys if key else self.values
        if path in places:
            return places[path]
        while path not in self.values and path:
            path = path[:-1]
        return self.values.get(path, Place(self.file, 1, 1))


def read(file: str, data: bytes) -> Document:
    """Read ``data`` as the source file ``file``. Never raises: what is wrong is in ``findings``."""
    start = Place(file, 1, 1)
    if len(data) > MAX_BYTES:
        message = f"The file has more than {MAX_BYTES // 1024**2} MiB."
        return Document(file, findings=(reading.TOO_LARGE.at(start, message),))
    if data.startswith(_UTF16_32):
        message = "The file is UTF-16 or UTF-32."
        return Document(file, findings=(reading.ENCODING.at(start, message),))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        message = f"Byte 0x{data[error.start]:02x} is not UTF-8."
        return Document(file, findings=(reading.ENCODING.at(_end(file, before), message),))
    findings: list[Finding] = []
    if text.startswith("\ufeff"):
        text = text[1:]
        findings.append(reading.BYTE_ORDER_MARK.at(start, "The file starts with U+FEFF."))
    forbidden = _forbidden(file, text)
    if forbidden:
        return Document(file, findings=(*findings, *forbidden))
    findings += _secrets(file, text)
    tree = _tree(file, text, findings)
    return Document(
        file,
        tree.root if tree.whole else None,
        tuple(sorted(findings)),
        MappingProxyType(tree.keys),
        MappingProxyType(tree.values),
    )


def _tree(file: str, text: str, findings: list[Finding]) -> Tree:
    """The values of ``text``, by libyaml where it reads as PyYAML does, which is slower.

    PyYAML decides what is right: it reads again whatever libyaml objects to, so that findings
    are the same on every machine. Of a text over `MAX_SLOW` letters libyaml has the last word.
    """
    large = len(text) > MAX_SLOW
    if _FAST is not None and (large or not _DOUBTFUL.search(text)):
        found: list[Finding] = []
        tree = Tree(file, text, found, _FAST)
        tree.build()
        if large or all(finding.rule == reading.TOO_LARGE.id for finding in found):
            findings += found
            return tree
    tree = Tree(file, text, findings)
    tree.build()
    return tree


def _secrets(file: str, text: str) -> list[Finding]:
    """Where something has the shape of a key: the first few, and never the key itself."""
    hits = islice(SECRET_SHAPES.finditer(text), MAX_SHOWN)
    return [
        reading.SECRET.at(
            _end(file, text[: hit.start()]), f"This looks like {_ISSUERS[hit.lastgroup or '']}."
        )
        for hit in hits
    ]


def _end(file: str, text: str) -> Place:
    """The place right after ``text``."""
    lines = lines_of(text)
    return Place(file, len(lines), len(lines[-1]) + 1)


def _forbidden(file: str, text: str) -> list[Finding]:
    """Characters outside YAML's printable set: the first few with their places."""
    hits = list(islice(Reader.NON_PRINTABLE.finditer(text), MAX_SHOWN + 1))
    findings = []
    for hit in hits[:MAX_SHOWN]:
        message = f"U+{ord(hit.group()):04X} is not allowed in YAML."
        findings.append(reading.CONTROL_CHARACTER.at(_end(file, text[: hit.start()]), message))
    if len(hits) > MAX_SHOWN:
        place = _end(file, text[: hits[MAX_SHOWN].start()])
        findings.append(reading.CONTROL_CHARACTER.at(place, "More such characters follow."))
    return findings

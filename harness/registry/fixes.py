"""Findings whose remedy is certain, put right in memory; :mod:`harness.registry.rewrite` writes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.registry.edits import Edit, disjoint, splice
from harness.registry.finding import Finding, Severity
from harness.registry.fixers import FIXERS, Fixer, near_name
from harness.registry.load import SOURCES, examine
from harness.registry.page import Page
from harness.registry.source import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

Check = Callable[[Mapping[str, str]], Sequence[Finding]]
"""Lints texts by file name; its findings carry the same names."""
Offer = tuple[Edit, Finding]
"""An edit, and the finding it puts right."""

_MOST_ROUNDS = 50
_NUMBERED = re.compile(r"\b(line|entry) \d+")
_SHAPE, _RULES = 20, 100
"""Ids from which on a finding is about the shape of a file that parses, and about its meaning."""


@dataclass(frozen=True, slots=True)
class Mended:
    """Texts before and after their fixes, by file name. Nothing is written yet.

    ``found`` are the findings of the texts before, ``left`` those of the texts after, and
    ``fixed`` those that were put right, in the order in which it was done. ``check`` found them.
    """

    before: Mapping[str, str]
    after: Mapping[str, str]
    found: tuple[Finding, ...]
    fixed: tuple[Finding, ...]
    left: tuple[Finding, ...]
    check: Check

    @property
    def changed(self) -> tuple[str, ...]:
        """The files whose text differs."""
        return tuple(file for file, text in self.before.items() if self.after[file] != text)


def fixes(
    findings: Iterable[Finding],
    texts: Mapping[str, str],
    fixers: Mapping[str, Fixer] = FIXERS,
) -> list[Edit]:
    """One edit for each finding whose remedy is certain, none of them overlapping.

    ``texts`` holds the files the findings were found in, by the name findings use; findings in
    other files are passed over. Where edits overlap, the first is kept.
    """
    return disjoint(edit for edit, _ in _offers(findings, texts, fixers))


def mend(texts: Mapping[str, str], check: Check, fixers: Mapping[str, Fixer] = FIXERS) -> Mended:
    """``texts`` with every certain fix made, again and again until there is none left to make.

    An edit stays only if ``check`` finds afterwards that its finding is gone and no new error
    has come. An error is not new if it could not be seen before, because the file did not parse
    or its shape kept the rules from running. Mending what has been mended changes nothing.
    """
    now, findings = dict(texts), tuple(check(texts))
    found, fixed = findings, list[Finding]()
    for _ in range(_MOST_ROUNDS):
        round_ = _Round(now, findings, check)
        round_.take(_disjoint(_offers(findings, now, fixers)))
        if not round_.taken:
            break
        now, findings = round_.texts, round_.findings
        fixed.extend(finding for _, finding in round_.taken)
    return Mended(dict(texts), now, found, tuple(fixed), findings, check)


def mend_sources(directory: Path) -> Mended:
    """As :func:`mend`, for the source files in ``directory`` and all rules about them."""

    def check(texts: Mapping[str, str]) -> list[Finding]:
        data = {Path(file).name: as_bytes(text) for file, text in texts.items()}
        return examine(data, directory)[1]

    return mend(read_texts(directory / name for name in SOURCES), check)


def read_texts(paths: Iterable[Path]) -> dict[str, str]:
    """The texts of the files that can be read, by their path; :func:`as_bytes` turns them back."""
    texts = {}
    for path in paths:
        try:
            if path.is_file() and path.stat().st_size <= MAX_BYTES:
                texts[str(path)] = path.read_bytes().decode("utf-8", "surrogateescape")
        except OSError:
            continue  # the finding of the check says why
    return texts


def as_bytes(text: str) -> bytes:
    """The bytes of a text from :func:`read_texts`, exactly as they were in the file."""
    return text.encode("utf-8", "surrogateescape")


def _offers(
    findings: Iterable[Finding], texts: Mapping[str, str], fixers: Mapping[str, Fixer]
) -> list[Offer]:
    pages: dict[str, Page] = {}
    offers = []
    for finding in findings:
        if finding.file not in texts:
            continue
        if finding.file not in pages:
            pages[finding.file] = Page(finding.file, texts[finding.file])
        edit = fixers.get(finding.rule, near_name)(finding, pages[finding.file])
        if edit is not None:
            offers.append((edit, finding))
    return offers


def _disjoint(offers: Sequence[Offer]) -> list[Offer]:
    """The offers whose edits can be made together, one for each edit."""
    by_edit = {edit: (edit, finding) for edit, finding in reversed(offers)}
    return [by_edit[edit] for edit in disjoint(by_edit)]


class _Round:
    """Offers taken together where that does good, else fewer at a time."""

    def __init__(self, texts: Mapping[str, str], findings: Sequence[Finding], check: Check) -> None:
        self.taken: list[Offer] = []
        self.texts = dict(texts)
        self.findings = tuple(findings)
        self._base = dict(texts)
        self._base_findings = tuple(findings)
        self._check = check

    def take(self, offers: Sequence[Offer]) -> None:
        """Take as many of ``offers`` as do good; halving finds the one that does harm."""
        if not offers:
            return
        together = [*self.taken, *offers]
        texts = _made(self._base, [edit for edit, _ in together])
        findings = tuple(self._check(texts))
        if _good(self._base_findings, findings, [finding for _, finding in together]):
            self.taken, self.texts, self.findings = together, texts, findings
        elif len(offers) > 1:
            half = len(offers) // 2
            self.take(offers[:half])
            self.take(offers[half:])


def _made(texts: Mapping[str, str], edits: Iterable[Edit]) -> dict[str, str]:
    by_file: dict[str, list[Edit]] = {}
    for edit in edits:
        by_file.setdefault(edit.file, []).append(edit)
    return {
        file: splice(text, by_file[file]) if file in by_file else text
        for file, text in texts.items()
    }


def _good(before: Sequence[Finding], after: Sequence[Finding], fixed: Sequence[Finding]) -> bool:
    """Whether the ``fixed`` findings are gone and no error has come in return."""
    had, have = Counter(map(_key, before)), Counter(map(_key, after))
    if any(have[key] > had[key] - number for key, number in Counter(map(_key, fixed)).items()):
        return False
    gone = [finding for finding in before if have[_key(finding)] < had[_key(finding)]]
    return not new_errors(before, after, gone)


def new_errors(
    before: Sequence[Finding], after: Sequence[Finding], gone: Sequence[Finding]
) -> list[Finding]:
    """Errors of ``after`` that ``before`` lacks and that nothing in ``gone`` had hidden.

    What does not parse hides what follows it and the shape of the file; a wrong shape hides what
    the file means.
    """
    had = Counter(map(_key, before))
    new = []
    for finding in after:
        had[_key(finding)] -= 1
        is_new = had[_key(finding)] < 0 and finding.severity is Severity.ERROR
        if is_new and not any(_hides(each, finding) for each in gone):
            new.append(finding)
    return new


def _hides(gone: Finding, finding: Finding) -> bool:
    if gone.severity is not Severity.ERROR:
        return False
    first, second = _stage(gone), _stage(finding)
    return first < second or (first == second == 0 and gone.place <= finding.place)


def _stage(finding: Finding) -> int:
    number = int(re.sub(r"\D", "", finding.rule) or _RULES)
    return (number >= _SHAPE) + (number >= _RULES)


def _key(finding: Finding) -> tuple[str, str, str]:
    """What makes a finding the same one in another version of its file."""
    return finding.file, finding.rule, _NUMBERED.sub(r"\1", finding.message)

"""Edits for findings whose remedy is certain, one small function each.

A fixer returns None rather than guess. What a person has to decide, such as which of two ports
to move or who may call the gateway, has no fixer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import yaml

from harness.registry.page import Page, same
from harness.registry.tree import lines_of
from harness.registry.wording import is_slip, meant

if TYPE_CHECKING:
    from harness.registry.edits import Edit
    from harness.registry.finding import Finding
    from harness.registry.page import Site

Fixer = Callable[["Finding", Page], "Edit | None"]
"""Offers an edit of the file a finding is in, or None where the remedy is not certain."""

FIXERS: dict[str, Fixer] = {}
"""The fixer of each rule that has one, by the rule's id. Every other rule gets `near_name`."""

BYTE_ORDER_MARK = "\ufeff"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}|[0-9]{1,15}\.[0-9]{1,15}")


def fixer(*rules: str) -> Callable[[Fixer], Fixer]:
    """Enter the function below as the fixer of ``rules``.

    Raises:
        ValueError: one of the rules has a fixer already.
    """

    def enter(function: Fixer) -> Fixer:
        for rule in rules:
            if rule in FIXERS:
                raise ValueError(f"{rule} has a fixer already: {FIXERS[rule].__name__}")
            FIXERS[rule] = function
        return function

    return enter


def near_name(finding: Finding, page: Page) -> Edit | None:
    """Correct a slip of the pen, where the remedy proposes a single name.

    Serves every rule whose remedy comes from :func:`harness.registry.wording.suggest`.
    """
    name = meant(finding.remedy)
    site = page.scalar(finding.line, finding.column)
    if name is None or site is None or not is_slip(site.node.value, name):
        return None
    if site.is_key and site.parent is not None and site.parent.value(name) is not None:
        return None  # the right key is there as well: which value counts is not ours to say
    return page.replace(site, name)


@fixer("GW004")
def no_byte_order_mark(_finding: Finding, page: Page) -> Edit | None:
    """Remove the mark."""
    return page.edit(0, 1, "") if page.text.startswith(BYTE_ORDER_MARK) else None


@fixer("GW009")
def no_tabs(finding: Finding, page: Page) -> Edit | None:
    """Indent by two spaces a tab, in a file that is indented by tabs alone.

    All lines go at once, as they belong together. Where spaces indent other lines, how deep a
    tab was meant to go is a guess.
    """
    lines = lines_of(page.text)
    leads = [line[: len(line) - len(line.lstrip())] for line in lines]
    tabbed = [number for number, lead in enumerate(leads, start=1) if "\t" in lead]
    if finding.line not in tabbed:
        return _space_for_tab(finding, page, lines)
    if any(set(lead) != {"\t"} for lead, line in zip(leads, lines, strict=True) if lead and line):
        return None
    first, last = tabbed[0] - 1, tabbed[-1] - 1
    start = sum(map(len, _kept(page.text, first)))
    old = "".join(_kept(page.text, last + 1)[first:])
    new = re.sub(r"(?m)^\t+", lambda tabs: "  " * len(tabs.group()), old)
    return page.edit(start, start + len(old), new)


def _space_for_tab(finding: Finding, page: Page, lines: list[str]) -> Edit | None:
    line = lines[finding.line - 1] if finding.line <= len(lines) else ""
    if not line.startswith("\t", finding.column - 1) or "\t" in line[: finding.column - 1]:
        return None
    width = len(line[finding.column - 1 :]) - len(line[finding.column - 1 :].lstrip("\t"))
    start = sum(map(len, _kept(page.text, finding.line - 1))) + finding.column - 1
    return page.edit(start, start + width, " ")


def _kept(text: str, most: int) -> list[str]:
    """The first ``most`` lines, with their line breaks."""
    parts = re.split("(\r\n|[\r\n\x85\u2028\u2029])", text)
    lines = ["".join(pair) for pair in zip(parts[::2], [*parts[1::2], ""], strict=True)]
    return lines[:most]


@fixer("GW010")
def one_of_equal_keys(finding: Finding, page: Page) -> Edit | None:
    """Remove the later of two keys that hold the same."""
    site = page.scalar(finding.line, finding.column)
    if site is None or not site.is_key or site.parent is None:
        return None
    pairs = site.parent.node.value
    key, value = pairs[site.index]
    earlier = (pair for pair in pairs[: site.index] if pair[0].value == key.value)
    return page.drop(site) if any(same(pair[1], value) for pair in earlier) else None


@fixer("GW013")
def quote_key(finding: Finding, page: Page) -> Edit | None:
    """Put a key in quotes."""
    site = page.scalar(finding.line, finding.column)
    return _quote(site, page) if site is not None and site.is_key else None


@fixer("GW022")
def right_kind(finding: Finding, page: Page) -> Edit | None:
    """Write a boolean, a number or text as what it was meant to be."""
    site = page.scalar(finding.line, finding.column)
    if site is None or site.is_key:
        return None
    style, value = page.style(site), site.node.value
    boolean = re.fullmatch(r"Write (true|false)\.", finding.remedy)
    if boolean and style == "plain":
        return page.write(site, boolean[1])
    if "digits" in finding.remedy and style in {"'", '"'}:
        return page.write(site, value) if _NUMBER.fullmatch(value) else None
    if "quotes if it is meant as text" in finding.remedy and re.match("[0-9]", value):
        return _quote(site, page)
    return None


def _quote(site: Site, page: Page) -> Edit | None:
    return page.write(site, f"'{site.node.value}'") if page.style(site) == "plain" else None


@fixer("GW103")
def behind_the_alias(finding: Finding, page: Page) -> Edit | None:
    """Write the name an alias stands for, where only that can stand; else correct a slip."""
    site = page.scalar(finding.line, finding.column)
    aliases = page.value("routes", "aliases")
    if site is None or site.is_key:
        return None
    target = aliases.value(site.node.value) if aliases is not None else None
    if target is not None and finding.remedy == f"Write {target.node.value!r}.":
        return page.replace(site, target.node.value)
    return near_name(finding, page)


@fixer("GW111", "GW113", "GW114", "GW130")
def one_of_equal_items(finding: Finding, page: Page) -> Edit | None:
    """Remove an entry of a list that says the same as an earlier one."""
    site = page.site(finding.line, finding.column)
    for each in site.up() if site is not None else ():
        if each.parent is None or not isinstance(each.parent.node, yaml.SequenceNode):
            continue
        if any(same(item, each.node) for item in each.parent.node.value[: each.index]):
            return page.drop(each)
        return None
    return None


@fixer("GW146")
def only_the_origin(finding: Finding, page: Page) -> Edit | None:
    """Cut the slash after an origin."""
    site = page.scalar(finding.line, finding.column)
    if site is None or not re.fullmatch(r"https?://[^/\s?#]+/", site.node.value):
        return None
    return page.replace(site, site.node.value.removesuffix("/"))

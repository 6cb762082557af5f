"""A LiteLLM configuration as LiteLLM reads it, with the place of every value.

LiteLLM loads YAML 1.1 by PyYAML: ``1e3`` is text there and ``on`` is true, and anchors are
followed. The sources are read more strictly (:mod:`harness.registry.source`), so a file that is
right for LiteLLM must not be refused for that.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import yaml

from harness.registry import Finding, Place, Severity
from harness.registry.source import MAX_BYTES, Document, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path as FilePath

    from harness.registry.rule import Path

MAX_EXPANDED = 200_000
"""Values after anchors are followed; a file of a few lines can otherwise ask for billions."""

_TOLERATED = {"GW011", "GW013"}
"""Anchors and keys that are no text: the sources refuse them, LiteLLM does not."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader; dates stay text, as nothing in a configuration is one."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the attribute PyYAML wants
        first: [(tag, form) for tag, form in forms if tag != "tag:yaml.org,2002:timestamp"]
        for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def open_config(source: FilePath | str) -> Document:
    """The configuration at a path, or the text itself. Never raises: see ``findings``."""
    if isinstance(source, str):
        return _followed(read("config.yaml", data := source.encode("utf-8", "replace")), data)
    try:
        with source.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        return _failed(str(source), f"The file cannot be read: {error.strerror}.")
    return _followed(read(str(source), data), data)


def _followed(strict: Document, data: bytes) -> Document:
    """``strict`` with the values of YAML 1.1, if only our strictness speaks against the file."""
    kept = tuple(finding for finding in strict.findings if finding.rule not in _TOLERATED)
    if any(finding.severity is Severity.ERROR for finding in kept):
        return Document(strict.file, findings=kept)
    loader = _Loader(data.decode("utf-8-sig"))
    walk = _Walk(strict.file, loader)
    try:
        root = walk.value(loader.get_single_node(), (), frozenset())
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        problem = str(error).partition("\n")[0]
        return _failed(strict.file, f"The file cannot be understood: {problem}.")
    finally:
        loader.dispose()
    if not isinstance(root, dict):
        return _failed(strict.file, "The file holds no mapping.")
    return Document(
        strict.file, root, kept, MappingProxyType(walk.keys), MappingProxyType(walk.values)
    )


def _failed(file: str, message: str) -> Document:
    finding = Finding(
        rule="GW500",
        severity=Severity.ERROR,
        file=file,
        line=1,
        column=1,
        message=message,
        remedy="Check the path and the file; `harness lint` says more.",
    )
    return Document(file, findings=(finding,))


class _Walk:
    """From composed nodes to plain values, noting where each of them stands."""

    def __init__(self, file: str, loader: Any) -> None:
        self.keys: dict[Path, Place] = {}
        self.values: dict[Path, Place] = {}
        self._file, self._loader = file, loader

    def value(self, node: Any, path: Path, above: frozenset[int]) -> Any:
        """The value of ``node``; ``ValueError`` where it holds itself or grows too large."""
        if id(node) in above or len(self.values) >= MAX_EXPANDED:
            raise ValueError("anchors make it endless or larger than any configuration")
        self.values[path] = self._place(node)
        above |= {id(node)}
        if isinstance(node, yaml.SequenceNode):
            return [self.value(n, (*path, i), above) for i, n in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return {
                key: self.value(inner, (*path, key), above)
                for key, inner in self._items(node, path)
            }
        return self._loader.construct_object(node)

    def _items(self, node: Any, path: Path) -> Iterator[tuple[str, Any]]:
        """Keys as written with their nodes, merges (``<<``) followed; the last of two wins."""
        self._loader.flatten_mapping(node)
        for key, inner in node.value:
            if isinstance(key, yaml.ScalarNode):
                self.keys[(*path, key.value)] = self._place(key)
                yield key.value, inner

    def _place(self, node: Any) -> Place:
        return Place(self._file, node.start_mark.line + 1, node.start_mark.column + 1)

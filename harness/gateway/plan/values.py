"""Values of a configuration: compared in full, shown without their secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

HIDDEN = "a hidden value"
NOTHING = "nothing"

_DEEPEST = 60
_MOST_VALUES = 2_000_000
_ENVIRONMENT = "os.environ/"
# 22 lines of one word each would help nobody.
_SECRET_WORDS = frozenset(
    (  # noqa: SIM905
        "apikey auth authorization bearer cookie cookies credential credentials dsn header headers "
        "key keys pass passphrase passwd password pwd secret secrets token webhook"
    ).split()
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
_QUERY = re.compile(r"(?<=\?)[^\s#]+")
_TOKEN = re.compile(r"\b(?:sk|pk|hf|ghp|xox[a-z]|AKIA)[-_]?[A-Za-z0-9_-]{8,}|\bBearer\s+\S+")

Path: TypeAlias = tuple[str, ...]


class PlanError(ValueError):
    """A configuration that cannot be planned: says where, why it matters and what to do.

    ``line`` counts from 1, where the error has a line.
    """

    def __init__(self, text: str, *, line: int = 1) -> None:
        super().__init__(text)
        self.line = line


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value. ``key`` is what is compared, ``text`` what may be shown of it."""

    key: Any = field(repr=False)
    text: str = field(compare=False)

    def __str__(self) -> str:
        return self.text


def leaf(path: Path, value: Any) -> Leaf:
    """``value`` as it stands at ``path``; a secret, by its name or its looks, is hidden.

    A number equals the same number of the other type (30 and 30.0) and no boolean.
    ``os.environ/NAME`` names a secret without holding it, and is shown as ``$NAME``.
    """
    return Leaf(_key(value), _shown(path, value))


def flatten(path: Path, value: Any) -> dict[Path, Leaf]:
    """Every value under ``path`` by its path; null and empty collections are no values."""
    found: dict[Path, Leaf] = {}
    _collect(path, value, found)
    return found


def variable(value: Any) -> str | None:
    """The environment variable that ``value`` refers to, if it is such a reference."""
    if isinstance(value, str) and value.startswith(_ENVIRONMENT):
        return value.removeprefix(_ENVIRONMENT)
    return None


def _collect(path: Path, value: Any, found: dict[Path, Leaf]) -> None:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _collect((*path, str(name)), inner, found)
    elif value is not None and value != []:
        found[path] = leaf(path, value)


def refuse_bomb(config: Any) -> None:
    """Refuse what YAML aliases blow up: each value counts as often as it is referred to.

    Raises:
        PlanError: nested deeper, or of more values, than any configuration.
    """
    counted: dict[int, int] = {}

    def count(value: Any, depth: int) -> int:
        if not isinstance(value, Mapping | list):
            return 1
        if depth > _DEEPEST:
            raise PlanError(
                f"nested deeper than {_DEEPEST} levels: no LiteLLM configuration is. "
                "Remove the YAML aliases (&, *) in it, then plan again."
            )
        if id(value) not in counted:
            inner = value.values() if isinstance(value, Mapping) else value
            counted[id(value)] = 1 + sum(count(one, depth + 1) for one in inner)
        return counted[id(value)]

    if count(config, 0) > _MOST_VALUES:
        raise PlanError(
            f"more than {_MOST_VALUES:,} values: no LiteLLM configuration has as many. "
            "Remove the YAML aliases (&, *) that multiply them, then plan again."
        )


def _key(value: Any) -> Any:
    match value:
        case bool():
            return ("boolean", value)
        case int() | float():
            return ("number", "nan") if value != value else ("number", value)  # noqa: PLR0124
        case Mapping():
            return ("mapping", {str(name): _key(inner) for name, inner in value.items()})
        case list() | tuple():
            return ("list", [_key(inner) for inner in value])
        case str():
            return ("text", value)
    return (type(value).__name__, str(value))


def _shown(path: Path, value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, str) and not any(map(_is_secret, path)):
        return _in_text(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    bare = _bare(path, value)
    try:
        return bare if isinstance(bare, str) else json.dumps(bare, ensure_ascii=False, default=str)
    except ValueError:  # Python refuses to print a number of more than 4300 digits
        return "a huge number"


def _bare(path: Path, value: Any) -> Any:
    """``value`` with every secret in it replaced."""
    match value:
        case bool() | None:
            return value
        case Mapping():
            return {str(name): _bare((*path, str(name)), inner) for name, inner in value.items()}
        case list() | tuple():
            return [_bare(path, inner) for inner in value]
    if (name := variable(value)) is not None:
        return f"${name}"
    if any(map(_is_secret, path)):
        return HIDDEN
    return _in_text(value) if isinstance(value, str) else value


def _in_text(text: str) -> str:
    if (name := variable(text)) is not None:
        return f"${name}"
    text = _USERINFO.sub("***@", text)
    text = _QUERY.sub("***", text) if "://" in text else text
    return _TOKEN.sub("***", text)


def _is_secret(name: str) -> bool:
    return not _SECRET_WORDS.isdisjoint(word.lower() for word in _WORD.findall(name))

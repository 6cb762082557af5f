"""A value that satisfies a JSON schema: the same for the same schema and seed.

Covers what tools and structured outputs are written with: types, ``enum``, ``const``, objects,
arrays, bounds, ``anyOf``, ``oneOf``, ``allOf`` and local ``$ref``. ``pattern`` and ``not`` are
not followed. Standard library only.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

_DEEPEST = 8
_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron")
_FORMATS = {
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "email": "somebody@example.org",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "hostname": "example.org",
}


def instance(schema: Any, seed: str = "") -> Any:
    """A value for ``schema``; ``True`` and an empty schema ask for any object."""
    if schema is True or schema in ({}, None):
        return {"answer": _WORDS[_draw(seed, "any") % len(_WORDS)]}
    return _Maker(schema, seed).make(schema, "$", 0)


def _draw(seed: str, path: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed} {path}".encode(), digest_size=6).digest())


class _Maker:
    def __init__(self, root: Any, seed: str) -> None:
        self._root, self._seed = root, seed

    def make(self, schema: Any, path: str, depth: int) -> Any:
        if not isinstance(schema, dict):
            return None
        schema = self._resolved(schema, path)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][_draw(self._seed, path) % len(schema["enum"])]
        kind = self._kind(schema, depth)
        make = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
        }.get(kind)
        if make is not None:
            return make(schema, path, depth)
        return bool(_draw(self._seed, path) % 2) if kind == "boolean" else None

    def _resolved(self, schema: dict[str, Any], path: str) -> dict[str, Any]:
        """With references followed and combinations merged."""
        for _ in range(_DEEPEST):
            if "$ref" in schema:
                schema = self._referred(str(schema["$ref"]))
            elif choices := schema.get("anyOf") or schema.get("oneOf"):
                rest = {k: v for k, v in schema.items() if k not in {"anyOf", "oneOf"}}
                schema = _merged(rest, choices[_draw(self._seed, path) % len(choices)])
            elif parts := schema.get("allOf"):
                merged = {k: v for k, v in schema.items() if k != "allOf"}
                for part in parts:
                    merged = _merged(merged, self._resolved(part, path))
                schema = merged
            else:
                break
        return schema

    def _referred(self, pointer: str) -> dict[str, Any]:
        found = self._root
        for step in pointer.removeprefix("#").strip("/").split("/") if pointer != "#" else []:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name, {}) if isinstance(found, dict) else {}
        return found if isinstance(found, dict) else {}

    def _kind(self, schema: dict[str, Any], depth: int) -> str:
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return "null" if depth > _DEEPEST and "null" in kinds else str(kinds[0])
        if isinstance(kinds, str):
            return kinds
        if "items" in schema or "prefixItems" in schema:
            return "array"
        if "minimum" in schema or "maximum" in schema:
            return "number"
        if "minLength" in schema or "maxLength" in schema or "format" in schema:
            return "string"
        return "object"

    def _object(self, schema: dict[str, Any], path: str, depth: int) -> Any:
        properties = schema.get("properties") or {}
        required = schema.get("required") or []
        names = [*properties, *(name for name in required if name not in properties)]
        if depth >= _DEEPEST:  # a schema that contains itself ends where it may
            names = list(required)
        return {
            name: self.make(properties.get(name, {"type": "string"}), f"{path}.{name}", depth + 1)
            for name in names
        }

    def _array(self, schema: dict[str, Any], path: str, depth: int) -> Any:
        first = schema.get("prefixItems") or []
        least = int(schema.get("minItems", 0 if depth >= _DEEPEST else 1))
        count = max(least, len(first))
        if "maxItems" in schema:
            count = min(count, int(schema["maxItems"]))
        item = schema.get("items", {"type": "string"})
        return [
            self.make(first[k] if k < len(first) else item, f"{path}[{k}]", depth + 1)
            for k in range(count)
        ]

    def _string(self, schema: dict[str, Any], path: str, depth: int) -> str:
        del depth
        known = _FORMATS.get(str(schema.get("format")))
        if known is not None:
            return known
        text = _WORDS[_draw(self._seed, path) % len(_WORDS)]
        least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
        while len(text) < least:
            text += " " + text
        return text if most is None else text[: max(int(most), least)]

    def _integer(self, schema: dict[str, Any], path: str, depth: int) -> int:
        del depth
        low, high = _bounds(schema, 1)
        step = int(schema.get("multipleOf", 1)) or 1
        first = math.ceil(low / step)
        last = max(first, math.floor(high / step))
        return step * (first + _draw(self._seed, path) % (last - first + 1))

    def _number(self, schema: dict[str, Any], path: str, depth: int) -> float:
        if "multipleOf" in schema:
            return float(self._integer({**schema, "multipleOf": 1}, path, depth)) * float(
                schema["multipleOf"]
            )
        low, high = _bounds(schema, 1e-3)
        share = 0.25 + _draw(self._seed, path) % 51 / 100
        return round(low + (high - low) * share, 6)


def _bounds(schema: dict[str, Any], nudge: float) -> tuple[float, float]:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if isinstance(above, int | float) and not isinstance(above, bool):
        low = above + nudge if low is None else max(low, above + nudge)
    if isinstance(below, int | float) and not isinstance(below, bool):
        high = below - nudge if high is None else min(high, below - nudge)
    if low is None:
        low = 0 if high is None else min(0, high - 1)
    return low, low + 99 if high is None else high


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = {**one, **other}
    if "properties" in one and "properties" in other:
        both["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        both["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
    return both

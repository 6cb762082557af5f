"""The entries of ``model_list``, each with what LiteLLM makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from harness.gateway.plan.values import Leaf, Path, flatten, leaf

if TYPE_CHECKING:
    from collections.abc import Sequence

NEVER = "never"
"""The place in the order of a deployment without one, in a group that has an order."""

_DEFAULT_TIMEOUT_S = 6000
_IN_GROUP = {("order",), ("share",)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One deployment as it serves a group: what is asked, where, and under which limits.

    ``facts`` maps a path to a value; short paths such as ``("server",)`` are named here,
    others stand for keys passed through, ``("litellm_params", "api_version")``.
    """

    id: str | None
    facts: Mapping[Path, Leaf]

    def __getitem__(self, name: str) -> str:
        found = self.facts.get((name,))
        return str(found) if found is not None else ""


class EntryReader:
    """Reads the deployments of a group, given the settings that hold for all groups."""

    def __init__(self, router: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        self._router = router
        self._settings = settings

    def group(self, raw: Sequence[Mapping[str, Any]]) -> tuple[Entry, ...]:
        """The deployments of one group; their order in the file decides nothing."""
        orders = [_order(entry) for entry in raw]
        levels = sorted({order for order in orders if order is not None})
        entries = [self._entry(entry) for entry in raw]
        for number, entry in enumerate(entries):
            if levels:
                order = orders[number]
                level = NEVER if order is None else str(levels.index(order) + 1)
                if len(levels) > 1 or order is None:
                    entries[number] = _with(entry, "order", leaf(("order",), level))
        if self._router.get("routing_strategy", "simple-shuffle") == "simple-shuffle":
            entries = [
                entry if share is None else _with(entry, "share", _percent(share))
                for entry, share in zip(entries, _shares(raw, orders), strict=True)
            ]
        return tuple(sorted(entries, key=lambda entry: repr((entry.id, _sortable(entry)))))

    def _entry(self, raw: Mapping[str, Any]) -> Entry:
        params = dict(raw["litellm_params"])
        info = raw.get("model_info")
        info = dict(info) if isinstance(info, Mapping) else {}
        model = str(params.pop("model", ""))
        prefix = model.split("/", 1)[0] if "/" in model else None
        identity = info.pop("id", None)
        named = {
            "model": model,
            "adapter": params.pop("custom_llm_provider", None) or prefix,
            "server": params.pop("api_base", None) or params.pop("base_url", None),
            "api_key": params.pop("api_key", None),
            **self._timeouts(params),
            "mode": info.pop("mode", None),
        }
        for key in ("order", "weight"):
            params.pop(key, None)
        info.pop("order", None)
        facts: dict[Path, Leaf] = {
            (name,): leaf((name,), value) for name, value in named.items() if value
        }
        facts |= flatten(("litellm_params",), params) | flatten(("model_info",), info)
        return Entry(None if identity is None else str(identity), facts)

    def _timeouts(self, params: dict[str, Any]) -> dict[str, Any]:
        """What holds for this deployment: its own value, else the router's, else the default."""
        everywhere = self._settings.get("request_timeout")
        router = self._router.get("timeout")
        own = params.pop("timeout", None) or params.pop("request_timeout", None)
        plain = own or everywhere or router or _DEFAULT_TIMEOUT_S
        stream = params.pop("stream_timeout", None) or self._router.get("stream_timeout")
        return {
            "timeout": plain,
            "stream_timeout": stream or (everywhere if router is not None else None) or plain,
        }


def first_level(raw: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those with the lowest order, all where none has one."""
    orders = [order for entry in raw if (order := _order(entry)) is not None]
    return [entry for entry in raw if not orders or _order(entry) == min(orders)]


def up_to(levels: int, entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The deployments in the first ``levels`` of the order; all where there is no order."""
    asked = {"", *map(str, range(1, levels + 1))}
    return tuple(entry for entry in entries if entry["order"] in asked)


def alone(entry: Entry) -> Entry:
    """A deployment asked for by its id: its group's order and weights do not matter."""
    facts = {path: value for path, value in entry.facts.items() if path not in _IN_GROUP}
    return replace(entry, facts=facts)


def filled(entry: Entry, name: str, parts: Sequence[str]) -> Entry:
    """A pattern's deployment as it serves ``name``: its ``*`` take what the pattern matched."""
    model = entry["model"]
    if "*" not in model:
        return entry
    if len(parts) > model.count("*"):
        return _with(entry, "model", leaf(("model",), name))
    for part in parts:
        model = model.replace("*", part, 1)
    return _with(entry, "model", leaf(("model",), model))


def _order(raw: Mapping[str, Any]) -> int | None:
    info = raw.get("model_info")
    order = raw["litellm_params"].get("order")
    if order is None and isinstance(info, Mapping):
        order = info.get("order")
    return order if isinstance(order, int) else None


def _shares(
    raw: Sequence[Mapping[str, Any]], orders: Sequence[int | None]
) -> list[Fraction | None]:
    """The part of its level's requests that each deployment gets under simple-shuffle.

    The first of weight, rpm, tpm that any deployment of the level declares decides.
    None where there is no choice.
    """
    shares: list[Fraction | None] = [None] * len(raw)
    asked: set[int | None] = {order for order in orders if order is not None}
    for level in asked or {None}:
        members = [number for number, order in enumerate(orders) if order == level]
        if len(members) == 1:
            continue
        for metric in ("weight", "rpm", "tpm"):
            weights = [_weight(raw[number]["litellm_params"].get(metric)) for number in members]
            if any(weights):
                break
        else:
            weights = [Fraction(1)] * len(members)
        for number, weight in zip(members, weights, strict=True):
            shares[number] = weight / sum(weights)
    return shares


def _weight(value: Any) -> Fraction:
    usable = isinstance(value, int | float) and 0 < value < float("inf")
    return Fraction(value) if usable else Fraction(0)


def _percent(share: Fraction) -> Leaf:
    return Leaf(("share", share), f"{float(100 * share):.4g} %")


def _with(entry: Entry, name: str, value: Leaf) -> Entry:
    return replace(entry, facts={**entry.facts, (name,): value})


def _sortable(entry: Entry) -> str:
    return repr(sorted((path, repr(value.key)) for path, value in entry.facts.items()))

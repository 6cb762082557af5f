"""How the deployments of one group differ, one sentence a difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.gateway.plan.change import Change, Kind, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness.gateway.plan.entries import Entry
    from harness.gateway.plan.values import Leaf, Path

_WORDS = {
    "server": ("moves", "server"),
    "model": ("asks its server for another model:", "model"),
    "adapter": ("speaks another dialect:", "dialect"),
    "api_key": ("changes its key", "key"),
    "mode": ("changes its mode, which health probes follow,", "mode"),
    "order": ("changes its place in the order", "place in the order"),
}
"""The words for a change from one value to another, and the noun for gaining or losing one."""

_NOUNS = {
    ("timeout",): ("timeout", " s"),
    ("stream_timeout",): ("stream timeout", " s"),
    ("litellm_params", "rpm"): ("limit of requests a minute", ""),
    ("litellm_params", "tpm"): ("limit of tokens a minute", ""),
    ("litellm_params", "max_parallel_requests"): ("limit of requests at a time", ""),
    ("model_info", "max_input_tokens"): ("context window", " tokens"),
    ("model_info", "max_output_tokens"): ("longest answer", " tokens"),
    ("model_info", "cooldown_time"): ("rest after failures", " s"),
}


def compare_groups(
    group: str, before: Sequence[Entry], after: Sequence[Entry], *, affects: tuple[str, ...]
) -> Iterator[Change]:
    """What the deployments of ``group`` gain, lose and change."""
    pairs, gone, come = _paired(before, after)
    several = len(before) > 1 or len(after) > 1
    was, becomes = str(len(before)), str(len(after))
    for entry in gone:
        yield Change(
            kind=Kind.DEPLOYMENT_REMOVED,
            subject=group,
            does=f"loses the deployment {_label(entry)}",
            severity=Severity.BREAKING if len(after) < len(before) else Severity.CHANGE,
            affects=affects,
            before=was,
            after=becomes,
        )
    for entry in come:
        yield Change(
            kind=Kind.DEPLOYMENT_ADDED,
            subject=group,
            does=f"gains the deployment {_label(entry)}",
            severity=Severity.ADDITION if len(after) > len(before) else Severity.CHANGE,
            affects=affects,
            before=was,
            after=becomes,
        )
    for old, new in pairs:
        for does, value_before, value_after in _differences(old, new):
            yield Change(
                kind=Kind.DEPLOYMENT_CHANGED,
                subject=group,
                does=f"({_label(new)}) {does}" if several else does,
                severity=Severity.CHANGE,
                before=value_before,
                after=value_after,
                affects=affects,
            )


def _paired(
    before: Sequence[Entry], after: Sequence[Entry]
) -> tuple[list[tuple[Entry, Entry]], list[Entry], list[Entry]]:
    """Deployments that are the same on both sides: by id, else by model and server."""
    if len(before) == len(after) == 1:
        return [(before[0], after[0])], [], []
    pairs: list[tuple[Entry, Entry]] = []
    gone, come = list(before), list(after)
    tests: list[Callable[[Entry], object]] = [
        lambda entry: entry.id and (entry.id, entry.facts),
        lambda entry: entry.id,
        lambda entry: (entry["model"], entry["server"]),
    ]
    for identity in tests:
        for old in list(gone):
            # An unset id says nothing: LiteLLM then derives one from the parameters.
            same = (new for new in come if identity(old) and identity(new) == identity(old))
            new = next(same, None)
            if new is not None:
                pairs.append((old, new))
                gone.remove(old)
                come.remove(new)
    return pairs, gone, come


def _differences(old: Entry, new: Entry) -> Iterator[tuple[str, str | None, str | None]]:
    if old.id != new.id:
        was, becomes = old.id or "one LiteLLM derives", new.id or "one LiteLLM derives"
        yield (
            f"changes its deployment id, which metrics and headers carry, from {was} to {becomes}",
            old.id,
            new.id,
        )
    for path in dict.fromkeys((*old.facts, *new.facts)):
        was_leaf, is_leaf = old.facts.get(path), new.facts.get(path)
        if was_leaf != is_leaf:
            yield _worded(path, was_leaf, is_leaf), _text(was_leaf), _text(is_leaf)


def _worded(path: Path, old: Leaf | None, new: Leaf | None) -> str:
    if path == ("share",):
        if new is None:
            return f"takes every request of its group instead of {old}"
        return f"takes {new} of its group's requests instead of {old or 'all'}"
    noun, unit = _NOUNS.get(path, (".".join(path), ""))
    words = f"changes its {noun}"
    if len(path) == 1 and path[0] in _WORDS:
        words, noun = _WORDS[path[0]]
    if old is None:
        return f"gets a {noun}: {new}{unit}"
    if new is None:
        return f"loses its {noun}, {old}{unit}"
    if str(old) == str(new):
        return f"{words} from {old}{unit} to another (not shown)"
    return f"{words} from {old}{unit} to {new}{unit}"


def _label(entry: Entry) -> str:
    return entry.id or " at ".join(filter(None, (entry["model"], entry["server"])))


def _text(leaf: Leaf | None) -> str | None:
    return None if leaf is None else str(leaf)

"""Whom a load asks, and what each request asks for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from harness import answer as answers
from harness.answer import ask
from harness.load.driving import Call
from harness.load.profiles import words
from harness.load.profiles.text import WORDS
from harness.load.workload.prompts import MADE_UP, Wording, completion, single_words
from harness.load.workload.tokenizer import TokenizerError
from harness.registry.rules.network import is_loopback
from harness.wire import Request, blocking

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.load.workload.tokenizer import Tokenizer

Prompts = Literal["words", "chat", "ids"]

_PROBE = 16
"""Words of the prompt from whose usage it is known what a template adds."""

EXPLAINED = {
    "load.target-down": """The target of a load does not answer

Before anything is measured the target is asked one question, as a stream; it gave no whole answer.

Remedy: start the target, or correct its URL, key or model; the error names what it said.""",
    "load.interrupted": """A load was interrupted before anything was measured

Ctrl-C came while the target was asked its first question, or the client was measured.

Remedy: run the same command again; nothing was written.""",
    "load.target-not-live": """A load on somebody else's server was held back

A load costs money or takes capacity from others. Without --live only this machine is loaded.

Remedy: say --live where you may load that server.""",
}


class LoadError(RuntimeError):
    """A load that cannot begin; ``id`` is explained by `harness explain`."""

    def __init__(self, id: str, text: str) -> None:  # noqa: A002 - the field's name
        super().__init__(text)
        self.id = id


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where requests go, and what each asks for."""

    base_url: str
    """With the API path (``…/v1``)."""
    model: str
    key: str | None = field(default=None, repr=False)
    prompt_tokens: int = 64
    answer_tokens: int = 32
    seed: int = 1
    prompts: Prompts = "words"
    """``words``: so many common words, to which a template adds. ``chat``: exactly so many tokens,
    template included. ``ids``: exactly so many token ids, to ``/completions``."""
    wording: Wording = field(default_factory=Wording, repr=False)
    """How exact prompts are written; see `exactly`."""

    def make(self, number: int) -> Call:
        """The request of a number: no two share a prefix that a cache could hold."""
        length, key = max(1, self.prompt_tokens), f"{self.seed}/{number}"
        if self.prompts == "ids":
            root, bearer = self.base_url.removesuffix("/v1"), dict(ask.bearer(self.key))
            prompt = self.wording.draw(length, key)
            return Call(completion(root, self.model, prompt, self.answer_tokens, headers=bearer))
        exact = self.prompts == "chat"
        request = ask.chat(
            self.base_url,
            model=self.model,
            content=self.wording.text(length, key) if exact else words(key, length),
            key=self.key,
            stream=True,
            max_tokens=self.answer_tokens,
        )
        return Call(_whole_length(request, self.answer_tokens))

    def amiss(self, usages: Iterable[Mapping[str, Any] | None]) -> str:
        """What is wrong with the counts that a server reports of exact prompts; or nothing."""
        if self.prompts == "words":
            return ""
        told = [(usage or {}).get("prompt_tokens") for usage in usages]
        others = {count for count in told if count != self.prompt_tokens}
        if not others:
            return ""
        wrong = sum(count != self.prompt_tokens for count in told)
        said = ", ".join("no count" if one is None else str(one) for one in sorted(others, key=str))
        return (
            f"{wrong} of {len(told)} prompts are not of {self.prompt_tokens} tokens: usage says "
            f"{said}"
        )


def exactly(target: Target, tokenizer: Tokenizer) -> Target:
    """``target``, with its prompts of exact counts as ``tokenizer`` counts them.

    Whatever the server adds to a chat is known from the usage of one answer.

    Raises:
        TokenizerError: nobody counts, or the server reports no usage.
        PromptError: the tokenizer knows too few words, or the prompt is too short for them.
        LoadError: the target does not answer.
    """
    if target.prompts == "words":
        return target
    wording = single_words((*WORDS, *MADE_UP), tokenizer.ids)
    if target.prompts == "chat":
        probe = replace(target, wording=wording, prompt_tokens=_PROBE, answer_tokens=1)
        exchange = blocking.exchange(probe.make(-1).request)
        got = answers.read(exchange)
        if not got.wholeness:
            raise LoadError(
                "load.target-down",
                f"{target.base_url} gave no whole answer for the model {target.model!r} "
                f"({got.wholeness.why}). Nothing was measured.",
            )
        count = (got.usage or {}).get("prompt_tokens")
        if not isinstance(count, int) or count < _PROBE:
            raise TokenizerError(
                "load.tokenizer-mismatch",
                f"{target.base_url} says {count} prompt tokens (usage of a stream) where there "
                f"are more than {_PROBE}: whether prompts are of an exact count cannot be told. "
                "Ask for --prompts words.",
            )
        wording = replace(wording, added=count - _PROBE)
    found = replace(target, wording=wording)
    found.make(-1)  # raises where the prompt is too short
    return found


def _whole_length(request: Request, tokens: int) -> Request:
    """The same, and the answer does not end before its length where the server can be told so."""
    body = json.loads(request.body) | {"min_tokens": tokens, "ignore_eos": True}
    return Request(
        method=request.method,
        url=request.url,
        headers=request.headers,
        body=json.dumps(body).encode(),
    )


def require_ours(base_url: str, *, live: bool) -> None:
    """Raise `LoadError` unless ``base_url`` is on loopback, or ``live`` says that it may be."""
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise LoadError("load.target-down", f"{base_url!r} is no URL: write http://HOST:PORT/v1")
    if not live and not is_loopback(parts.hostname):
        raise LoadError(
            "load.target-not-live",
            f"{parts.hostname} is not this machine: a load costs money, or takes capacity from "
            "others. Say --live to load it.",
        )

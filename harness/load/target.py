"""Whom a load asks, and what each request asks for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness import answer as answers
from harness.answer import ask
from harness.load.driving import Call
from harness.load.profiles import words
from harness.load.profiles.text import WORDS
from harness.load.workload import prompts as writing
from harness.load.workload.prompts import MADE_UP, Wording, completion, single_words
from harness.load.workload.tokenizer import TokenizerError
from harness.registry.rules.network import is_loopback
from harness.wire import Request, blocking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from harness.load.workload.tokenizer import Tokenizer

Prompts = writing.Prompts

PROBE = 16
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
    told: bool = True
    """Whether the usage of a stream is the server's own count; see `counted`."""

    def make(self, number: int, *, stream: bool = True) -> Call:
        """The request of a number: no two share a prefix that a cache could hold."""
        length, key = max(1, self.prompt_tokens), f"{self.seed}/{number}"
        if self.prompts == "ids":
            root, bearer = self.base_url.removesuffix("/v1"), dict(ask.bearer(self.key))
            prompt = self.wording.draw(length, key)
            most = self.answer_tokens
            made = completion(root, self.model, prompt, most, stream=stream, headers=bearer)
            return Call(made)
        exact = self.prompts == "chat"
        request = ask.chat(
            self.base_url,
            model=self.model,
            content=self.wording.text(length, key) if exact else words(key, length),
            key=self.key,
            stream=stream,
            max_tokens=self.answer_tokens,
        )
        return Call(_whole_length(request, self.answer_tokens))

    def amiss(self, usages: Iterable[Mapping[str, Any] | None]) -> str:
        """What is wrong with the counts that a server reports of exact prompts; or nothing."""
        if self.prompts == "words" or not self.told:
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


def counted(make: Callable[[bool], Request], model: str, tokens: int) -> bool:
    """Ask ``make(False)``, whose prompt must be of so many ``tokens``, and the same as a stream.

    Returns whether the stream says so too. It may tell none, as llama.cpp's Python server does, or
    another count: LiteLLM then makes one up with a tokenizer of its own.

    Raises:
        LoadError: the target does not answer.
        TokenizerError: it reports no usage, or another number of tokens.
    """
    request = make(False)
    if (said := usage_of(request, model)) != tokens:
        raise TokenizerError(
            "load.tokenizer-mismatch",
            f"a prompt of {tokens} tokens for {model!r} was one of {said} by the usage that "
            f"{request.url} reports. Nothing was measured.",
        )
    return _usage(make(True), model) == said


def usage_of(request: Request, model: str) -> int:
    """The tokens of the prompt of ``request``, which must not be a stream, as its usage says.

    Raises:
        LoadError: the target does not answer.
        TokenizerError: it reports no usage.
    """
    if (count := _usage(request, model)) is None:
        raise TokenizerError(
            "load.tokenizer-mismatch",
            f"{request.url} reports no usage for {model!r}, not even of an answer in one piece: "
            "whether prompts are of an exact count cannot be told. Ask for --prompts words.",
        )
    return count


def exactly(target: Target, tokenizer: Tokenizer) -> Target:
    """``target``, with its prompts of exact counts as ``tokenizer`` counts them.

    What the server adds is known from the usage of one answer, and with that of another it is
    checked, before anything is measured.

    Raises:
        TokenizerError: nobody counts, or the server reports no usage or another count.
        PromptError: the tokenizer knows too few words, or the prompt is too short for them.
        LoadError: the target does not answer.
    """
    if target.prompts == "words":
        return target
    wording = single_words(WORDS, tokenizer.ids, MADE_UP)
    if target.prompts == "chat":
        probe = replace(target, wording=wording, prompt_tokens=PROBE, answer_tokens=1)
        count = usage_of(probe.make(-1, stream=False).request, target.model)
        wording = replace(wording, added=count - PROBE)
    found = replace(target, wording=wording)
    short = replace(found, answer_tokens=1)
    told = counted(
        lambda stream: short.make(-1, stream=stream).request, target.model, target.prompt_tokens
    )
    return replace(found, told=told)


def _usage(request: Request, model: str) -> int | None:
    got = answers.read(blocking.exchange(request))
    if not got.wholeness:
        raise LoadError(
            "load.target-down",
            f"{request.url} gave no whole answer for the model {model!r} "
            f"({got.wholeness.why}). Nothing was measured.",
        )
    count = (got.usage or {}).get("prompt_tokens")
    return count if isinstance(count, int) else None


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

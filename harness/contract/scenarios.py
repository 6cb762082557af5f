"""The deterministic recipes: each is one request that a lane sends once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.answer.ask import bearer
from harness.wire.exchange import Request

Build = Callable[[str, str, str], Request]

PROMPT = "Say in one short sentence what a contract is. Grüße aus 東京 🙂"
"""Letters of two, three and four bytes: a server that echoes must not cut them."""

MAX_TOKENS = 16
SEED = 7
UNKNOWN_MODEL = "no-such-model-7f3a"
WRONG_KEY = "not-the-key-7f3a"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One request, built from a base URL (which ends in ``/v1``), a model and a key.

    ``generates`` marks those that make the model produce tokens: they are sent one
    after another, because batching may change the tokens they are compared by.
    ``needs_key`` marks those that make sense only where a key is required.
    """

    id: str
    about: str
    build: Build
    generates: bool = False
    needs_key: bool = False


def chat(base_url: str, model: str, key: str, *, messages: Any = None, **more: Any) -> Request:
    """Build a chat completion request with everything fixed that can be.

    Temperature 0 and a seed make the answer repeatable where the server honours
    them; ``max_tokens`` keeps it cheap. ``more`` adds to the body.
    """
    body = {
        "model": model,
        "messages": [{"role": "user", "content": PROMPT}] if messages is None else messages,
        "max_tokens": MAX_TOKENS,
        "temperature": 0,
        "seed": SEED,
        **more,
    }
    return post(base_url, key, json.dumps(body, ensure_ascii=False).encode())


def post(base_url: str, key: str, body: bytes) -> Request:
    """Build a POST of ``body`` to the chat endpoint, well formed or not."""
    headers = (("content-type", "application/json"), *bearer(key or None))
    return Request(method="POST", url=f"{base_url}/chat/completions", headers=headers, body=body)


def get(base_url: str, key: str, path: str) -> Request:
    """Build a GET of ``path``, which begins with a slash."""
    return Request(method="GET", url=f"{base_url}{path}", headers=bearer(key or None))


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        id="unary",
        about="a chat completion in one body",
        build=chat,
        generates=True,
    ),
    Scenario(
        id="stream",
        about="the same completion as a stream",
        build=lambda url, model, key: chat(url, model, key, stream=True),
        generates=True,
    ),
    Scenario(
        id="stream_usage",
        about="the same stream with stream_options.include_usage",
        build=lambda url, model, key: chat(
            url, model, key, stream=True, stream_options={"include_usage": True}
        ),
        generates=True,
    ),
    Scenario(
        id="n2",
        about="two choices asked for",
        # Greedy answers are all the same one, so vLLM refuses two of them.
        build=lambda url, model, key: chat(url, model, key, n=2, temperature=1),
        generates=True,
    ),
    Scenario(
        id="unknown_model",
        about="a model nobody serves",
        build=lambda url, _, key: chat(url, UNKNOWN_MODEL, key),
    ),
    Scenario(
        id="unknown_model_stream",
        about="a model nobody serves, as a stream",
        build=lambda url, _, key: chat(url, UNKNOWN_MODEL, key, stream=True),
    ),
    Scenario(
        id="bad_json",
        about="a body that is cut in the middle of its JSON",
        build=lambda url, model, key: post(
            url, key, f'{{"model": {json.dumps(model)}, "messages": ['.encode()
        ),
    ),
    Scenario(
        id="bad_type",
        about="messages is a string instead of a list",
        build=lambda url, model, key: chat(url, model, key, messages="hello"),
    ),
    Scenario(
        id="no_key",
        about="no Authorization header, where a key is required",
        build=lambda url, model, _: chat(url, model, ""),
        needs_key=True,
    ),
    Scenario(
        id="wrong_key",
        about="a key nobody issued, where a key is required",
        build=lambda url, model, _: chat(url, model, WRONG_KEY),
        needs_key=True,
    ),
    Scenario(
        id="models",
        about="the list of models",
        build=lambda url, _, key: get(url, key, "/models"),
    ),
)

"""The question an answer belongs to: one chat request in the OpenAI dialect."""

from __future__ import annotations

import json

from harness.wire import Request


def chat(
    base_url: str,
    *,
    model: str,
    content: str,
    key: str | None = None,
    stream: bool = False,
    max_tokens: int = 8,
) -> Request:
    """A ``POST {base_url}/chat/completions`` with one user message.

    ``base_url`` ends with the API path (``…/v1``). A stream asks for its usage too
    (``stream_options.include_usage``), so that tokens are counted, not guessed.
    """
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": max_tokens,
        "temperature": 0,
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return Request(
        method="POST",
        url=f"{base_url}/chat/completions",
        headers=(("content-type", "application/json"), *bearer(key)),
        body=json.dumps(body).encode(),
    )


def bearer(key: str | None) -> tuple[tuple[str, str], ...]:
    """The header that carries a key, or nothing."""
    return () if key is None else (("authorization", f"Bearer {key}"),)

"""What a server says a text is in tokens, where it has a path for that.

vLLM and llama.cpp's server answer ``POST /tokenize``, llama.cpp's Python server
``POST /extras/tokenize``; all three beside their API root, not below it. Each reads its own field
of the question (``prompt``, ``content``, ``input``) and passes over the others, and each answers
with the ids in ``tokens``. Ollama and most gateways have no such path.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from harness import answer as answers
from harness.answer import ask
from harness.wire import Request, blocking

PATHS = ("/tokenize", "/extras/tokenize")
_TIMEOUT_S = 30.0

EXPLAINED = {
    "load.tokenizer-missing": """Nobody counts the tokens of a prompt

Prompts of an exact number of tokens need a server that says what a text is in tokens: vLLM and
llama.cpp do (/tokenize, /extras/tokenize), Ollama and most gateways do not.

Remedy: name the engine behind with --tokenizer URL, or ask for --prompts words. In a load with
Locust --tokenizer PROVIDER=URL names that of a provider, and --model asks only what it serves.""",
    "load.tokenizer-mismatch": """A prompt had another number of tokens than was asked for

What a server reports as usage.prompt_tokens is what it computed. It must be the number asked for
at the first answer, and at every answer after it. Where streams do not tell it, or tell another
count than an answer in one piece does, the first is asked in one piece.

Remedy: look whether the tokenizer belongs to another model, or something adds to the prompt, or
another engine has answered in its place.""",
    "load.prompt": """A prompt of so many tokens cannot be made

What the chat template adds is more than was asked for, or the tokenizer knows too few words as
one token each.

Remedy: ask for more --prompt-tokens, or for --prompts ids, which no template reaches.""",
}


class TokenizerError(RuntimeError):
    """Tokens cannot be counted as asked; ``id`` is explained by `harness explain`."""

    def __init__(self, id: str, text: str) -> None:  # noqa: A002 - the field's name
        super().__init__(text)
        self.id = id


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """The tokenizer of the ``model`` that the server at ``api_root`` (…/v1) serves."""

    api_root: str
    model: str
    key: str | None = field(default=None, repr=False)

    def elsewhere(self, api_root: str | None) -> Tokenizer:
        """That of the server at ``api_root``, which does not get this one's key; else this one."""
        return self if api_root is None else replace(self, api_root=api_root, key=None)

    def ids(self, text: str) -> list[int]:
        """The tokens of ``text``, and whatever the server puts before a text.

        Raises:
            TokenizerError: ``load.tokenizer-missing``: it has no such path, or did not answer.
        """
        said = []
        for path in PATHS:
            for model in (self.model, None):  # a gateway may have another name for it
                status, told = self._asked(path, text, model)
                tokens = told.get("tokens") if isinstance(told, dict) else None
                if status == 200 and isinstance(tokens, list):
                    return [int(token) for token in tokens]
                if model is not None:
                    said.append(f"{path}: {_brief(status, told)}")
        raise TokenizerError(
            "load.tokenizer-missing",
            f"{self.api_root} does not say what a text is in tokens of {self.model!r} "
            f"({'; '.join(said)}). Name the server that does, with --tokenizer URL, or ask for "
            "--prompts words.",
        )

    def _asked(self, path: str, text: str, model: str | None) -> tuple[int | None, Any]:
        """The status, and what was said: JSON, or why there is none."""
        named = {} if model is None else {"model": model}
        body = {**named, "prompt": text, "content": text, "input": text}
        recorded = blocking.exchange(
            Request(
                method="POST",
                url=self.api_root.rstrip("/").removesuffix("/v1") + path,
                headers=(("content-type", "application/json"), *ask.bearer(self.key)),
                body=json.dumps(body).encode(),
            ),
            timeout_s=_TIMEOUT_S,
        )
        answer = answers.read(recorded)
        return answer.status, answer.body or recorded.detail or recorded.end.value


def _brief(status: int | None, told: Any) -> str:
    if status is None:
        return str(told)
    error = told.get("error") if isinstance(told, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return f"{status} {str(message)[:100]}" if message else str(status)

"""The server of llama-cpp-python (``python -m llama_cpp.server``).

Read in llama_cpp/server: app.py, errors.py, model.py, types.py, and llama_chat_format.py, of
version 0.3.36.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from harness.engines.emulator.dialects.base import Dialect
from harness.engines.emulator.dialects.shapes import Json, spaced
from harness.engines.engine import Capabilities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.engines.emulator.answer import Answer, Reply
    from harness.engines.emulator.asking import ApiError, ErrorKind
    from harness.engines.spec import ServedModel

_OWN_ENVELOPE: tuple[ErrorKind, ...] = ("context", "missing", "invalid", "told")


class LlamaCppPython(Dialect):
    """No health, no usage in streams, spaces in its JSON, 500 where 400 is meant."""

    name = "llama_cpp_python"
    version = "0.3.36"
    capabilities = Capabilities(
        stream_usage=False, choices=False, retrieve_model=False, health="/v1/models"
    )
    server = "uvicorn"
    early_head = True
    lengths = ("max_tokens",)  # max_completion_tokens is ignored: llama-cpp-python#1907
    unlimited = True
    extra_choices = "ignore"  # llama-cpp-python#1906
    default_model = True
    any_model = True  # LlamaProxy falls back to its default model
    clips = True
    statuses: ClassVar[Mapping[ErrorKind, int]] = {
        **Dialect.statuses,
        "malformed": 500,  # the error handler parses the body again and fails again
        "missing": 500,
        "invalid": 500,  # every validation error is "other errors"
    }
    messages: ClassVar[Mapping[ErrorKind, str]] = {
        **Dialect.messages,
        "malformed": "Internal Server Error",
        "missing": "[{{'type': 'missing', 'loc': ('body', '{param}'), 'msg': 'Field required'}}]",
        "unauthorised": "Invalid API key",
        "path": "Not Found",
        "method": "Method Not Allowed",
    }

    def dumps(self, value: Any) -> str:
        """``json.dumps`` as it comes."""
        return spaced(value)

    def model_card(self, model: ServedModel) -> Json:
        """``ModelData``: there is no ``created``."""
        return {"id": model.id, "object": "model", "owned_by": "me", "permissions": []}

    def identity(self, reply: Reply, kind: str) -> Json:
        """Chat ids are completion ids with "chat" before them; chat chunks have another order."""
        identity = super().identity(reply, kind)
        del identity["system_fingerprint"]
        if kind == "chat.completion.chunk":
            return {key: identity[key] for key in ("id", "model", "created", "object")}
        return identity

    def opening_chunk(self, reply: Reply, index: int) -> Json | None:
        """Only the role, no content."""
        if reply.surface != "chat":
            return None
        return self.chunk(reply, [self.chat_choice(index, {"role": "assistant"}, None)])

    def message(self, text: str) -> Json:
        """No ``refusal``."""
        return {"role": "assistant", "content": text}

    def refuse(self, error: ApiError, path: str) -> Answer:
        """Only its own route class makes envelopes; Starlette and FastAPI answer the rest."""
        status, message = self.explain(error)
        if error.kind == "malformed":
            return self.plain(status, message.encode(), "text/plain; charset=utf-8")
        if error.kind in _OWN_ENVELOPE:
            return super().refuse(error, path)
        return self.json(status, {"detail": message})

    def error(self, error: ApiError, status: int, message: str) -> Json:
        """``ErrorResponseFormatters``, or "internal_server_error" for all that they do not know."""
        if error.kind == "context":
            return super().error(error, status, message)
        known = {"type": "internal_server_error", "param": None, "code": None}
        return {"message": message, **known}


dialect = LlamaCppPython

"""What Ollama says of itself and of its models."""

from __future__ import annotations

import hashlib
import math
import time
from typing import TYPE_CHECKING

from harness.engines.real.ollama.shapes import TEXT, Reply, read_object, stamp

if TYPE_CHECKING:
    from harness.engines.emulator.http import Request
    from harness.engines.real.ollama.residency import Residency
    from harness.engines.real.ollama.translate import Json

_FOR_EVER = "2318-01-01T00:00:00Z"


class Catalogue:
    """The paths that read. ``facts`` is what the llama-server says: ``/props``, ``/v1/models``."""

    def __init__(self, residency: Residency, facts: Json) -> None:
        self._residency = residency
        self._props, self._meta = facts["props"], facts["meta"]
        self._started = time.time()

    @property
    def release(self) -> str:
        """A version that no release of Ollama has, and what answers in truth."""
        return f"0.0.0+facade.llama-server.{self._props.get('build_info', 'unknown')}"

    async def root(self, request: Request, reply: Reply) -> None:
        """What a browser, or a monitor, sees."""
        del request
        await reply.whole(200, TEXT, b"Ollama is running")

    async def version(self, request: Request, reply: Reply) -> None:
        """``GET /api/version``."""
        del request
        await reply.json({"version": self.release})

    async def tags(self, request: Request, reply: Reply) -> None:
        """``GET /api/tags``: the models on disk."""
        del request
        await reply.json({"models": [self._model(name) for name in self._residency.models]})

    async def ps(self, request: Request, reply: Reply) -> None:
        """``GET /api/ps``: the models in memory."""
        del request
        models = []
        for name, until in self._residency.loaded():
            listed = self._model(name)
            del listed["modified_at"]
            expires = _FOR_EVER if until == math.inf else stamp(until)
            more = {"expires_at": expires, "size_vram": 0, "context_length": self._context}
            models.append({**listed, **more})
        await reply.json({"models": models})

    async def models(self, request: Request, reply: Reply) -> None:
        """``GET /v1/models``."""
        del request
        cards = [self.card(name) for name in self._residency.models]
        await reply.json({"object": "list", "data": cards})

    async def show(self, request: Request, reply: Reply) -> None:
        """``POST /api/show``; ``name`` is the older word for ``model``. Raises `Refusal`."""
        body = read_object(request.body)
        self._residency.find(body.get("model") or body.get("name"))
        model_info = {
            "general.architecture": "llama",
            "general.parameter_count": self._meta.get("n_params", 0),
            "llama.context_length": self._meta.get("n_ctx_train", self._context),
            "llama.embedding_length": self._meta.get("n_embd", 0),
        }
        await reply.json(
            {
                "modelfile": f"FROM {self._props.get('model_alias', '')}",
                "template": self._props.get("chat_template", ""),
                "details": self._details,
                "model_info": model_info,
                "capabilities": ["completion", "tools"],
                "modified_at": stamp(self._started),
            }
        )

    @property
    def _context(self) -> int:
        return int(self._meta.get("n_ctx", 0))

    @property
    def _details(self) -> Json:
        millions = self._meta.get("n_params", 0) / 1e6
        return {
            "parent_model": "",
            "format": "gguf",
            "family": "llama",
            "families": ["llama"],
            "parameter_size": f"{millions:.2f}M" if millions < 1000 else f"{millions / 1000:.1f}B",
            "quantization_level": self._meta.get("ftype", "unknown"),
        }

    def _model(self, name: str) -> Json:
        return {
            "name": name,
            "model": name,
            "modified_at": stamp(self._started),
            "size": self._meta.get("size", 0),
            "digest": hashlib.sha256(name.encode()).hexdigest(),
            "details": self._details,
        }

    def card(self, name: str) -> Json:
        """A model as OpenAI lists it."""
        created = int(self._started)
        return {"id": name, "object": "model", "created": created, "owned_by": "library"}

"""The OpenAI API itself: what the others imitate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.engines.emulator.dialects.base import Dialect
from harness.engines.engine import Capabilities

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.engines.emulator.answer import Answer
    from harness.engines.emulator.asking import Ask
    from harness.engines.emulator.http import Request


class OpenAI(Dialect):
    """Every shape of `base.Dialect` as it is."""

    name = "openai"
    version = "API reference, 2026-08"
    capabilities = Capabilities(
        stream_usage=True, choices=True, retrieve_model=True, health="/v1/models"
    )

    def more_routes(self) -> dict[str, tuple[str, Callable[[Request], Answer | Ask]]]:
        """Embeddings."""
        return {"/v1/embeddings": ("POST", self.embed)}


dialect = OpenAI

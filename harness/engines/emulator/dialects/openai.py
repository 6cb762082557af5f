"""The OpenAI API itself: what the others imitate."""

from __future__ import annotations

from harness.engines.emulator.dialects.base import Dialect
from harness.engines.engine import Capabilities


class OpenAI(Dialect):
    """Every shape of `base.Dialect` as it is."""

    name = "openai"
    version = "API reference, 2026-08"
    capabilities = Capabilities(
        stream_usage=True, choices=True, retrieve_model=True, health="/v1/models"
    )


dialect = OpenAI
